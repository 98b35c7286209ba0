"""What was fetched, kept on disk between runs for as long as it is valid.

One file for each answer, named by what was asked, written under another name and then renamed: any number of processes may
use one directory, and none ever reads half a file. Only answers whose signature verified are given to it, and whoever
takes one out verifies it again: the directory is no place of trust. Where it cannot be written, nothing is kept.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import struct
import time
from collections.abc import Callable
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
# The directory is gone through before the first file is written and after so many more, or so many bytes.
SWEEP_FILES: Final = 256
SWEEP_BYTES: Final = 64 << 20
# Sweeping goes below the bounds by this share, so that it is not done again at once.
SWEEP_TO: Final = 0.9
# Seconds after which a file that was never renamed belongs to a process that has died.
ABANDONED: Final = 3600.0


class DiskCache:
    """Answers by key. ``clock`` gives seconds since the epoch. All of it blocks for as long as a disk takes."""

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
        self._usable = True
        self._files = SWEEP_FILES  # so that the first writing sweeps
        self._bytes = 0

    def get(self, key: str) -> bytes | None:
        """The answer that was put under ``key``, while it is valid. What is broken is as if it were not there."""
        path = self._path(key)
        try:
            content = _read(path)
        except OSError:
            return None
        start = len(MAGIC) + _HEAD.size
        if not content.startswith(MAGIC) or len(content) < start + _DIGEST:
            return self._forget(path)
        head = content[len(MAGIC) : start]
        until, key_length, body_length = _HEAD.unpack(head)
        rest = content[start + _DIGEST :]
        if len(rest) != key_length + body_length or content[start : start + _DIGEST] != _digest(head, rest):
            return self._forget(path)
        if not self._clock() < until:
            return self._forget(path)
        if rest[:key_length] != key.encode("utf-8", "surrogatepass"):
            return None
        return rest[key_length:]

    def put(self, key: str, body: bytes, until: float) -> None:
        """Keep an answer until a moment (seconds since the epoch)."""
        if not self._usable or not self._clock() < until:
            return
        raw = key.encode("utf-8", "surrogatepass")
        head = _HEAD.pack(until, len(raw), len(body))
        path = self._path(key)
        try:
            if self._files >= SWEEP_FILES or self._bytes >= SWEEP_BYTES:
                self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._sweep()
            _write(path, (MAGIC, head, _digest(head, raw, body), raw, body))
        except OSError:
            self._usable = False  # full, not ours, or read-only: the run goes on without
            return
        self._files += 1
        self._bytes += len(body)

    def lock(self, key: str) -> int | None:
        """Try to be the only process that fetches what belongs to ``key``. Something for ``unlock``, or ``None`` where another
        one is at it; where the directory cannot be written nobody waits for anybody. Raises ``OSError`` then."""
        if not self._usable:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._path(key).with_name(f".lock-{self._path(key).name[:32]}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
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
        """Let others have their turn. The file goes too: who waits for it finds the answer, and at worst fetches again."""
        self._forget(self._path(key).with_name(f".lock-{self._path(key).name[:32]}"))
        os.close(descriptor)

    def _path(self, key: str) -> Path:
        return self._directory / hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()

    @staticmethod
    def _forget(path: Path) -> None:
        try:
            path.unlink()
        except OSError:
            pass

    def _sweep(self) -> None:
        """Remove the oldest files until the directory is within its bounds, and what dead processes left."""
        self._files = self._bytes = 0
        now = self._clock()
        found: list[tuple[float, int, str]] = []
        with os.scandir(self._directory) as entries:
            for entry in entries:
                try:
                    seen = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # another process was quicker
                if entry.name.startswith("."):
                    if now - seen.st_mtime > ABANDONED:
                        self._forget(Path(entry.path))
                    continue
                found.append((seen.st_mtime, seen.st_size, entry.path))
        total, count = sum(size for _, size, _ in found), len(found)
        if total <= self._max_bytes and count <= self._max_files:
            return
        for _, size, path in sorted(found):
            if total <= self._max_bytes * SWEEP_TO and count <= self._max_files * SWEEP_TO:
                break
            self._forget(Path(path))
            total -= size
            count -= 1


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def _read(path: Path) -> bytes:
    # no link is followed and no pipe waited for, whoever put it there
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE)


def _write(path: Path, parts: tuple[bytes, ...]) -> None:
    temporary = path.with_name(f".{path.name[:16]}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
