"""The writer writes whole lines, overwrites nothing, and fails with one clear error."""

from __future__ import annotations

import errno
import gzip
import io
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
import zstandard

from scanner.output import (
    OutputClosed,
    OutputError,
    OutputExists,
    OutputFull,
    OutputLost,
    Writer,
    certificates_in,
    dumps_line,
    open_output,
    read_findings,
)
from scanner.output import writer as module
from tests.output.made import finding, line


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read_rows(path: Path) -> list[int]:
    return [item["target"]["row"] for item in read_findings([str(path)]) if isinstance(item, dict)]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst", ".GZ"])
def test_written_findings_are_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"findings.ndjson{suffix}"
    with open_output(str(path)) as writer:
        for row in range(1000):
            writer.write(finding(row))
    assert read_rows(path) == list(range(1000))


def test_lines_are_buffered_until_flush_size_or_time(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    clock = Clock()
    with open_output(str(path), clock=clock) as writer:
        writer.write(finding(1))
        assert path.read_bytes() == b""
        writer.flush()
        assert path.read_bytes() == line(1)
        writer.write(finding(2))
        assert read_rows(path) == [1]
        clock.now += module.FLUSH_SECONDS
        writer.write(finding(3))
        assert read_rows(path) == [1, 2, 3]
        writer.write(finding(4, big="x" * module.FLUSH_BYTES))
        assert read_rows(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_what_was_flushed_is_readable_after_a_kill(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"findings{suffix}"
    writer = open_output(str(path))
    for row in range(100):
        writer.write(finding(row))
        writer.flush()
        assert read_rows(path) == list(range(row + 1))
    writer.close()
    assert read_rows(path) == list(range(100))
    data = path.read_bytes()
    first = zlib.decompressobj(31) if suffix == ".gz" else zstandard.ZstdDecompressor().decompressobj()
    assert 0 < first.decompress(data).count(b"\n") < 100


def test_gzip_output_is_what_other_tools_read(tmp_path: Path) -> None:
    path = tmp_path / "findings.gz"
    with open_output(str(path)) as writer:
        writer.write(finding(1))
    assert gzip.decompress(path.read_bytes()) == line(1)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    path.write_bytes(b"precious\n")
    with pytest.raises(OutputExists, match="--force"):
        open_output(str(path))
    with pytest.raises(OutputError, match="does not begin with a finding"):
        open_output(str(path), resume=True)
    assert path.read_bytes() == b"precious\n"
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(OutputExists):
        open_output(str(empty))
    dangling = tmp_path / "link"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputExists):
        open_output(str(dangling))


def test_force_empties_and_resume_appends(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    path.write_bytes(line(1) + line(2)[:20])
    with open_output(str(path), resume=True) as writer:
        writer.write(finding(3))
    assert path.read_bytes() == line(1) + line(3)
    with open_output(str(path), force=True) as writer:
        writer.write(finding(4))
    assert path.read_bytes() == line(4)
    with open_output(str(tmp_path / "new"), resume=True) as writer:
        writer.write(finding(5))
    assert read_rows(tmp_path / "new") == [5]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kept", [0.3, 0.9, 1.0])
def test_a_torn_compressed_file_is_resumed(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"findings{suffix}"
    with open_output(str(path)) as writer:
        for row in range(300):
            writer.write(finding(row, noise=str(row**9)))
            writer.flush()
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    before = read_rows(path)
    with open_output(str(path), resume=True) as writer:
        writer.write(finding(999))
    assert read_rows(path) == [*before, 999]
    assert len(before) >= 300 * kept * 0.7


def test_a_file_of_certificates_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "certificates"
    first, second = ({"sha256": letter * 64, "der": "AAAA"} for letter in "ab")
    path.write_bytes(dumps_line(first) + dumps_line(second)[:30])
    assert certificates_in(str(path)) == {bytes.fromhex("a" * 64)}
    with pytest.raises(OutputError, match="does not begin with a finding"):
        open_output(str(path), resume=True)
    with open_output(str(path), resume=True, holds="certificates") as writer:
        writer.write(second)
    assert path.read_bytes() == dumps_line(first) + dumps_line(second)
    findings = tmp_path / "findings"
    findings.write_bytes(line(1))
    with pytest.raises(OutputError, match="does not begin with a certificate"):
        open_output(str(findings), resume=True, holds="certificates")
    assert certificates_in(str(findings)) == certificates_in(str(tmp_path / "absent")) == set()


def test_two_writers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "findings"
    with open_output(str(path)) as writer:
        writer.write(finding(1))
        for force, resume in ((True, False), (False, True)):
            with pytest.raises(OutputError, match="another run"):
                open_output(str(path), force=force, resume=resume)
    assert read_rows(path) == [1]


def test_paths_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    for path in (str(tmp_path), str(tmp_path / "no" / "dir"), "a\0b", ""):
        with pytest.raises(OutputError) as caught:
            open_output(path, force=True)
        assert str(caught.value).isprintable()
    with pytest.raises(OutputError, match="resumed"):
        open_output("-", resume=True)


def test_a_device_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write(_descriptor: int, data: memoryview) -> int:
        written.append(bytes(data))
        return len(data)

    with open_output("/dev/null") as writer:
        monkeypatch.setattr(os, "write", write)
        writer.write(finding(1))
    assert written == [line(1)]


def test_a_replaced_standard_output_is_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written)
    monkeypatch.setattr(sys, "stdout", stream)
    with open_output(None) as writer:
        writer.write(finding(1))
    assert written.getvalue() == line(1)
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match="closed"):
        open_output("-")


def test_no_space_left_is_output_full() -> None:
    writer = open_output("/dev/full")
    writer.write(finding(1))
    with pytest.raises(OutputFull, match="No space left"):
        writer.flush()
    writer.close()
    writer.close()


def test_a_partial_write_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "findings"
    writer = open_output(str(path))
    writer.write(finding(1))
    writer.flush()
    real = os.write

    def full_after_ten_bytes(descriptor: int, data: Any) -> int:
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: max(len(data) - 10, 1)])

    monkeypatch.setattr(os, "write", full_after_ten_bytes)
    writer.write(finding(2))
    with pytest.raises(OutputFull):
        writer.flush()
    monkeypatch.undo()
    writer.close()
    assert path.read_bytes() == line(1)


