"""Temporary directories that are removed at exit, or by the next process if this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Locked by the process that owns the directory, so a directory whose lock is free is abandoned.
LOCK: Final = "lock"


@contextmanager
def scratch(parent: str, prefix: str, on_abandoned: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Create a directory in ``parent`` whose name begins with ``prefix``, and remove it after the block.

    Directories that killed processes of this user left behind are removed first; ``on_abandoned`` is called with each
    before that. Raises ``OSError``.
    """
    for left in _abandoned(Path(parent), prefix):
        if on_abandoned is not None:
            on_abandoned(left)
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (directory / "unlocked").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (directory / "unlocked").rename(directory / LOCK)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _abandoned(parent: Path, prefix: str) -> Iterator[Path]:
    with os.scandir(parent) as entries:
        found = [entry for entry in entries if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)]
    for entry in found:
        try:
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            lock = os.open(Path(entry.path) / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue  # being created or removed
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(entry.path)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
