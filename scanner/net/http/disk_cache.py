"""Disk cache of fetched answers between runs, each kept for as long as it is valid.

One file for each answer, named by the hash of its key, written under another name and then renamed: any number of processes may
use one directory, and none ever reads half a file. Only answers whose signature verified are put into it, and they are
verified again when they are read: the directory is not trusted. Where it cannot be written, nothing is kept.

Other users may try to have us write or delete elsewhere: no link is followed, every file is opened relative to the directory's
descriptor, a directory that others can change is not used, and only files that are recognised as ours are removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

MAGIC: Final = b"tlsweep-fetched/1\n"
# until when (seconds since the epoch), length of the key, length of the body; then SHA-256 of all that follows, key, body
_HEAD: Final = struct.Struct(">dII")
_DIGEST: Final = 32

# The lists of all public CAs together have some 300 MB; a fleet meets a few of them.
MAX_BYTES: Final = 512 << 20
MAX_FILES: Final = 50_000
# The largest body that is fetched, and its head.
MAX_FILE: Final = (64 << 20) + 65536
# The directory is swept before the first file is written and after so many more, or so many bytes.
SWEEP_FILES: Final = 256
SWEEP_BYTES: Final = 64 << 20
# Sweeping goes below the bounds by this share, so that it is not done again at once.
SWEEP_TO: Final = 0.9
# Seconds after which a file that was never renamed belongs to a process that has died.
ABANDONED: Final = 3600.0

# Names of answers, and of what is being written and of locks.
_ANSWER: Final = re.compile(r"[0-9a-f]{64}\Z")
_TEMPORARY: Final = re.compile(r"\.[0-9a-f]{16}\.[0-9a-f]{16}\Z|\.lock-[0-9a-f]{32}\Z")

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def unsafe_reason(directory: str | Path) -> str | None:
    """Return why ``directory`` is not safe to keep files in, for a person; ``None`` if it is, or does not exist yet.

    The rule is that of ssh for files that it trusts: it and its parents belong to this user or to root, and no other may change it.
    A world-writable directory above with the sticky bit, such as ``/tmp``, is accepted.
    """
    path = Path(directory)
    if path.is_symlink():
        return "it is a symbolic link"
    real = Path(os.path.realpath(path))
    for place in (real / "fetched", real, *real.parents):
        try:
            seen = place.lstat()
        except OSError:
            continue  # it will be made, or cannot be
        what = "it" if place == real else str(place)
        if not stat.S_ISDIR(seen.st_mode):
            return f"{what} is not a directory"
        if seen.st_uid not in (0, os.geteuid()):
            return f"{what} belongs to another user"
        ours = place in (real / "fetched", real)
        if seen.st_mode & (0o022 if ours else 0o002) and (ours or not seen.st_mode & stat.S_ISVTX):
            return f"{what} can be changed by other users"
    return None


class DiskCache:
    """Answers by key. ``clock`` returns seconds since the epoch. All methods block for as long as the disk takes."""

    def __init__(
        self,
        directory: str | Path,
        *,
        clock: Callable[[], float] = time.time,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
    ) -> None:
        self._directory = Path(directory) / "fetched"
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._usable = unsafe_reason(directory) is None
        self._files = SWEEP_FILES  # so that the first writing sweeps
        self._bytes = 0

    def get(self, key: str) -> bytes | None:
        """Return the answer under ``key`` while it is valid, else ``None``; a damaged file counts as missing."""
        name = _name(key)
        try:
            with self._opened() as directory:
                content = _read(directory, name)
                start = len(MAGIC) + _HEAD.size
                if not content.startswith(MAGIC):
                    return None
                if len(content) < start + _DIGEST:
                    _forget(directory, name)
                    return None
                head = content[len(MAGIC) : start]
                until, key_length, body_length = _HEAD.unpack(head)
                rest = content[start + _DIGEST :]
                if len(rest) != key_length + body_length or content[start : start + _DIGEST] != _digest(head, rest):
                    _forget(directory, name)
                    return None
                if not self._clock() < until:
                    _forget(directory, name)
                    return None
        except OSError:
            return None
        if rest[:key_length] != key.encode("utf-8", "surrogatepass"):
            return None
        return rest[key_length:]

    def put(self, key: str, body: bytes, until: float) -> None:
        """Keep an answer until a moment (seconds since the epoch)."""
        if not self._usable or not self._clock() < until:
            return
        raw = key.encode("utf-8", "surrogatepass")
        head = _HEAD.pack(until, len(raw), len(body))
        try:
            with self._opened(make=True) as directory:
                if self._files >= SWEEP_FILES or self._bytes >= SWEEP_BYTES:
                    self._sweep(directory)
                _write(directory, _name(key), (MAGIC, head, _digest(head, raw, body), raw, body))
        except OSError:
            self._usable = False  # full, not ours, or read-only: the run goes on without
            return
        self._files += 1
        self._bytes += len(body)

    def lock(self, key: str) -> int | None:
        """Return a descriptor for ``unlock``, or ``None`` if another process fetches ``key``; ``OSError`` if it cannot be written."""
        with self._opened(make=True) as directory:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(_lock_name(key), flags, 0o600, dir_fd=directory)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def unlock(self, key: str, descriptor: int) -> None:
        """Release the lock and remove its file. A process that waits for it finds the answer, and at worst fetches again."""
        with suppress(OSError), self._opened() as directory:
            _forget(directory, _lock_name(key))
        os.close(descriptor)

    @contextmanager
    def _opened(self, *, make: bool = False) -> Iterator[int]:
        """Open the directory and yield its descriptor. Raises ``OSError`` where it is refused."""
        if not self._usable:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if make:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent = os.open(self._directory.parent, _DIRECTORY)
        try:
            directory = os.open(self._directory.name, _DIRECTORY, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            seen = os.fstat(directory)
            if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
                raise PermissionError(errno.EPERM, "the directory can be changed by other users")
            yield directory
        finally:
            os.close(directory)

    def _sweep(self, directory: int) -> None:
        """Remove the oldest files until the directory is within its bounds, and what dead processes left."""
        self._files = self._bytes = 0
        now = self._clock()
        found: list[tuple[float, int, str]] = []
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # another process was quicker
                if not stat.S_ISREG(seen.st_mode):
                    continue
                if _TEMPORARY.match(entry.name):
                    if now - seen.st_mtime > ABANDONED and _is_ours(directory, entry.name):
                        _forget(directory, entry.name)
                elif _ANSWER.match(entry.name):
                    found.append((seen.st_mtime, seen.st_size, entry.name))
        total, count = sum(size for _, size, _ in found), len(found)
        if total <= self._max_bytes and count <= self._max_files:
            return
        for _, size, name in sorted(found):
            if total <= self._max_bytes * SWEEP_TO and count <= self._max_files * SWEEP_TO:
                break
            if _is_ours(directory, name):
                _forget(directory, name)
            total -= size
            count -= 1


def _name(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _lock_name(key: str) -> str:
    return f".lock-{_name(key)[:32]}"


def _forget(directory: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=directory)


def _is_ours(directory: int, name: str) -> bool:
    """Return True if the file begins like an answer of ours, is empty as a lock is, or does not exist."""
    try:
        start = _read(directory, name, len(MAGIC))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return MAGIC.startswith(start)


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _read(directory: int, name: str, size: int = MAX_FILE) -> bytes:
    """Return the content of a regular file of this user. No link is followed and no pipe waited for. Raises ``OSError``."""
    descriptor = os.open(name, _READ, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        seen = os.fstat(descriptor)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "not a file of this user")
        return file.read(size)


def _write(directory: int, name: str, parts: tuple[bytes, ...]) -> None:
    if not _is_ours(directory, name):
        return
    temporary = f".{name[:16]}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        _forget(directory, temporary)
        raise