def test_a_closed_pipe_is_output_closed() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = Writer(writing, "standard output", regular=False)
    writer.write(finding(1))
    with pytest.raises(OutputClosed):
        writer.flush()
    writer.close()


def test_a_non_blocking_pipe_gets_everything() -> None:
    program = (
        "import os, sys\n"
        "from scanner.output import open_output\n"
        "os.set_blocking(1, False)\n"
        "with open_output('-') as writer:\n"
        "    for row in range(300): writer.write({'row': row, 'x': 'y' * 1000})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    assert [orjson.loads(text)["row"] for text in done.stdout.splitlines()] == list(range(300))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("room", [0, 1, 50, 200, 400, 700, 1000, 2000])
def test_a_full_disk_leaves_whole_lines_and_the_file_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, room: int
) -> None:
    path = tmp_path / f"findings{suffix}"
    real = os.write

    def write(descriptor: int, data: Any) -> int:
        free = room - os.fstat(descriptor).st_size
        if free <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:free])

    writer = open_output(str(path))
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OutputFull, match="--resume"):
        for row in range(1000):
            writer.write(finding(row, noise=str(row**99)))
            writer.flush()
    writer.write(finding(5000))
    with pytest.raises(OutputFull):
        writer.flush()  # a small one that would fit is not written after a large one that did not
    writer.close()
    monkeypatch.undo()

    assert path.stat().st_size <= room
    data = path.read_bytes()
    if suffix == ".gz" and data:
        assert gzip.decompress(data).endswith(b"\n")
    elif not suffix:
        assert data == b"" or data.endswith(b"\n")
    before = read_rows(path) if data else []
    assert before == list(range(len(before)))
    with open_output(str(path), resume=True) as again:
        again.write(finding(999))
    assert read_rows(path) == [*before, 999]


