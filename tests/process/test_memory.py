"""Reactions to short memory, decided from sizes and times alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from benchmarks.large import address_of, large_farm
from scanner.process import memory
from scanner.process.memory import FIRST, GROW, LOWEST, OFTEN, RELIEF_PAUSE, SECOND, SELDOM, Governor

LIMIT = 1000


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512M", 512 << 20),
        ("2G", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("300mb", 300 << 20),
        ("1073741824", 1 << 30),
        ("0", 0),
        ("", None),
        ("much", None),
        ("-1G", None),
        ("1e9", None),
        ("2 PB", None),
        ("9" * 100, None),
    ],
)
def test_sizes_are_parsed(text: str, size: int | None) -> None:
    assert memory.parse_size(text) == size


def test_sizes_are_formatted() -> None:
    assert [memory.size_text(size) for size in (128 << 20, 3 << 29, 6 << 30)] == ["128M", "1.5G", "6G"]


def group(root: Path, path: str, limit: str | None, *, base: str = "sys/fs/cgroup", name: str = "memory.max") -> None:
    place = root / base / path
    place.mkdir(parents=True, exist_ok=True)
    if limit is not None:
        (place / name).write_text(limit + "\n")


def test_the_default_is_a_quarter_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_machine", lambda: 8 << 30)
    assert memory.default_limit(tmp_path) == 2 << 30


def test_the_default_is_a_quarter_of_the_lowest_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_machine", lambda: 8 << 30)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/a/b\n")
    group(tmp_path, "a", str(1 << 30))
    group(tmp_path, "a/b", "max")
    assert memory.default_limit(tmp_path) == 256 << 20


def test_the_control_group_of_a_container_is_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_machine", lambda: 8 << 30)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/of/the/host\n")
    group(tmp_path, "", str(2 << 30))
    assert memory.default_limit(tmp_path) == 512 << 20


def test_control_groups_of_version_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_machine", lambda: 8 << 30)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("5:cpu:/x\n4:memory:/docker/1\n")
    group(tmp_path, "docker/1", str(4 << 30), base="sys/fs/cgroup/memory", name="memory.limit_in_bytes")
    assert memory.default_limit(tmp_path) == 1 << 30


def test_the_default_is_never_below_what_the_interpreter_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_machine", lambda: 64 << 20)
    assert memory.default_limit(tmp_path) == memory.LEAST
    monkeypatch.setattr(memory, "_machine", lambda: None)
    assert memory.default_limit(tmp_path) is None


def test_resident_size_of_this_process() -> None:
    before = memory.resident()
    assert before is not None
    more = b"x" * (64 << 20)
    after = memory.resident()
    assert after is not None and after - before > len(more) // 2


def test_nothing_happens_while_there_is_room() -> None:
    governor = Governor(LIMIT, 100)
    reaction = governor.react(300, 0.0, 100)
    assert (reaction.relieve, reaction.admitted, reaction.pause) == (False, 100, SELDOM)
    assert governor.react(int(LIMIT * LOWEST), 1.0, 100).pause == OFTEN


def test_above_the_first_threshold_caches_are_emptied_from_time_to_time() -> None:
    governor = Governor(LIMIT, 100)
    size = int(LIMIT * FIRST) + 1
    times = [number / 10 for number in range(40)]
    relieved = []
    for now in times:
        if governor.react(size, now, 100).relieve:
            relieved.append(now)
            size = int(size * 0.9)
        else:
            size = int(LIMIT * FIRST) + 1
    assert relieved == [0.0, RELIEF_PAUSE, 2 * RELIEF_PAUSE, 3 * RELIEF_PAUSE]
    assert not governor.slowed


def test_useless_emptying_of_caches_becomes_rare() -> None:
    governor = Governor(LIMIT, 100)
    relieved = [now for now in range(200) if governor.react(int(LIMIT * FIRST) + 1, float(now), 100).relieve]
    assert relieved == [0, 2, 6, 14, 30, 62, 122, 182]


def test_above_the_second_threshold_fewer_are_admitted_at_each_check() -> None:
    governor = Governor(LIMIT, 100)
    admitted, in_flight = [], 100
    for now in range(20):
        reaction = governor.react(int(LIMIT * SECOND) + 1, float(now), in_flight)
        admitted.append(reaction.admitted)
        in_flight = reaction.admitted
    assert admitted[:5] == [70, 49, 34, 23, 16]
    assert set(admitted[-6:]) == {0, 1}  # one at a time, for as long as it lasts
    assert governor.slowed


def test_the_reduction_starts_from_what_is_in_flight() -> None:
    assert Governor(LIMIT, 1000).react(900, 0.0, 10).admitted == 7


def test_one_target_is_admitted_if_none_is_in_flight() -> None:
    governor = Governor(LIMIT, 1000)
    assert governor.react(2000, 0.0, 0).admitted == 1
    assert governor.react(2000, 0.1, 1).admitted == 0
    assert governor.react(2000, 0.2, 0).admitted == 1


def test_targets_are_admitted_again_when_memory_is_free() -> None:
    governor = Governor(LIMIT, 1000)
    assert governor.react(2000, 0.0, 1).admitted == 0
    assert governor.react(int(LIMIT * FIRST), 0.1, 1).admitted == 1


def test_with_free_memory_the_number_grows_evenly_to_the_limit() -> None:
    governor = Governor(LIMIT, 100)
    for now in range(10):
        governor.react(900, float(now), 20)
    admitted = [governor.react(400, 10.0 + now, 20).admitted for now in range(60)]
    assert all(more - fewer <= max(1, GROW * fewer) for fewer, more in pairwise(admitted))
    assert admitted[-1] == 100 and not governor.slowed


def test_between_the_thresholds_the_number_is_kept() -> None:
    governor = Governor(LIMIT, 100)
    slower = governor.react(900, 0.0, 100).admitted
    assert {governor.react(650, float(now), 50).admitted for now in range(10)} == {slower}


# --- the whole ---------------------------------------------------------------------------------

MIB = 1 << 20
# What is resident when nothing was scanned is some 70 MB. Without any bound 120 such certificates take 190 MB.
LARGE_LIMIT = 150 * MIB

# The kernel's own high-water mark of this program (getrusage would count the one that started it too).
SCAN = """
import re, sys
from scanner.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        sys.stderr.write("peak " + re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the resident size is read from /proc")
@pytest.mark.parametrize("trusted", [True, False])
def test_a_scan_of_very_large_certificates_stays_below_its_limit(tmp_path: Path, trusted: bool) -> None:
    hosts = 120
    output = tmp_path / "findings.ndjson"
    with large_farm(tmp_path, names=9_900) as farm:
        assert farm.certificate_bytes > 200_000
        inventory = tmp_path / "hosts.txt"
        inventory.write_text("".join(f"{address_of(number)}:{farm.port}\n" for number in range(hosts)))
        options = ["-o", str(output), "--no-progress", "--max-memory", str(LARGE_LIMIT)]
        options += ["--trust-store", str(farm.root)] if trusted else []
        done = subprocess.run(
            [sys.executable, "-c", SCAN, "scan", str(inventory), *options],
            capture_output=True,
            text=True,
            timeout=50,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
    assert done.returncode == 0, done.stderr
    peak = 1024 * int(done.stderr.rpartition("peak ")[2])
    assert 32 * MIB < peak < LARGE_LIMIT
    errors = Counter[str]()
    with open(output, "rb") as lines:
        for line in lines:
            errors.update(each["code"] for each in orjson.loads(line)["diagnoses"] if each["severity"] == "error")
    # Java takes no message of that size
    expected = {"oversized-message"} if trusted else {"oversized-message", "issuer-unknown"}
    assert errors == dict.fromkeys(expected, hosts)
