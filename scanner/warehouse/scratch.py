"""Temporary directories that go with their process, and with the next one where it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Held locked by the process that owns the directory: whoever can lock it has found one that nobody owns.
LOCK: Final = "lock"


@contextmanager
def scratch(parent: str, prefix: str, abandoned: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """A directory of our own in ``parent``, gone after the block.

    Those that a killed process of this user left there are taken away first, each handed to ``abandoned`` before.
    Raises ``OSError``.
    """
    for left in _left_behind(Path(parent), prefix):
        if abandoned is not None:
            abandoned(left)
        shutil.rmtree(left, ignore_errors=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        with (directory / "unlocked").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (directory / "unlocked").rename(directory / LOCK)
            yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _left_behind(parent: Path, prefix: str) -> Iterator[Path]:
    with os.scandir(parent) as entries:
        found = [entry for entry in entries if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)]
    for entry in found:
        try:
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            lock = os.open(Path(entry.path) / LOCK, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            continue  # just made, or just taken away
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(entry.path)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
