"""The cache on disk: what was put is there until its time, and nothing that happens to its files harms a run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.net import fetch_cache
from scanner.net.fetch_cache import ABANDONED, DiskCache

NOW = 1_800_000_000.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def files(directory: Path) -> list[Path]:
    return sorted((directory / "fetched").iterdir())


def test_kept_until_its_time_also_for_another_run(tmp_path: Path) -> None:
    clock = Clock()
    cache = DiskCache(tmp_path / "new", clock=clock)
    assert cache.get("crl http://ca.example/a.crl") is None
    cache.put("crl http://ca.example/a.crl", b"list", NOW + 60)
    cache.put("empty", b"", NOW + 60)
    cache.put("past", b"x", NOW)
    other = DiskCache(tmp_path / "new", clock=clock)
    assert other.get("crl http://ca.example/a.crl") == b"list"
    assert other.get("empty") == b""
    assert other.get("past") is None
    clock.now += 60
    assert other.get("crl http://ca.example/a.crl") is None
    assert len(files(tmp_path / "new")) == 1  # the one that was asked for is gone
    assert (tmp_path / "new" / "fetched").stat().st_mode & 0o77 == 0


def test_a_newer_answer_takes_the_place(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("a", b"old", NOW + 1)
    cache.put("a", b"new", NOW + 1)
    assert cache.get("a") == b"new"
    assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("place", range(0, 90, 7))
def test_a_changed_byte_is_noticed(place: int, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("key", b"body" * 20, NOW + 1)
    [path] = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.get("key") is None
    assert not path.exists()


@pytest.mark.parametrize("keep", [0, 10, 40, 70, -1])
def test_half_a_file(keep: int, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("key", b"body" * 20, NOW + 1)
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.get("key") is None


def test_what_is_no_file(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("key", b"body", NOW + 1)
    [path] = files(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.get("key") is None
    path.unlink()
    os.mkfifo(path)
    assert cache.get("key") is None
    path.unlink(missing_ok=True)
    path.mkdir()
    assert cache.get("key") is None


def test_a_file_of_another_key(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("a", b"a", NOW + 1)
    [path] = files(tmp_path)
    path.rename(cache._path("b"))
    assert cache.get("b") is None


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        cache = DiskCache(place, clock=Clock())
        cache.put("a", b"a", NOW + 1)
        assert cache.get("a") is None


def test_the_directory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_cache, "SWEEP_FILES", 1)
    cache = DiskCache(tmp_path, clock=Clock(), max_bytes=10_000)
    for number in range(30):
        cache.put(str(number), bytes(1000), NOW + 1)
        os.utime(cache._path(str(number)), (NOW + number, NOW + number))
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 12_000
    assert cache.get("29") is not None
    assert cache.get("0") is None
    few = DiskCache(tmp_path, clock=Clock(), max_files=5)
    few.put("x", b"", NOW + 1)
    assert len(files(tmp_path)) <= 6


def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    clock = Clock()
    cache = DiskCache(tmp_path, clock=clock)
    cache.put("a", b"a", NOW + 1e6)
    left, fresh = tmp_path / "fetched" / ".left", tmp_path / "fetched" / ".fresh"
    for path, age in ((left, ABANDONED + 1), (fresh, 1.0)):
        path.write_text("half")
        os.utime(path, (NOW - age, NOW - age))
    DiskCache(tmp_path, clock=clock).put("b", b"b", NOW + 1)
    assert not left.exists()
    assert fresh.exists()


def test_several_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from scanner.net.fetch_cache import DiskCache; cache = DiskCache(sys.argv[1])\n"
        "for number in range(300):\n"
        "    cache.put('key', bytes([int(sys.argv[2])]) * 5000, 9e9)\n"
        "    found = cache.get('key')\n"
        "    assert found is not None and len(found) == 5000 and len(set(found)) == 1\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(3)]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    assert len(files(tmp_path)) == 1
