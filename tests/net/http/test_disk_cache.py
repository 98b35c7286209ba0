"""The cache on disk: what was put is there until its time, and nothing that happens to its files harms a run."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scanner.net.http import disk_cache
from scanner.net.http.disk_cache import ABANDONED, MAGIC, DiskCache, unsafe_reason

NOW = 1_800_000_000.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def files(directory: Path) -> list[Path]:
    return sorted((directory / "fetched").iterdir())


def path_of(directory: Path, key: str) -> Path:
    return directory / "fetched" / hashlib.sha256(key.encode()).hexdigest()


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
def test_changed_byte_makes_a_file_unusable(place: int, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("key", b"body" * 20, NOW + 1)
    [path] = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert cache.get("key") is None
    assert path.exists() == (place < len(MAGIC))  # what is not recognised as ours is not removed


@pytest.mark.parametrize("keep", [0, 10, 40, 70, -1])
def test_truncated_file_has_no_answer(keep: int, tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, clock=Clock())
    cache.put("key", b"body" * 20, NOW + 1)
    [path] = files(tmp_path)
    path.write_bytes(path.read_bytes()[:keep])
    assert cache.get("key") is None


def test_anything_but_a_regular_file_is_not_read(tmp_path: Path) -> None:
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
    path.rename(path_of(tmp_path, "b"))
    assert cache.get("b") is None


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        cache = DiskCache(place, clock=Clock())
        cache.put("a", b"a", NOW + 1)
        assert cache.get("a") is None


def test_the_directory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "SWEEP_FILES", 1)
    cache = DiskCache(tmp_path, clock=Clock(), max_bytes=10_000)
    for number in range(30):
        cache.put(str(number), bytes(1000), NOW + 1)
        os.utime(path_of(tmp_path, str(number)), (NOW + number, NOW + number))
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
    left, fresh = (tmp_path / "fetched" / f".{letter * 16}.{letter * 16}" for letter in "ab")
    lock = tmp_path / "fetched" / f".lock-{'a' * 32}"
    for path, age, content in ((left, ABANDONED + 1, MAGIC + b"half"), (fresh, 1.0, b"tl"), (lock, ABANDONED + 1, b"")):
        path.write_bytes(content)
        os.utime(path, (NOW - age, NOW - age))
    DiskCache(tmp_path, clock=clock).put("b", b"b", NOW + 1)
    assert not left.exists()
    assert not lock.exists()
    assert fresh.exists()


def test_what_it_did_not_write_is_never_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_cache, "SWEEP_FILES", 1)
    cache = DiskCache(tmp_path, clock=Clock(), max_files=2, max_bytes=100)
    cache.put("a", b"a", NOW + 1)
    place = tmp_path / "fetched"
    precious = [
        place / "thesis.txt",
        place / ".bashrc",
        place / ("0" * 64),
        place / f".{'0' * 16}.{'0' * 16}",
        place / ".left",
    ]
    for path in precious:
        path.write_text("precious" * 100)
    target = tmp_path / "target"
    target.write_bytes(MAGIC)
    (place / ("1" * 64)).symlink_to(target)
    for path in [*precious, target]:
        os.utime(path, (NOW - 1e6, NOW - 1e6))
    theirs = path_of(tmp_path, "b")
    theirs.write_text("precious" * 100)
    for number in range(10):
        cache.put(str(number), b"x" * 50, NOW + 1)
    cache.put("b", b"b", NOW + 1)
    assert cache.get("b") is None
    for path in [*precious, theirs]:
        assert path.read_text() == "precious" * 100
    assert target.read_bytes() == MAGIC
    assert (place / ("1" * 64)).is_symlink()


@pytest.mark.parametrize("below", ["", "fetched"])
def test_a_link_in_the_place_of_the_directory_is_refused(below: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "fetched").mkdir(parents=True, mode=0o700)
    (tmp_path / "cache").mkdir()
    link = tmp_path / "cache" / below if below else tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere" / below)
    directory = tmp_path / "cache" if below else link
    assert unsafe_reason(directory) is not None
    cache = DiskCache(directory, clock=Clock())
    cache.put("a", b"a", NOW + 1)
    assert cache.get("a") is None
    assert list((tmp_path / "elsewhere" / "fetched").iterdir()) == []


def test_a_link_that_is_put_there_later_is_not_followed(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", clock=Clock())
    cache.put("a", b"a", NOW + 1)
    (tmp_path / "cache" / "fetched").rename(tmp_path / "moved")
    (tmp_path / "cache" / "fetched").symlink_to(tmp_path / "moved")
    assert cache.get("a") is None
    cache.put("b", b"b", NOW + 1)
    assert len(list((tmp_path / "moved").iterdir())) == 1


def test_directories_that_others_can_change_are_refused(tmp_path: Path) -> None:
    above, place = tmp_path / "above", tmp_path / "above" / "cache"
    place.mkdir(parents=True)
    for path, mode, refused in (
        (place, 0o700, False), (place, 0o755, False), (place, 0o777, True), (place, 0o770, True), (place, 0o1777, True),
        (above, 0o777, True), (above, 0o1777, False), (above, 0o775, False), (above, 0o755, False),
    ):  # fmt: skip
        path.chmod(mode)
        assert (unsafe_reason(place) is not None) == refused, (path, oct(mode))
        path.chmod(0o755)
    (place / "fetched").mkdir()
    (place / "fetched").chmod(0o777)
    cache = DiskCache(place, clock=Clock())
    cache.put("a", b"a", NOW + 1)
    assert list((place / "fetched").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_others_is_refused(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", clock=Clock())
    cache.put("a", b"a", NOW + 1)
    [path] = files(tmp_path / "cache")
    os.chown(path, 12345, 12345)
    assert cache.get("a") is None
    os.chown(path, 0, 0)
    assert cache.get("a") == b"a"
    os.chown(tmp_path / "cache", 12345, 12345)
    assert "another user" in str(unsafe_reason(tmp_path / "cache"))


def test_several_processes_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from scanner.net.http.disk_cache import DiskCache; cache = DiskCache(sys.argv[1])\n"
        "for number in range(300):\n"
        "    cache.put('key', bytes([int(sys.argv[2])]) * 5000, 9e9)\n"
        "    found = cache.get('key')\n"
        "    assert found is not None and len(found) == 5000 and len(set(found)) == 1\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(number)]) for number in range(3)]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    assert len(files(tmp_path)) == 1
