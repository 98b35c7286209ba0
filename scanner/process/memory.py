"""The memory limit of a run: how much memory it may take, how much it takes, and how it reacts when that is too much.

A run checks its own resident size a few times a second. Above a first threshold it empties its caches and writes what waits to
disk; above a second one it has fewer targets in flight, down to one, until it is below again. So a run becomes slower instead
of being killed by the kernel. Resident size, not a sum of estimates, is what counts: the estimates of the caches and the spool
miss the interpreter, the allocator's fragmentation and what a hundred coroutines hold at the moment.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

# Fractions of the limit: above FIRST caches are emptied, above SECOND fewer targets are in flight, below LOWEST more again.
# Between SECOND and the limit is room for what arrives between two checks.
LOWEST: Final = 0.5
FIRST: Final = 0.6
SECOND: Final = 0.75
# Seconds between two checks: while there is much room, and when there is little.
SELDOM: Final = 0.5
OFTEN: Final = 0.05
# Fraction of the limit above which checks are frequent.
NEAR: Final = 0.4
# At each check above SECOND, this fraction of what is in flight is still admitted ...
SHRINK: Final = 0.7
# ... and at each check below LOWEST the number grows by this fraction.
GROW: Final = 0.1
# Seconds before caches are emptied again; doubled, up to LONGEST_PAUSE, each time that emptying them freed less than the
# fraction OF_LITTLE_USE, since they save work.
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
    """Return the bytes that ``512M``, ``2G`` or ``1.5 GiB`` mean (powers of 1024); ``None`` if ``text`` is not a size."""
    found = _SIZE.fullmatch(text.strip())
    return None if found is None else int(float(found[1]) * _UNITS[found[2].upper()])


def size_text(size: int) -> str:
    """Return a size as a person writes it: ``1.5G``, ``512M``."""
    return f"{size / (1 << 30):.3g}G" if size >= 1 << 30 else f"{size / (1 << 20):.3g}M"


def default_limit(root: Path = Path("/")) -> int | None:
    """Return a quarter of the machine's memory or, if lower, of its control group's limit; ``None`` if neither is known."""
    known = [size for size in (_machine(), _control_group(root)) if size]
    return max(min(known) // DEFAULT_PART, LEAST) if known else None


def _machine() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _control_group(root: Path) -> int | None:
    """Return the lowest limit of the control groups (version 2, else 1) of this process."""
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers not in ("", "memory"):
            continue
        base, name = (
            ("sys/fs/cgroup", "memory.max") if not controllers else ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        )
        group = Path(path.lstrip("/"))
        # in a container the path may be one of the host's, which does not exist there: the group is the root then
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
    """Return the resident bytes of this process; ``None`` if the system does not provide them (not Linux)."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, ValueError, IndexError):
        return None


_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def give_back() -> None:
    """Collect garbage, and have the C library return free memory to the system if it can (glibc)."""
    gc.collect()
    if sys.platform == "linux":
        import ctypes  # only when memory is short

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


class Reaction(NamedTuple):
    """What to do after a check: ``relieve`` means to empty caches and spill what waits to disk, ``admitted`` is the number of
    targets that may be in flight, ``pause`` the seconds until the next check."""

    relieve: bool
    admitted: int
    pause: float


class Governor:
    """Decides, from resident size and time, how a run stays below ``limit`` bytes. Has no clock and makes no system call."""

    def __init__(self, limit: int, concurrency: int) -> None:
        """``concurrency`` is the number of targets in flight when memory is not short."""
        self.limit = limit
        self._asked = concurrency
        self._admitted = concurrency
        self._relieved_at = float("-inf")
        self._relief_pause = RELIEF_PAUSE
        self._before_relief: int | None = None

    @property
    def slowed(self) -> bool:
        """Whether fewer targets than asked for are admitted."""
        return self._admitted < self._asked

    def react(self, size: int, now: float, in_flight: int) -> Reaction:
        """Decide what to do with ``size`` resident bytes at ``now`` (seconds) and ``in_flight`` unfinished targets."""
        limit = self.limit
        if self._before_relief is not None:
            freed = self._before_relief - size
            useful = freed >= self._before_relief * OF_LITTLE_USE
            self._relief_pause = RELIEF_PAUSE if useful else min(2 * self._relief_pause, LONGEST_PAUSE)
            self._before_relief = None
        if size > limit * SECOND:
            # at least one at a time, but none beside those still at work: the run goes on whatever its size
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
