"""What is held back comes back, in order, whether it was in memory or on disk; and a full disk is one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.model.evidence import Evidence
from scanner.run.spool import EVIDENCE_BYTES, Held, HeldError, evidence_bytes
from tests.helpers import evidence


def size_of(item: object) -> int:
    return len(item) if isinstance(item, bytes) else 10


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("in_memory", [0, 1, 3, 100])
def test_order_within_a_reason(in_memory: int) -> None:
    with Held[int](size_of, in_memory=in_memory) as held:
        for number in range(20):
            held.hold(number, "even" if number % 2 == 0 else "odd")
        assert (len(held), held.count("odd"), held.count("never")) == (20, 10, 0)
        assert list(held.release("odd")) == list(range(1, 20, 2))
        assert list(held.release("odd")) == []
        assert len(held) == 10
        held.hold(99, "odd")
        assert list(held.drain()) == [*range(0, 20, 2), 99]
        assert len(held) == 0


@pytest.mark.parametrize("in_memory", [0, 2, 5])
def test_holding_while_releasing(in_memory: int) -> None:
    with Held[int](size_of, in_memory=in_memory) as held:
        for number in range(5):
            held.hold(number, "clock")
        given = []
        for number in held.release("clock"):
            given.append(number)
            if number < 5:
                held.hold(number + 10, "clock")
        assert given == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_evidence_comes_back_equal() -> None:
    seen = evidence.evidence(evidence.answered())
    with Held[Evidence](size_of, in_memory=0) as held:
        held.hold(seen, "clock")
        assert next(held.release("clock")) == seen


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    before = files_open()
    held = Held[bytes](size_of, in_memory=0, directory=str(tmp_path))
    for reason in ("clock", "issuer"):
        held.hold(bytes(300_000), reason)
    assert files_open() == before + 2
    assert list(tmp_path.iterdir()) == []  # deleted already, though open
    held.close()
    held.close()
    assert files_open() == before


def test_space_is_given_back_as_soon_as_all_is_read(tmp_path: Path) -> None:
    before = files_open()
    with Held[int](size_of, in_memory=0, directory=str(tmp_path)) as held:
        held.hold(1, "clock")
        assert list(held.drain()) == [1]
        assert files_open() == before


def test_no_place(tmp_path: Path) -> None:
    held = Held[int](size_of, in_memory=0, directory=str(tmp_path / "gone"))
    with pytest.raises(HeldError, match=r"cannot write findings that are held back, in .*gone: No such file"):
        held.hold(1, "clock")


FULL = """
import resource, signal, sys
from scanner.run.spool import Held, HeldError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
held = Held(len, in_memory=0, directory=sys.argv[1])
try:
    for number in range(100):
        held.hold(bytes(100_000), "clock")
except HeldError as error:
    print(error)
held.close()
"""


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith(f"cannot write findings that are held back, in {tmp_path}: File too large")
    assert done.stderr == ""


def test_a_file_cut_off_is_an_error(tmp_path: Path) -> None:
    held = Held[bytes](size_of, in_memory=0, directory=str(tmp_path))
    held.hold(bytes(600_000), "clock")
    held.hold(bytes(600_000), "clock")
    next(held.release("clock"))
    file = held._queues["clock"]._files[0]._file
    assert file is not None
    file.truncate(700_000)
    with pytest.raises(HeldError, match="cut off"):
        next(held.release("clock"))
    held.close()


def test_bytes_in_memory_are_bounded_too() -> None:
    before = files_open()
    with Held[bytes](size_of, in_memory=100, bytes_in_memory=1000) as held:
        items = [bytes([number]) * 300 for number in range(5)]
        for item in items[:3]:
            held.hold(item, "clock")
        assert files_open() == before
        for item in items[3:]:
            held.hold(item, "clock")
        assert (files_open(), len(held._queues["clock"].memory)) == (before + 1, 3)
        assert list(held.drain()) == items
        held.hold(items[0], "clock")  # room was given back
        assert files_open() == before


def test_room_that_one_reason_took_is_missing_for_the_others() -> None:
    with Held[bytes](size_of, in_memory=100, bytes_in_memory=1000) as held:
        held.hold(bytes(900), "clock")
        held.hold(bytes(200), "issuer")
        assert (len(held._queues["clock"].memory), len(held._queues["issuer"].memory)) == (1, 0)


def test_what_is_spilled_comes_back_in_order_before_what_was_on_disk_already() -> None:
    with Held[int](size_of, in_memory=3) as held:
        for number in range(6):
            held.hold(number, "clock" if number < 5 else "issuer")
        assert held.spill() == 3
        assert held.spill() == 0
        assert not held._queues["clock"].memory
        for number in range(6, 9):
            held.hold(number, "clock")
        assert (len(held), held.count("clock")) == (9, 8)
        assert list(held.release("clock")) == [0, 1, 2, 3, 4, 6, 7, 8]
        assert list(held.drain()) == [5]


def test_spilling_in_the_middle_of_a_release_loses_nothing() -> None:
    with Held[int](size_of, in_memory=4) as held:
        for number in range(8):
            held.hold(number, "clock")
        given = []
        for number in held.release("clock"):
            given.append(number)
            held.spill()
            if number < 3:
                held.hold(number + 100, "clock")
        assert given == [*range(8), 100, 101, 102]


def test_the_size_of_evidence_is_that_of_what_peers_sent() -> None:
    seen = evidence.evidence(evidence.answered())
    flight = seen.endpoints[0].probe.flight
    assert flight is not None
    sent = sum(map(len, flight.certificates))
    assert EVIDENCE_BYTES + sent <= evidence_bytes(seen) <= EVIDENCE_BYTES + sent + 4096
