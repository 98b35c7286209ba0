from __future__ import annotations

import gzip
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import zstandard

from tests.torture.namespaces import Slot
from tests.torture.playing import _Course, _end_orphans
from tests.torture.running import Scanner, descendants, missing_readers, read_output

LINES = [b'{"a":1}', b'{"b":2}']
TEXT = b"".join(line + b"\n" for line in LINES)
COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    ".ndjson": bytes,
    ".ndjson.gz": gzip.compress,
    ".ndjson.zst": zstandard.compress,
}
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]

needs_readers = pytest.mark.skipif(missing_readers() is not None, reason=missing_readers() or "")


@needs_readers
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_outputs_are_read_to_the_end_whatever_members_they_have(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"findings{suffix}"
    output.write_bytes(COMPRESSORS[suffix](TEXT) * 2)
    assert read_output(output) == (LINES * 2, None)


@needs_readers
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_outputs_that_break_off_are_damaged(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"findings{suffix}"
    output.write_bytes(COMPRESSORS[suffix](TEXT) + COMPRESSORS[suffix](TEXT)[:-5])
    lines, problem = read_output(output)
    assert problem
    assert lines[:2] == LINES


@needs_readers
def test_a_line_without_an_end_is_damage_and_no_line(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson.gz"
    output.write_bytes(gzip.compress(TEXT + b'{"c"'))
    assert read_output(output) == (LINES, "the last line has no end")


def test_an_output_that_is_not_there_is_damaged(tmp_path: Path) -> None:
    assert read_output(tmp_path / "findings.ndjson") == ([], "no output")


def test_an_output_to_which_nothing_was_written_is_whole(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson.zst"
    output.touch()
    assert read_output(output) == ([], None)


def test_files_of_scanners_that_ended_by_themselves_must_be_whole(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson"
    output.write_bytes(TEXT[:-1])
    for statuses, damaged in (([2], True), ([3], True), ([0], True), ([-9], False), ([-9, 3], False), ([-9, 0], True)):
        course = _Course(statuses=statuses)
        course.look_at(output, "")
        assert course.damaged is damaged, statuses


def test_scanners_that_were_interrupted_before_they_had_an_output_have_damaged_none(tmp_path: Path) -> None:
    course = _Course(statuses=[3])
    course.look_at(tmp_path / "findings.ndjson", "interrupted")
    assert not course.damaged
    assert course.notes == ["start 1: status 3: interrupted"]


def test_descendants_are_children_and_their_children() -> None:
    inner = f"import subprocess, sys; subprocess.Popen({SLEEP!r}).wait()"
    with subprocess.Popen([sys.executable, "-c", inner]) as process:
        while len(found := descendants(process.pid)) < 1:
            time.sleep(0.01)
        assert process.pid not in found
        assert _end_orphans_at_once(found) == 1
        process.wait()
    assert descendants(process.pid) == []


def _end_orphans_at_once(pids: list[int]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.torture.playing.ORPHANS_END", 0)
        return _end_orphans(pids)


def test_processes_that_have_ended_need_no_end() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert _end_orphans_at_once([process.pid]) == 0


class _QuietSlot(Slot):
    """A link on which so many packets have come as a list says, the last number for ever."""

    def __init__(self, holder: subprocess.Popen[bytes], *counts: int) -> None:
        super().__init__(0, holder)
        self.counts = list(counts)

    def packets(self) -> int:
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]


@pytest.fixture
def scanner(tmp_path: Path) -> Iterator[Scanner]:
    with subprocess.Popen(SLEEP) as process:
        slot = _QuietSlot(process, 0, 0, 10, 49, 50, 200)
        (tmp_path / "stderr.log").write_text("--- scan one\nfirst\n--- scan two\n\nlast\n words\n", encoding="utf-8")
        yield Scanner(slot, process, tmp_path / "stderr.log", time.monotonic(), 0)
        process.kill()


def test_moments_are_waited_for_by_packets(scanner: Scanner) -> None:
    assert scanner.wait_for_moment(0.5, 100, time.monotonic() + 30)
    assert scanner.slot.packets() == 200


def test_moments_that_do_not_come_end_with_the_deadline(scanner: Scanner) -> None:
    scanner.slot = _QuietSlot(scanner.process, 0)
    assert not scanner.wait_for_moment(0.5, 100, time.monotonic() - 1)


def test_moments_of_a_scanner_that_is_through_do_not_come(scanner: Scanner) -> None:
    scanner.process.kill()
    scanner.process.wait()
    assert not scanner.wait_for_moment(-0.1, 100, time.monotonic() + 30)
    assert scanner.wait(time.monotonic() + 30) == -9


def test_scanners_that_do_not_end_in_time_are_killed(scanner: Scanner) -> None:
    assert scanner.wait(time.monotonic() - 1) is None
    assert not scanner.is_running()


def test_last_words_are_those_of_the_last_start(scanner: Scanner) -> None:
    assert scanner.last_words() == "last / words"
