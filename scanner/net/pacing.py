"""When a connection may start: how many are in flight and how many start a second, all together and for each address.

The problem. Inventories name thousands of targets on one load balancer beside thousands of servers that have one each. The limits for
an address are there for the sake of that server; the limits of the run are there for this machine and its network. A thousand names
that wait for one server must not hold the slots of the run meanwhile, or all other servers wait with them.

The design. A connection to a gated address passes two stages, each with a FIFO queue (trio's ``ParkingLot``):

1. at its address: a slot of the address, and then its start gate, which one waiter at a time holds until the address may see
   its next start;
2. in the run: a slot of the run, and then a start time at the rate of the run.

It holds nothing of the second stage while it waits in the first; ``waiting_without_slot`` counts who does, so that the run can
employ further workers in their place.

Start times of the run are reserved in advance, one interval apart. Those of an address are not: who has passed the first stage may be
held up in the second one, and all that were held up would then start together. So the start gate stays held until the connection
has really started, and only then the next start of that address is set.

A slot or a start gate of an address that is given up is handed to the first in its queue, so those that wait there keep their order.
A slot of the run is put back, and the waiter that is woken checks again: a newcomer may have taken it, which costs the
waiter a moment and lets a probe start at once wherever there is room.

What breaks if this is touched: each wait can be cancelled, and whatever was acquired before it is given back in the ``except`` next
to it. ``tests/net/test_pacing.py`` cancels at every moment. A probe that meets no limit makes one call here and waits for nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

import trio
from msgspec import Struct

from scanner.net.sockets import OutOfResources

_T = TypeVar("_T")
_P = ParamSpec("_P")

# Records of addresses with nothing in flight are dropped once there are this many more than at the last sweep.
_SWEEP_EVERY: Final = 4096
# When the machine runs out of files the number in flight shrinks to this share of what was open, never below a floor.
_SHRINK: Final = 0.9
_FLOOR: Final = 8
# How long a probe waits for another to give back what the machine lacks, in seconds.
_EXHAUSTED_WAIT: Final = 0.2
# Such waits for one connection; a machine that has no file or port to give for a minute has none.
_MOST_SHORTAGES: Final = 300


class PacingStatistics(Struct, frozen=True):
    """Counts of one moment. ``limit`` is the concurrency in force, lowered while files or memory are short."""

    in_flight: int
    peak_in_flight: int
    limit: int
    started: int
    waiting_for_address: int
    exhausted: int


class _StartTimes:
    """Start times at a fixed rate; :meth:`reserve` returns the seconds until the next free one."""

    __slots__ = ("_interval", "_next")

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    def reserve(self, now: float) -> float:
        start = max(self._next, now)
        self._next = start + self._interval
        return start - now


class _AddressGate:
    """The slots and the start gate of one address, and who waits for them."""

    __slots__ = ("gate_queue", "in_flight", "next_start", "slot_queue", "start_gate_held")

    def __init__(self) -> None:
        self.in_flight = 0  # slots that are taken, by connections and by those that come next
        self.slot_queue: trio.lowlevel.ParkingLot | None = None
        self.start_gate_held = False
        self.gate_queue: trio.lowlevel.ParkingLot | None = None
        self.next_start = float("-inf")

    def is_idle(self, now: float) -> bool:
        return not self.in_flight and self.next_start <= now

    def release_slot(self) -> None:
        """Hand the slot to the first that waits for one."""
        if self.slot_queue:
            self.slot_queue.unpark()
        else:
            self.in_flight -= 1

    def release_start_gate(self) -> None:
        """Hand the start gate to the first that waits for it."""
        if self.gate_queue:
            self.gate_queue.unpark()
        else:
            self.start_gate_held = False


class Pacer:
    """Starts all connections of a run within its limits. Rates are starts per second, ``None`` is no limit.

    ``waiting_without_slot`` counts tasks that wait for an address, or by :meth:`yield_slot`; ``on_slot_yielded`` is called whenever
    one more does. With ``polite_to_loopback`` False the limits per address do not apply to this machine's own addresses: they are
    there for the sake of other people's servers. ``now`` is trio's time.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        rate: float | None,
        concurrency_per_address: int | None,
        rate_per_address: float | None,
        polite_to_loopback: bool,
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        self.waiting_without_slot = 0
        self.on_slot_yielded: Callable[[], None] | None = None
        self._limit = self._asked = self._most = concurrency
        self._since_shortage = 0
        self._floor = min(_FLOOR, concurrency)
        self._in_flight = 0
        self._peak = 0
        self._started = 0
        self._exhausted = 0
        self._waiting_for_address = 0
        self._slot_queue = trio.lowlevel.ParkingLot()
        self._start_times = None if rate is None else _StartTimes(rate)
        self._per_address = concurrency_per_address
        self._interval = None if rate_per_address is None else 1 / rate_per_address
        self._polite_to_loopback = polite_to_loopback
        self._gated = concurrency_per_address is not None or rate_per_address is not None
        self._addresses: dict[str, _AddressGate] = {}
        self._sweep_at = _SWEEP_EVERY
        self._now = now

    def statistics(self) -> PacingStatistics:
        """Return counts of this moment."""
        return PacingStatistics(
            self._in_flight, self._peak, self._limit, self._started, self._waiting_for_address, self._exhausted
        )

    @property
    def in_flight(self) -> int:
        """The number of connections that are open now."""
        return self._in_flight

    def _gate(self, address: str) -> _AddressGate | None:
        if not self._gated or (not self._polite_to_loopback and is_loopback(address)):
            return None
        gate = self._addresses.get(address)
        if gate is None:
            if len(self._addresses) >= self._sweep_at:
                self._sweep()
            gate = self._addresses[address] = _AddressGate()
        return gate

    def _sweep(self) -> None:
        now = self._now()
        self._addresses = {address: gate for address, gate in self._addresses.items() if not gate.is_idle(now)}
        self._sweep_at = len(self._addresses) + _SWEEP_EVERY

    async def run(
        self, address: str, connect: Callable[_P, Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> tuple[_T, float]:
        """Return what ``connect`` gives when a connection to ``address`` may start, and the seconds that it took.

        Where this machine has no file or port for it (``OutOfResources``), it is tried again when there may be one, and that
        time is not counted. Raises ``OutOfResources`` where none comes for too long.
        """
        shortages = 0
        while True:
            if not self._start_at_once(address):
                await self._wait_to_start(address)
            try:
                begun = self._now()
                result = await connect(*args, **kwargs)
                return result, self._now() - begun
            except OutOfResources:
                shortages += 1
                if shortages > _MOST_SHORTAGES:
                    raise
                await self.exhausted()
            finally:
                self.release(address)

    async def acquire(self, address: str) -> None:
        """Wait until a connection to ``address`` may start; each call is to be followed by one ``release``."""
        if not self._start_at_once(address):
            await self._wait_to_start(address)

    def _start_at_once(self, address: str) -> bool:
        """Start a connection if nothing has to be waited for, and return True; else do nothing and return False."""
        if self._in_flight >= self._limit or self._start_times is not None:
            return False
        if self._gated and (gate := self._gate(address)) is not None:
            if self._per_address is not None and gate.in_flight >= self._per_address:
                return False
            if self._interval is not None:
                now = self._now()
                if gate.start_gate_held or gate.next_start > now:
                    return False
                gate.next_start = now + self._interval
            gate.in_flight += 1
        self._in_flight += 1
        if self._in_flight > self._peak:
            self._peak = self._in_flight
        self._started += 1
        return True

    async def _wait_to_start(self, address: str) -> None:
        """Pass both stages, the address's and the run's."""
        gate = self._gate(address)
        if gate is not None:
            await self._pass_address(gate)
        try:
            while self._in_flight >= self._limit:
                await self._slot_queue.park()
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)
            try:
                if self._start_times is not None and (wait := self._start_times.reserve(self._now())) > 0:
                    await trio.sleep(wait)
            except BaseException:
                self._release_slot()
                raise
        except BaseException:
            if gate is not None:
                gate.release_start_gate()
                gate.release_slot()
            raise
        if gate is not None and self._interval is not None:
            gate.next_start = self._now() + self._interval
            gate.release_start_gate()
        self._started += 1

    async def _pass_address(self, gate: _AddressGate) -> None:
        """Take a slot of the address, and hold its start gate from when its next connection may start."""
        self._waiting_for_address += 1
        try:
            if self._per_address is None or gate.in_flight < self._per_address:
                gate.in_flight += 1
            else:
                if gate.slot_queue is None:
                    gate.slot_queue = trio.lowlevel.ParkingLot()
                with self.yield_slot():
                    await gate.slot_queue.park()  # who leaves hands its slot over
            if self._interval is None:
                return
            try:
                if not gate.start_gate_held:
                    gate.start_gate_held = True
                else:
                    if gate.gate_queue is None:
                        gate.gate_queue = trio.lowlevel.ParkingLot()
                    with self.yield_slot():
                        await gate.gate_queue.park()
                try:
                    if (wait := gate.next_start - self._now()) > 0:
                        with self.yield_slot():
                            await trio.sleep(wait)
                except BaseException:
                    gate.release_start_gate()
                    raise
            except BaseException:
                gate.release_slot()
                raise
        finally:
            self._waiting_for_address -= 1

    @contextmanager
    def yield_slot(self) -> Iterator[None]:
        """Count a wait that needs no slot of the run: meanwhile another task can use it."""
        self.waiting_without_slot += 1
        if self.on_slot_yielded is not None:
            self.on_slot_yielded()
        try:
            yield
        finally:
            self.waiting_without_slot -= 1

    def _release_slot(self) -> None:
        self._in_flight -= 1
        if self._limit < self._asked:
            self._recover()
        if self._slot_queue:
            self._slot_queue.unpark()

    def release(self, address: str) -> None:
        """Note that a connection is closed."""
        self._release_slot()
        if self._gated and (gate := self._addresses.get(address)) is not None and gate.in_flight:
            gate.release_slot()

    def _recover(self) -> None:
        """Raise the limit a little after as many connections without a shortage as may be in flight."""
        self._since_shortage += 1
        if self._since_shortage >= self._limit:
            self._since_shortage = 0
            self._limit = min(self._asked, self._limit + max(1, int(self._limit * (1 - _SHRINK))))
            self._slot_queue.unpark(count=self._limit)

    def restrict(self, most: int) -> None:
        """Let at most ``most`` be in flight from now on, never more than the concurrency asked for; those that are stay."""
        most = min(most, self._most)
        if most == self._asked:
            return
        short_of_files = self._limit < self._asked
        self._asked = most
        self._limit = min(self._limit, most) if short_of_files else most
        free = self._limit - self._in_flight
        if free > 0 and self._slot_queue:
            self._slot_queue.unpark(count=free)

    async def exhausted(self) -> None:
        """Go on with fewer in flight, because the machine had no file or port left, and wait for one to be given back."""
        self._exhausted += 1
        self._since_shortage = 0
        self._limit = min(self._asked, max(self._floor, min(self._limit, int(self._in_flight * _SHRINK))))
        await trio.sleep(_EXHAUSTED_WAIT)


def is_loopback(address: str) -> bool:
    """Return True if ``address`` (an IP literal) is a loopback address."""
    if address.startswith("127."):
        return True
    return ":" in address and ipaddress.ip_address(address.partition("%")[0]).is_loopback