def test_whole_lines_before_a_full_disk_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "findings"
    writer = open_output(str(path))
    real = os.write
    room = len(line(1)) + len(line(2)) + 5

    def write(descriptor: int, data: Any) -> int:
        free = room - os.fstat(descriptor).st_size
        if free <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:free])

    monkeypatch.setattr(os, "write", write)
    for row in (1, 2, 3):
        writer.write(finding(row))
    with pytest.raises(OutputFull):
        writer.flush()
    assert path.read_bytes() == line(1) + line(2)


@pytest.mark.parametrize("harm", ["deleted", "replaced", "cut", "written to"])
def test_an_output_that_another_program_changes_is_output_lost(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "findings"
    writer = open_output(str(path))
    writer.write(finding(1))
    writer.flush()
    if harm == "deleted":
        path.unlink()
    elif harm == "replaced":
        (tmp_path / "other").write_bytes(line(9))
        (tmp_path / "other").rename(path)
    elif harm == "cut":
        path.write_bytes(b"")
    else:
        with path.open("ab") as file:
            file.write(line(9))
    writer.write(finding(2))
    with pytest.raises(OutputLost, match=harm):
        writer.flush()
    writer.close()
    if path.exists():
        with open_output(str(path), resume=True) as again:
            again.write(finding(2))
        assert 2 in read_rows(path)


def test_a_renamed_output_is_still_written_to(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "findings")) as writer:
        writer.write(finding(1))
        writer.flush()
        (tmp_path / "findings").rename(tmp_path / "moved")
        writer.write(finding(2))
    assert read_rows(tmp_path / "moved") == [1, 2]


def test_certificates_are_on_disk_before_the_findings_that_have_them(tmp_path: Path) -> None:
    certificates, findings = open_output(str(tmp_path / "c")), open_output(str(tmp_path / "f"))
    findings.before = certificates
    certificates.write({"sha256": "a" * 64})
    findings.write(finding(1))
    findings.flush()
    assert certificates_in(str(tmp_path / "c")) == {bytes.fromhex("a" * 64)}
    (tmp_path / "c").unlink()
    certificates.write({"sha256": "b" * 64})
    findings.write(finding(2))
    with pytest.raises(OutputLost):
        findings.flush()
    certificates.close()
    findings.close()
    assert read_rows(tmp_path / "f") == [1]


def test_a_closed_pipe_is_noticed_while_nothing_is_written() -> None:
    reading, writing = os.pipe()
    writer = Writer(writing, "standard output", regular=False)
    writer.check_reader()
    os.close(reading)
    with pytest.raises(OutputClosed):
        writer.check_reader()
    writer.close()


def test_a_reader_that_leaves_what_was_written_is_output_closed() -> None:
    reading, writing = os.pipe()
    writer = Writer(writing, "standard output", regular=False)
    writer.write(finding(1))
    writer.write(finding(2))
    writer.flush()  # it fits into the pipe, so that writing it tells nothing
    assert os.read(reading, 20)
    os.close(reading)
    with pytest.raises(OutputClosed, match="the reader has gone, and left"):
        writer.close()


def test_a_reader_that_leaves_while_the_end_waits_for_it_is_output_closed() -> None:
    reading, writing = os.pipe()
    writer = Writer(writing, "standard output", regular=False)
    writer.write(finding(1))
    leaving = threading.Timer(0.05, os.close, (reading,))
    leaving.start()
    with pytest.raises(OutputClosed):
        writer.close()
    leaving.join()


def test_a_reader_that_takes_everything_late_ends_well() -> None:
    reading, writing = os.pipe()
    writer = Writer(writing, "standard output", regular=False)
    writer.write(finding(1))
    taken: list[bytes] = []
    late = threading.Timer(0.05, lambda: taken.append(os.read(reading, 65536)))
    late.start()
    writer.close()
    late.join()
    os.close(reading)
    assert taken[0].endswith(b"\n")


def test_a_reader_that_only_waits_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.output.writer.READER_SECONDS", 0.02)
    reading, writing = os.pipe()
    writer = Writer(writing, "standard output", regular=False)
    writer.write(finding(1))
    writer.close()
    assert os.read(reading, 65536).endswith(b"\n")
    os.close(reading)
