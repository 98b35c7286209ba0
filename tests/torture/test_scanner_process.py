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

from tests.helpers.process_trees import descendants
from tests.torture.case_run import _end_orphans, _Progress
from tests.torture.namespaces import Slot
from tests.torture.scanner_process import Scanner, missing_readers, read_output

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
def test_outputs_of_several_members_are_read_to_the_end(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"findings{suffix}"
    output.write_bytes(COMPRESSORS[suffix](TEXT) * 2)
    assert read_output(output) == (LINES * 2, None)


@needs_readers
@pytest.mark.parametrize("suffix", COMPRESSORS)
def test_truncated_outputs_are_damaged(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"findings{suffix}"
    output.write_bytes(COMPRESSORS[suffix](TEXT) + COMPRESSORS[suffix](TEXT)[:-5])
    lines, problem = read_output(output)
    assert problem
    assert lines[:2] == LINES


@needs_readers
def test_an_unterminated_line_is_damage(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson.gz"
    output.write_bytes(gzip.compress(TEXT + b'{"c"'))
    assert read_output(output) == (LINES, "the last line has no end")


def test_a_missing_output_is_damaged(tmp_path: Path) -> None:
    assert read_output(tmp_path / "findings.ndjson") == ([], "no output")


def test_an_empty_output_is_intact(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson.zst"
    output.touch()
    assert read_output(output) == ([], None)


def test_outputs_of_scanners_that_were_not_killed_must_be_intact(tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson"
    output.write_bytes(TEXT[:-1])
    for statuses, damaged in (([2], True), ([3], True), ([0], True), ([-9], False), ([-9, 3], False), ([-9, 0], True)):
        progress = _Progress(statuses=statuses)
        progress.check_after_start(output, "")
        assert progress.damaged is damaged, statuses


def test_an_interrupted_scanner_without_output_has_damaged_none(tmp_path: Path) -> None:
    progress = _Progress(statuses=[3])
    progress.check_after_start(tmp_path / "findings.ndjson", "interrupted")
    assert not progress.damaged
    assert progress.notes == ["start 1: status 3: interrupted"]


def test_descendants_are_children_and_grandchildren() -> None:
    inner = f"import subprocess, sys; subprocess.Popen({SLEEP!r}).wait()"
    with subprocess.Popen([sys.executable, "-c", inner]) as process:
        while len(found := descendants(process.pid)) < 1:
            time.sleep(0.01)
        assert process.pid not in found
        assert _end_orphans_now(found) == 1
        process.wait()
    assert descendants(process.pid) == []


def _end_orphans_now(pids: list[int]) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.torture.case_run.ORPHANS_END", 0)
        return _end_orphans(pids)


def test_ended_processes_are_not_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert _end_orphans_now([process.pid]) == 0


class _QuietSlot(Slot):
    """A link with a given sequence of packet counts, the last of which repeats."""

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


def test_moments_are_reached_by_packets(scanner: Scanner) -> None:
    assert scanner.wait_for_moment(0.5, 100, time.monotonic() + 30)
    assert scanner.slot.packets() == 200


def test_waiting_for_a_moment_ends_at_the_deadline(scanner: Scanner) -> None:
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
    assert scanner.error_text() == "last / words"
