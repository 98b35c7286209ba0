"""Spooled items come back in order, whether they were in memory or on disk; a full disk is one clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.model.evidence import Evidence
from scanner.run.spool import EVIDENCE_BYTES, Spool, SpoolError, evidence_bytes
from tests.helpers import evidence


def size_of(item: object) -> int:
    return len(item) if isinstance(item, bytes) else 10


def files_open() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("in_memory", [0, 1, 3, 100])
def test_each_queue_keeps_its_order(in_memory: int) -> None:
    with Spool[int](size_of, in_memory=in_memory) as spool:
        for number in range(20):
            spool.put(number, "even" if number % 2 == 0 else "odd")
        assert (len(spool), spool.count("odd"), spool.count("never")) == (20, 10, 0)
        assert list(spool.pop_all("odd")) == list(range(1, 20, 2))
        assert list(spool.pop_all("odd")) == []
        assert len(spool) == 10
        spool.put(99, "odd")
        assert list(spool.drain()) == [*range(0, 20, 2), 99]
        assert len(spool) == 0


@pytest.mark.parametrize("in_memory", [0, 2, 5])
def test_items_put_while_a_queue_is_popped_come_last(in_memory: int) -> None:
    with Spool[int](size_of, in_memory=in_memory) as spool:
        for number in range(5):
            spool.put(number, "clock")
        given = []
        for number in spool.pop_all("clock"):
            given.append(number)
            if number < 5:
                spool.put(number + 10, "clock")
        assert given == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_evidence_comes_back_equal() -> None:
    seen = evidence.evidence(evidence.answered())
    with Spool[Evidence](size_of, in_memory=0) as spool:
        spool.put(seen, "clock")
        assert next(spool.pop_all("clock")) == seen


@pytest.mark.parametrize("in_memory", [0, 2, 5])
def test_of_what_goes_to_disk_only_a_part_is_kept(in_memory: int) -> None:
    with Spool[tuple[int, str]](size_of, on_disk=lambda item: (item[0], ""), in_memory=in_memory) as spool:
        for number in range(5):
            spool.put((number, "made again"), "clock")
        assert list(spool.pop_all("clock")) == [
            (number, "made again" if number < in_memory else "") for number in range(5)
        ]
        spool.put((7, "made again"), "clock")
        spool.spill()
        assert list(spool.drain()) == [(7, "")]


def test_files_have_no_name_and_are_closed(tmp_path: Path) -> None:
    before = files_open()
    spool = Spool[bytes](size_of, in_memory=0, directory=str(tmp_path))
    for reason in ("clock", "issuer"):
        spool.put(bytes(300_000), reason)
    assert files_open() == before + 2
    assert list(tmp_path.iterdir()) == []  # deleted already, though open
    spool.close()
    spool.close()
    assert files_open() == before


def test_space_is_given_back_as_soon_as_all_is_read(tmp_path: Path) -> None:
    before = files_open()
    with Spool[int](size_of, in_memory=0, directory=str(tmp_path)) as spool:
        spool.put(1, "clock")
        assert list(spool.drain()) == [1]
        assert files_open() == before


def test_a_missing_directory_is_a_spool_error(tmp_path: Path) -> None:
    spool = Spool[int](size_of, in_memory=0, directory=str(tmp_path / "gone"))
    with pytest.raises(SpoolError, match=r"cannot write findings that are held back, in .*gone: No such file"):
        spool.put(1, "clock")


FULL = """
import resource, signal, sys
from scanner.run.spool import Spool, SpoolError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
spool = Spool(len, in_memory=0, directory=sys.argv[1])
try:
    for number in range(100):
        spool.put(bytes(100_000), "clock")
except SpoolError as error:
    print(error)
spool.close()
"""


def test_a_full_disk_is_one_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.startswith(f"cannot write findings that are held back, in {tmp_path}: File too large")
    assert done.stderr == ""


def test_a_truncated_file_is_a_spool_error(tmp_path: Path) -> None:
    spool = Spool[bytes](size_of, in_memory=0, directory=str(tmp_path))
    spool.put(bytes(600_000), "clock")
    spool.put(bytes(600_000), "clock")
    next(spool.pop_all("clock"))
    file = spool._queues["clock"]._files[0]._file
    assert file is not None
    file.truncate(700_000)
    with pytest.raises(SpoolError, match="cut off"):
        next(spool.pop_all("clock"))
    spool.close()


def test_bytes_in_memory_are_limited() -> None:
    before = files_open()
    with Spool[bytes](size_of, in_memory=100, bytes_in_memory=1000) as spool:
        items = [bytes([number]) * 300 for number in range(5)]
        for item in items[:3]:
            spool.put(item, "clock")
        assert files_open() == before
        for item in items[3:]:
            spool.put(item, "clock")
        assert (files_open(), len(spool._queues["clock"].memory)) == (before + 1, 3)
        assert list(spool.drain()) == items
        spool.put(items[0], "clock")  # there is room again
        assert files_open() == before


def test_all_queues_share_the_memory_limit() -> None:
    with Spool[bytes](size_of, in_memory=100, bytes_in_memory=1000) as spool:
        spool.put(bytes(900), "clock")
        spool.put(bytes(200), "issuer")
        assert (len(spool._queues["clock"].memory), len(spool._queues["issuer"].memory)) == (1, 0)


def test_spilled_items_come_back_before_those_that_were_on_disk() -> None:
    with Spool[int](size_of, in_memory=3) as spool:
        for number in range(6):
            spool.put(number, "clock" if number < 5 else "issuer")
        assert spool.spill() == 3
        assert spool.spill() == 0
        assert not spool._queues["clock"].memory
        for number in range(6, 9):
            spool.put(number, "clock")
        assert (len(spool), spool.count("clock")) == (9, 8)
        assert list(spool.pop_all("clock")) == [0, 1, 2, 3, 4, 6, 7, 8]
        assert list(spool.drain()) == [5]


def test_spilling_while_a_queue_is_popped_loses_nothing() -> None:
    with Spool[int](size_of, in_memory=4) as spool:
        for number in range(8):
            spool.put(number, "clock")
        given = []
        for number in spool.pop_all("clock"):
            given.append(number)
            spool.spill()
            if number < 3:
                spool.put(number + 100, "clock")
        assert given == [*range(8), 100, 101, 102]


def test_evidence_bytes_counts_what_peers_sent() -> None:
    seen = evidence.evidence(evidence.answered())
    flight = seen.endpoints[0].probe.flight
    assert flight is not None
    sent = sum(map(len, flight.certificates))
    assert EVIDENCE_BYTES + sent <= evidence_bytes(seen) <= EVIDENCE_BYTES + sent + 4096
