"""Who may connect now: connections in flight and started per second, all together and per address.

A target that waits for its address holds none of the places that all targets share, so a hundred names on one
server do not keep a thousand other servers waiting.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import trio
from msgspec import Struct

# Records of addresses with nothing in flight are dropped once there are this many more than at the last sweep.
_SWEEP_EVERY: Final = 4096
# When the machine runs out of files the number in flight shrinks to this share of what was open, never below a floor.
_SHRINK: Final = 0.9
_FLOOR: Final = 8
# How long a probe waits for another to give back what the machine lacks, in seconds.
_EXHAUSTED_WAIT: Final = 0.2


class PacingStatistics(Struct, frozen=True):
    """A moment's view. ``limit`` is the concurrency in force, which is below the one asked for after the machine ran out of
    files, and while memory is short."""

    in_flight: int
    peak_in_flight: int
    limit: int
    started: int
    waiting_for_address: int
    exhausted: int


class _Schedule:
    """Start times at a fixed rate; ``reserve`` gives how long to wait for the next free one."""

    __slots__ = ("_interval", "_next")

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._next = 0.0

    def reserve(self, now: float) -> float:
        start = max(self._next, now)
        self._next = start + self._interval
        return start - now


class _Address:
    """One address: who is connected or next in turn, and who waits.

    Times are not reserved here: who waits for its address may be held up by the limits of the run afterwards, and all
    that were held up would then start together. So one at a time stands at the door, from when its turn comes until it starts.
    """

    __slots__ = ("door_taken", "in_flight", "lot", "next", "row")

    def __init__(self) -> None:
        self.in_flight = 0
        self.lot: trio.lowlevel.ParkingLot | None = None  # for a place
        self.door_taken = False
        self.row: trio.lowlevel.ParkingLot | None = None  # for the door
        self.next = float("-inf")  # no start before this

    def idle(self, now: float) -> bool:
        return not self.in_flight and self.next <= now


class Pacer:
    """Gate of all connections of a run. Rates are starts per second, ``None`` is no limit.

    ``standing_aside`` counts who waits without holding a place; ``on_aside`` is called whenever one more does.
    With ``polite_to_loopback`` False the limits per address do not hold for this machine's own addresses:
    they are there for the sake of other people's servers.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        rate: float | None,
        concurrency_per_address: int | None,
        rate_per_address: float | None,
        polite_to_loopback: bool,
    ) -> None:
        self.standing_aside = 0
        self.on_aside: Callable[[], None] | None = None
        self._limit = self._asked = self._most = concurrency
        self._since_shortage = 0
        self._floor = min(_FLOOR, concurrency)
        self._in_flight = 0
        self._peak = 0
        self._started = 0
        self._exhausted = 0
        self._waiting_for_address = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._schedule = None if rate is None else _Schedule(rate)
        self._per_address = concurrency_per_address
        self._interval = None if rate_per_address is None else 1 / rate_per_address
        self._polite_to_loopback = polite_to_loopback
        self._gated = concurrency_per_address is not None or rate_per_address is not None
        self._addresses: dict[str, _Address] = {}
        self._sweep_at = _SWEEP_EVERY

    def statistics(self) -> PacingStatistics:
        """Counts at this moment."""
        return PacingStatistics(
            self._in_flight, self._peak, self._limit, self._started, self._waiting_for_address, self._exhausted
        )

    @property
    def in_flight(self) -> int:
        """Connections that are open now."""
        return self._in_flight

    def _gate(self, address: str) -> _Address | None:
        if not self._gated or (not self._polite_to_loopback and is_loopback(address)):
            return None
        gate = self._addresses.get(address)
        if gate is None:
            if len(self._addresses) >= self._sweep_at:
                self._sweep()
            gate = self._addresses[address] = _Address()
        return gate

    def _sweep(self) -> None:
        now = trio.current_time()
        self._addresses = {address: gate for address, gate in self._addresses.items() if not gate.idle(now)}
        self._sweep_at = len(self._addresses) + _SWEEP_EVERY

    def enter(self, address: str) -> bool:
        """``acquire`` where nothing has to be waited for; ``False``, and nothing is done, where something has."""
        if self._in_flight >= self._limit or self._schedule is not None:
            return False
        if self._gated and (gate := self._gate(address)) is not None:
            if self._per_address is not None and gate.in_flight >= self._per_address:
                return False
            if self._interval is not None:
                now = trio.current_time()
                if gate.door_taken or gate.next > now:
                    return False
                gate.next = now + self._interval
            gate.in_flight += 1
        self._in_flight += 1
        if self._in_flight > self._peak:
            self._peak = self._in_flight
        self._started += 1
        return True

    async def acquire(self, address: str) -> None:
        """Wait until a connection to ``address`` may start; each call is to be followed by one ``release``."""
        gate = self._gate(address)
        if gate is not None:
            await self._pass(gate)
        try:
            while self._in_flight >= self._limit:
                await self._lot.park()
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)
            try:
                if self._schedule is not None and (wait := self._schedule.reserve(trio.current_time())) > 0:
                    await trio.sleep(wait)
            except BaseException:
                self._give_back()
                raise
        except BaseException:
            if gate is not None:
                self._leave_door(gate)
                self._leave(gate)
            raise
        if gate is not None and self._interval is not None:
            gate.next = trio.current_time() + self._interval
            self._leave_door(gate)
        self._started += 1

    async def _pass(self, gate: _Address) -> None:
        """Get one of the places of the address, and come to stand at its door when the next one may start."""
        self._waiting_for_address += 1
        try:
            if self._per_address is None or gate.in_flight < self._per_address:
                gate.in_flight += 1
            else:
                if gate.lot is None:
                    gate.lot = trio.lowlevel.ParkingLot()
                with self.aside():
                    await gate.lot.park()  # whoever leaves hands its place over
            if self._interval is None:
                return
            try:
                if not gate.door_taken:
                    gate.door_taken = True
                else:
                    if gate.row is None:
                        gate.row = trio.lowlevel.ParkingLot()
                    with self.aside():
                        await gate.row.park()  # the same with the door
                try:
                    if (wait := gate.next - trio.current_time()) > 0:
                        with self.aside():
                            await trio.sleep(wait)
                except BaseException:
                    self._leave_door(gate)
                    raise
            except BaseException:
                self._leave(gate)
                raise
        finally:
            self._waiting_for_address -= 1

    @contextmanager
    def aside(self) -> Iterator[None]:
        """For waits that hold none of the places that all targets share: meanwhile somebody else can use one."""
        self.standing_aside += 1
        if self.on_aside is not None:
            self.on_aside()
        try:
            yield
        finally:
            self.standing_aside -= 1

    @staticmethod
    def _leave(gate: _Address) -> None:
        if gate.lot:
            gate.lot.unpark()
        else:
            gate.in_flight -= 1

    @staticmethod
    def _leave_door(gate: _Address) -> None:
        if gate.row:
            gate.row.unpark()
        else:
            gate.door_taken = False

    def _give_back(self) -> None:
        self._in_flight -= 1
        if self._limit < self._asked:
            self._recover()
        if self._lot:
            self._lot.unpark()

    def release(self, address: str) -> None:
        """The connection is closed."""
        self._give_back()
        if self._gated and (gate := self._addresses.get(address)) is not None and gate.in_flight:
            self._leave(gate)

    def _recover(self) -> None:
        """After as many connections without a shortage as may be in flight, try with some more."""
        self._since_shortage += 1
        if self._since_shortage >= self._limit:
            self._since_shortage = 0
            self._limit = min(self._asked, self._limit + max(1, int(self._limit * (1 - _SHRINK))))
            self._lot.unpark(count=self._limit)

    def restrict(self, most: int) -> None:
        """Have at most ``most`` in flight from now on, never more than the concurrency asked for. Those that are stay."""
        most = min(most, self._most)
        if most == self._asked:
            return
        short_of_files = self._limit < self._asked
        self._asked = most
        self._limit = min(self._limit, most) if short_of_files else most
        free = self._limit - self._in_flight
        if free > 0 and self._lot:
            self._lot.unpark(count=free)

    async def exhausted(self) -> None:
        """The machine had no file or port left: go on with fewer in flight, and wait for one to be given back."""
        self._exhausted += 1
        self._since_shortage = 0
        self._limit = min(self._asked, max(self._floor, min(self._limit, int(self._in_flight * _SHRINK))))
        await trio.sleep(_EXHAUSTED_WAIT)


def is_loopback(address: str) -> bool:
    """``address`` (an IP literal) is one of this machine's own loopback addresses."""
    if address.startswith("127."):
        return True
    return ":" in address and ipaddress.ip_address(address.partition("%")[0]).is_loopback
