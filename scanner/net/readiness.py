"""Waiting for sockets, thousands at a time, each until its own deadline.

trio can do that too: a cancel scope and ``wait_readable`` for each wait. That is some forty calls and three or four system
calls, and a probe does little else than wait. Here all sockets of a run share one epoll, which trio waits for as for a single
file; a wait is a task that sleeps, an entry in a table, and one in a heap of deadlines. Where the system has no epoll it is
done in trio's way.
"""

from __future__ import annotations

import math
import select
import socket
from collections.abc import Callable
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any, Final, Protocol

import trio

# The heap keeps entries of waits that are over; they are cleared away when they are this many, and more than the others.
_STALE_AT_LEAST: Final = 1024
HAS_EPOLL: Final = hasattr(select, "epoll")


class DeadlinePassed(Exception):
    """What was waited for did not come in time."""


class Readiness(Protocol):
    """The waits of one run. Both raise ``DeadlinePassed``; a ``deadline`` is a time of ``now``, which is trio's clock."""

    now: Callable[[], float]

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """Until there is something to be received, an end or an error included."""

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """Until something can be sent: the connection is there, or has failed."""


class _Wait:
    """One wait: who sleeps, for which file, and how it ended."""

    __slots__ = ("file", "late", "over", "task")

    def __init__(self, task: trio.lowlevel.Task, file: int) -> None:
        self.task = task
        self.file = file
        self.late = False
        self.over = False


class EpollReadiness:
    """One epoll for all sockets. ``serve`` has to run as long as anybody waits."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        self._epoll = select.epoll()
        self._waits: dict[int, _Wait] = {}
        # (deadline, number, wait): no two are the same in the first two
        self._due: list[tuple[float, int, _Wait]] = []
        self._most_due = _STALE_AT_LEAST
        self._number = 0
        self._scope = trio.CancelScope()
        self._wakes_at = math.inf

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """As ``Readiness.readable``."""
        await self._wait(sock.fileno(), select.EPOLLIN | select.EPOLLONESHOT, deadline)

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """As ``Readiness.writable``."""
        await self._wait(sock.fileno(), select.EPOLLOUT | select.EPOLLONESHOT, deadline)

    async def _wait(self, file: int, events: int, deadline: float) -> None:
        try:
            self._epoll.register(file, events)
        except FileExistsError:  # not its first wait; what is closed leaves the epoll by itself
            self._epoll.modify(file, events)
        wait = self._waits[file] = _Wait(trio.lowlevel.current_task(), file)
        self._number += 1
        heappush(self._due, (deadline, self._number, wait))
        if len(self._due) > self._most_due:
            self._clear()
        if deadline < self._wakes_at:
            self._wakes_at = self._scope.deadline = deadline
        await trio.lowlevel.wait_task_rescheduled(partial(self._abandon, wait))
        if wait.late:
            raise DeadlinePassed

    def _abandon(self, wait: _Wait, _: Any) -> trio.lowlevel.Abort:
        """Whoever waited is cancelled."""
        wait.over = True
        del self._waits[wait.file]
        return trio.lowlevel.Abort.SUCCEEDED

    async def serve(self) -> None:
        """Wake everybody whose socket is ready or whose deadline has passed, until cancelled."""
        with self._epoll:
            while True:
                with self._scope:
                    while True:
                        await trio.lowlevel.wait_readable(self._epoll.fileno())
                        self._wake()
                # the earliest deadline has passed, or it was that of a wait that is over
                self._expire()
                self._wakes_at = self._due[0][0] if self._due else math.inf
                self._scope = trio.CancelScope(deadline=self._wakes_at)

    def _wake(self) -> None:
        for file, _ in self._epoll.poll(0):
            wait = self._waits.pop(file, None)
            if wait is not None:
                wait.over = True
                trio.lowlevel.reschedule(wait.task)

    def _expire(self) -> None:
        now, due = self.now(), self._due
        while due and (due[0][2].over or due[0][0] <= now):
            wait = heappop(due)[2]
            if not wait.over:
                wait.over = wait.late = True
                del self._waits[wait.file]
                trio.lowlevel.reschedule(wait.task)

    def _clear(self) -> None:
        self._due = [entry for entry in self._due if not entry[2].over]
        heapify(self._due)
        self._most_due = 2 * len(self._due) + _STALE_AT_LEAST


class TrioReadiness:
    """The same with what trio has for every system."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """As ``Readiness.readable``."""
        with trio.move_on_at(deadline) as scope:
            await trio.lowlevel.wait_readable(sock)
        if scope.cancelled_caught:
            raise DeadlinePassed

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """As ``Readiness.writable``."""
        with trio.move_on_at(deadline) as scope:
            await trio.lowlevel.wait_writable(sock)
        if scope.cancelled_caught:
            raise DeadlinePassed


_OF_THIS_RUN: Final[trio.lowlevel.RunVar[Readiness]] = trio.lowlevel.RunVar("readiness")


def current_readiness() -> Readiness:
    """The one of this run of trio, which ends with it."""
    try:
        return _OF_THIS_RUN.get()
    except LookupError:
        ready: Readiness
        if HAS_EPOLL:
            ready = EpollReadiness()
            trio.lowlevel.spawn_system_task(ready.serve, name="readiness")
        else:
            ready = TrioReadiness()
        _OF_THIS_RUN.set(ready)
        return ready
