"""How much memory a run may take, how much it takes, and what is to be done when that becomes too much.

A run looks at its own resident size a few times a second and reacts in steps: above a first mark it forgets what it keeps
only to save work, and writes to disk what waits; above a second one it has fewer targets in flight, down to one, until it
is below again. So it becomes slower, and the kernel has no reason to kill it.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

# Parts of the limit: above the first, caches are emptied; above the second, fewer targets are in flight; below the lowest,
# more again. Between the second and the limit is what may arrive between two looks.
LOWEST: Final = 0.5
FIRST: Final = 0.6
SECOND: Final = 0.75
# Seconds between two looks: while there is much room, and when there is little.
SELDOM: Final = 0.5
OFTEN: Final = 0.05
# Part of the limit above which it is looked at often.
NEAR: Final = 0.4
# To this part of what is in flight goes the number that is admitted, at each look above the second mark ...
SHRINK: Final = 0.7
# ... and by this part it grows, at each look below the lowest.
GROW: Final = 0.1
# Caches are not emptied again within this many seconds; it becomes twice as long, up to the longest, each time that it was of
# little use, since they are there to save work.
RELIEF_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
OF_LITTLE_USE: Final = 0.02
# The interpreter with all modules takes some 80 MB: with less than this nothing would be left to work with.
LEAST: Final = 128 << 20
# The byte limits of all caches together are some 450 MB, and they may take a quarter of the limit.
CACHES: Final = 1800 << 20
# Of the machine's memory, or of what its container may take.
DEFAULT_PART: Final = 4

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)\s*([KMGT]?)(?:I?B)?", re.IGNORECASE)


def parse_size(text: str) -> int | None:
    """Return the bytes that ``512M``, ``2G`` or ``1.5 GiB`` mean (powers of 1024); ``None`` for what is no size."""
    found = _SIZE.fullmatch(text.strip())
    return None if found is None else int(float(found[1]) * _UNITS[found[2].upper()])


def size_text(size: int) -> str:
    """Return a size as a person writes it: ``1.5G``, ``512M``."""
    return f"{size / (1 << 30):.3g}G" if size >= 1 << 30 else f"{size / (1 << 20):.3g}M"


def default_limit(root: Path = Path("/")) -> int | None:
    """Return a quarter of the machine's memory, or of its control group's limit where that is lower; ``None`` where neither
    is known."""
    known = [size for size in (_machine(), _control_group(root)) if size]
    return max(min(known) // DEFAULT_PART, LEAST) if known else None


def _machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _control_group(root: Path) -> int | None:
    """The lowest limit of the control groups (version 2, else 1) that this process is in."""
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        base, name = (
            ("sys/fs/cgroup", "memory.max") if not controllers else ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        )
        group = Path(path.lstrip("/"))
        # in a container the path can be one of the host's, which is not there: its own group is the root then
        for place in (group, *group.parents):
            text = _read(root / base / place / name).strip()
            if text.isdigit():
                limits.append(int(text))
    return min(limits, default=None)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def resident() -> int | None:
    """Return the resident bytes of this process; ``None`` where the system does not say (not Linux)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None


_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def give_back() -> None:
    """Collect what is unreachable, and have the C library return free memory to the system, where it can (glibc)."""
    gc.collect()
    if sys.platform == "linux":
        import ctypes  # only where memory is short

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


class Reaction(NamedTuple):
    """What is to be done after a look: ``relieve`` is to empty caches and write to disk what waits, ``admitted`` is how many
    targets may be in flight, ``pause`` the seconds until the next look."""

    relieve: bool
    admitted: int
    pause: float


class Governor:
    """Decides by resident size and time what a run has to do to stay below ``limit`` bytes. No clock, no system call."""

    def __init__(self, limit: int, concurrency: int) -> None:
        """``concurrency`` is how many targets are in flight where memory is no concern."""
        self.limit = limit
        self._asked = concurrency
        self._admitted = concurrency
        self._relieved_at = float("-inf")
        self._relief_pause = RELIEF_PAUSE
        self._before_relief: int | None = None

    @property
    def slowed(self) -> bool:
        """Fewer targets than asked for are admitted."""
        return self._admitted < self._asked

    def react(self, size: int, now: float, in_flight: int) -> Reaction:
        """Decide by ``size`` resident bytes at ``now`` (seconds), with ``in_flight`` targets begun and not finished."""
        limit = self.limit
        if self._before_relief is not None:
            freed = self._before_relief - size
            useful = freed >= self._before_relief * OF_LITTLE_USE
            self._relief_pause = RELIEF_PAUSE if useful else min(2 * self._relief_pause, LONGEST_PAUSE)
            self._before_relief = None
        if size > limit * SECOND:
            # one at a time at the least, and none beside what is still at work: the run goes on however large it is
            fewer = int(min(self._admitted, in_flight) * SHRINK)
            self._admitted = max(fewer, 0 if in_flight > fewer else 1)
        elif size < limit * LOWEST and self.slowed:
            self._admitted = min(self._asked, self._admitted + max(1, int(self._admitted * GROW)))
        elif not self._admitted:
            self._admitted = 1
        relieve = size > limit * FIRST and now - self._relieved_at >= self._relief_pause
        if relieve:
            self._relieved_at = now
            self._before_relief = size
        return Reaction(relieve, self._admitted, OFTEN if self.slowed or size > limit * NEAR else SELDOM)


def slowdown_message(limit: int) -> str:
    """Return what the user is told once, when a run slows down for want of memory."""
    return (
        f"memory is short: this run may take {size_text(limit)} (--max-memory), so it empties its caches, writes what waits to disk"
        " and has fewer targets in flight until there is room again"
    )
