"""The two clocks of a run: one that deadlines are measured by, and one that certificates are judged by.

A deadline says how long a peer may keep us waiting. Time in which this process did not run (it was stopped by a signal, its
virtual machine was suspended, it computed, or the machine was too busy to schedule it) is not time in which the peer was
silent: its answer may lie unread in the socket's buffer. If such time counted, one pause would turn every connection in flight
into a timeout. ``LoopClock`` is therefore a clock for ``trio.run`` that leaves it out: whenever more time has passed between
two readings than the event loop meant to sleep, the excess is added to ``lost`` and not to the time. Every deadline of the run,
trio's own included, moves by as much; what arrived meanwhile is read before any deadline passes.

What a pause did to the *peer* cannot be undone: it may have given up on us. So ``scanner.net.conditions`` compares ``lost`` before and
after a probe, and what failed meanwhile is probed again.

The wall clock can be set while a run goes on. ``WallClock`` reads it once and then counts by a
clock that cannot be set, so all of a run's times are on one scale, and a jump is noticed by comparing both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final

import trio

# Seconds by which the event loop may be late before it counts: above what a garbage collection or a batch of some hundred
# handshakes takes, below the shortest timeouts that people set.
LATENESS_ALLOWED: Final = 0.1
# Seconds by which the wall clock must move against the steady one to be a jump. NTP slews by half a millisecond a second and
# steps what is off by more than 128 ms; below some seconds no certificate, OCSP response or SCT is judged otherwise.
JUMP_SECONDS: Final = 5.0
# Counts while the machine sleeps too, so that a suspended laptop is not taken for a jump; the ordinary one where it is missing.
_BOOT_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


# Seconds since the machine started, by a clock that cannot be set and that all its processes share.
boot_time: Final[Callable[[], float]] = partial(time.clock_gettime, _BOOT_CLOCK)


class LoopClock(trio.abc.Clock):
    """A clock for ``trio.run`` whose time stands still while the event loop is late; ``lost`` is the seconds left out so far."""

    __slots__ = ("_last", "_planned", "_read", "lost")

    def __init__(self, read: Callable[[], float] = perf_counter) -> None:
        self._read = read
        self._last = read()
        self._planned = 0.0
        self.lost = 0.0

    def start_clock(self) -> None:
        """Begin; trio calls this as the run begins."""
        self._last = self._read()

    def current_time(self) -> float:
        """Return the time in seconds, on a scale of its own."""
        now = self._read()
        if now - self._last > LATENESS_ALLOWED:
            self.lost += max(now - self._last - self._planned, 0.0)
        self._planned = 0.0
        self._last = now
        return now - self.lost

    def last_time(self) -> float:
        """Return the latest reading, at most one turn of the event loop old, which is cheaper than another one."""
        return self._last - self.lost

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return the seconds until ``deadline``; trio calls this right before it sleeps for at most so long."""
        seconds = deadline - self.current_time()
        if seconds > 0:
            self._planned = seconds
        return seconds


class WallClock:
    """Seconds since the epoch by the boot clock. ``offset`` is wall time less boot time, which processes of one run share."""

    def __init__(
        self,
        offset: float | None = None,
        *,
        wall: Callable[[], float] = time.time,
        boot: Callable[[], float] = boot_time,
    ) -> None:
        self._wall = wall
        self._boot = boot
        self.offset = wall() - boot() if offset is None else offset
        self._seen = self.offset

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self._boot() + self.offset

    def jump(self) -> float | None:
        """Return the seconds by which the system's clock was moved since the last call; ``None`` where it was not."""
        now = self._wall() - self._boot()
        moved = now - self._seen
        if abs(moved) < JUMP_SECONDS:
            return None
        self._seen = now
        return moved
