"""Wait until sockets are readable or writable, thousands at a time, each until its own deadline.

The problem. A probe does little else than wait: for the connection, for the server's flight, for the answers about its name.
trio's way is a cancel scope around ``wait_readable`` for each wait. Measured with 200 sockets that get a byte each time, that is 94
function calls and 10.5 us for a wait with its send and receive; with what is here it is 34 calls and 6.0 us.

The design. All TCP and UDP sockets of a run share one epoll of ours. trio waits for that epoll as for a single file (an epoll is
readable while one of its files is ready), in one task, ``serve``. A wait is then a sleeping task, an entry in a table by file
number, and an entry in a heap of deadlines. ``serve`` has one cancel scope, whose deadline is the earliest of the heap, instead of
one for each wait; entries of waits that are over stay in the heap until they come to its top or are too many.

Facts about epoll on which this rests (the essay in trio's ``_core/_io_epoll.py`` has all of them):

- epoll knows a file by its number *and* the open file behind it, and holds no reference to it. A file that is closed leaves the
  epoll by itself, unless a duplicate of it is open somewhere; we make none, and processes that are
  started inherit none (close-on-exec). So ``close`` needs no system call of ours, only the note in ``_registered``.
- EPOLLONESHOT silences a file after one event, but leaves it registered. The next wait has to switch it on again (``modify``),
  where a new file has to be added (``register``); the wrong one of the two fails. trio tries ``modify`` first, which raises an
  exception for each new file, and a probe's socket is new each time; trying ``register`` first raises one for each further wait
  on a DNS socket, which serves some hundred exchanges. ``_registered`` says which of them is right. It is kept up by ``close``,
  and where a file was closed without it, ``modify`` fails and ``register`` follows: that costs an exception and nothing else.
- An event may come for a file that no task waits for any more: the wait was cancelled or its deadline passed while the file was
  switched on. Such an event is dropped, and ONESHOT makes sure that there is no second one.

One file has one wait at a time, whether for reading or for writing: the table has one place for it. A second one raises
``trio.BusyResourceError``. Before this was refused, the second wait took the place of the first, whose end then removed the entry
of the second, and the run ended in ``TrioInternalError``.

What breaks if this is touched: a wait that is rescheduled twice is an internal error of trio, so each way of ending one (event,
deadline, cancellation, ``close``) first takes it out of ``_waits`` and marks it ``done``. A ready file is reported even when its
deadline has passed, so a loop that reads from a peer that sends without end has to check the time itself.

DNS had a machine of its own for deadlines until it moved here: an alarm for each UDP socket, and trio's ``wait_readable``. With
20 or more names in flight this costs no more (200 names: 37.0 us of CPU a name, 38.3 before; 20: 33.5 and 33.3); with one name at a
time each wake of ``serve`` serves one wait alone, and a name takes 45 us instead of 38.

Where the system has no epoll, ``TrioReadiness`` does the same by trio's own means.
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

# Heap entries of finished waits are swept out when there are this many, and more of them than of live ones.
_STALE_AT_LEAST: Final = 1024
HAS_EPOLL: Final = hasattr(select, "epoll")
if HAS_EPOLL:
    _READ: Final = select.EPOLLIN | select.EPOLLONESHOT
    _WRITE: Final = select.EPOLLOUT | select.EPOLLONESHOT


class DeadlinePassed(Exception):
    """The socket was not ready in time."""


class Readiness(Protocol):
    """The waits of one run. A ``deadline`` is a time of ``now``, which is trio's clock.

    ``readable`` and ``writable`` raise ``DeadlinePassed``, ``trio.BusyResourceError`` where another task waits for this socket,
    and ``trio.ClosedResourceError`` where ``close`` is called meanwhile.
    """

    now: Callable[[], float]

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """Wait until there is something to receive, an end or an error included."""

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """Wait until something can be sent: the connection is established, or has failed."""

    def close(self, sock: socket.socket) -> None:
        """Close ``sock``, and wake the task that waits for it."""


class _Wait:
    """One wait: the sleeping task, its file, and how it ended."""

    __slots__ = ("closed", "done", "file", "task", "timed_out")

    def __init__(self, task: trio.lowlevel.Task, file: int) -> None:
        self.task = task
        self.file = file
        self.done = False
        self.timed_out = False
        self.closed = False


class EpollReadiness:
    """One epoll for all sockets. ``serve`` has to run as long as any task waits."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        self._epoll = select.epoll()
        self._registered: set[int] = set()
        self._waits: dict[int, _Wait] = {}
        # (deadline, number, wait): the number makes all entries differ before waits would be compared
        self._deadlines: list[tuple[float, int, _Wait]] = []
        self._sweep_at = _STALE_AT_LEAST
        self._number = 0
        self._scope = trio.CancelScope()
        self._wakes_at = math.inf

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """Wait as ``Readiness.readable`` says."""
        await self._wait(sock.fileno(), _READ, deadline)

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """Wait as ``Readiness.writable`` says."""
        await self._wait(sock.fileno(), _WRITE, deadline)

    async def _wait(self, file: int, events: int, deadline: float) -> None:
        if file in self._waits:
            raise trio.BusyResourceError("another task waits for this socket")
        if file in self._registered:
            try:
                self._epoll.modify(file, events)
            except FileNotFoundError:  # the file of this number was closed without ``close``
                self._epoll.register(file, events)
        else:
            self._epoll.register(file, events)
            self._registered.add(file)
        wait = self._waits[file] = _Wait(trio.lowlevel.current_task(), file)
        self._number += 1
        heappush(self._deadlines, (deadline, self._number, wait))
        if len(self._deadlines) > self._sweep_at:
            self._sweep()
        if deadline < self._wakes_at:
            self._wakes_at = self._scope.deadline = deadline
        await trio.lowlevel.wait_task_rescheduled(partial(self._abort, wait))
        if wait.timed_out:
            raise DeadlinePassed
        if wait.closed:
            raise trio.ClosedResourceError("the socket was closed by another task")

    def _abort(self, wait: _Wait, _: Any) -> trio.lowlevel.Abort:
        """End a wait because its task is cancelled."""
        wait.done = True
        del self._waits[wait.file]
        return trio.lowlevel.Abort.SUCCEEDED

    def close(self, sock: socket.socket) -> None:
        """Close ``sock``, and wake the task that waits for it with ``trio.ClosedResourceError``."""
        file = sock.fileno()
        self._registered.discard(file)
        if file in self._waits:
            wait = self._waits.pop(file)
            wait.done = wait.closed = True
            trio.lowlevel.reschedule(wait.task)
        sock.close()

    async def serve(self) -> None:
        """Wake each task whose socket is ready or whose deadline has passed, until cancelled."""
        with self._epoll:
            while True:
                with self._scope:
                    while True:
                        await trio.lowlevel.wait_readable(self._epoll.fileno())
                        self._wake_ready()
                # the earliest deadline has passed, or it belonged to a wait that is over
                self._wake_timed_out()
                self._wakes_at = self._deadlines[0][0] if self._deadlines else math.inf
                self._scope = trio.CancelScope(deadline=self._wakes_at)

    def _wake_ready(self) -> None:
        for file, _ in self._epoll.poll(0):
            wait = self._waits.pop(file, None)
            if wait is not None:
                wait.done = True
                trio.lowlevel.reschedule(wait.task)

    def _wake_timed_out(self) -> None:
        now, deadlines = self.now(), self._deadlines
        while deadlines and (deadlines[0][2].done or deadlines[0][0] <= now):
            wait = heappop(deadlines)[2]
            if not wait.done:
                wait.done = wait.timed_out = True
                del self._waits[wait.file]
                trio.lowlevel.reschedule(wait.task)

    def _sweep(self) -> None:
        self._deadlines = [entry for entry in self._deadlines if not entry[2].done]
        heapify(self._deadlines)
        self._sweep_at = 2 * len(self._deadlines) + _STALE_AT_LEAST


class TrioReadiness:
    """The waits of one run by trio's own means, for systems without epoll."""

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time

    async def readable(self, sock: socket.socket, deadline: float) -> None:
        """Wait as ``Readiness.readable`` says."""
        with trio.move_on_at(deadline) as scope:
            await trio.lowlevel.wait_readable(sock)
        if scope.cancelled_caught:
            raise DeadlinePassed

    async def writable(self, sock: socket.socket, deadline: float) -> None:
        """Wait as ``Readiness.writable`` says."""
        with trio.move_on_at(deadline) as scope:
            await trio.lowlevel.wait_writable(sock)
        if scope.cancelled_caught:
            raise DeadlinePassed

    def close(self, sock: socket.socket) -> None:
        """Close ``sock``, and wake the task that waits for it with ``trio.ClosedResourceError``."""
        if sock.fileno() >= 0:
            trio.lowlevel.notify_closing(sock)
        sock.close()


_OF_THIS_RUN: Final[trio.lowlevel.RunVar[Readiness]] = trio.lowlevel.RunVar("readiness")


def current_readiness() -> Readiness:
    """Return the ``Readiness`` of this run of trio, made at the first call."""
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
