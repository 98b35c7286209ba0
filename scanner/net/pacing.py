"""Who may connect now: connections in flight and started per second, all together and per address.

A target that waits for its address holds none of the places that all targets share, so a hundred names on one
server do not keep a thousand other servers waiting.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

import trio

# Records of addresses with nothing in flight are dropped once there are this many more than at the last sweep.
_SWEEP_EVERY: Final = 4096
# When the machine runs out of files the number in flight shrinks to this share of what was open, never below a floor.
_SHRINK: Final = 0.9
_FLOOR: Final = 8
# How long a probe waits for another to give back what the machine lacks, in seconds.
_EXHAUSTED_WAIT: Final = 0.2


@dataclass(frozen=True, slots=True)
class PacingStatistics:
    """A moment's view. ``limit`` is the concurrency in force, which is below the one asked for after the machine ran out of files."""

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

    def idle(self, now: float) -> bool:
        return self._next <= now


class _Address:
    __slots__ = ("in_flight", "lot", "schedule")

    def __init__(self, rate: float | None) -> None:
        self.in_flight = 0
        self.lot: trio.lowlevel.ParkingLot | None = None
        self.schedule = None if rate is None else _Schedule(rate)


class Pacer:
    """Gate of all connections of a run. Rates are starts per second, ``None`` is no limit.

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
        self._limit = concurrency
        self._in_flight = 0
        self._peak = 0
        self._started = 0
        self._exhausted = 0
        self._waiting_for_address = 0
        self._lot = trio.lowlevel.ParkingLot()
        self._schedule = None if rate is None else _Schedule(rate)
        self._per_address = concurrency_per_address
        self._rate_per_address = rate_per_address
        self._polite_to_loopback = polite_to_loopback
        self._gated = concurrency_per_address is not None or rate_per_address is not None
        self._addresses: dict[str, _Address] = {}
        self._sweep_at = _SWEEP_EVERY

    def statistics(self) -> PacingStatistics:
        """Counts at this moment."""
        return PacingStatistics(
            self._in_flight, self._peak, self._limit, self._started, self._waiting_for_address, self._exhausted
        )

    def _gate(self, address: str) -> _Address | None:
        if not self._gated or (not self._polite_to_loopback and is_loopback(address)):
            return None
        gate = self._addresses.get(address)
        if gate is None:
            if len(self._addresses) >= self._sweep_at:
                self._sweep()
            gate = self._addresses[address] = _Address(self._rate_per_address)
        return gate

    def _sweep(self) -> None:
        now = trio.current_time()
        self._addresses = {
            address: gate
            for address, gate in self._addresses.items()
            if gate.in_flight or (gate.schedule is not None and not gate.schedule.idle(now))
        }
        self._sweep_at = len(self._addresses) + _SWEEP_EVERY

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
        except BaseException:
            if gate is not None:
                self._leave(gate)
            raise
        try:
            if self._schedule is not None and (wait := self._schedule.reserve(trio.current_time())) > 0:
                await trio.sleep(wait)
        except BaseException:
            self.release(address)
            raise
        self._started += 1

    async def _pass(self, gate: _Address) -> None:
        self._waiting_for_address += 1
        try:
            while self._per_address is not None and gate.in_flight >= self._per_address:
                if gate.lot is None:
                    gate.lot = trio.lowlevel.ParkingLot()
                await gate.lot.park()
            gate.in_flight += 1
            try:
                if gate.schedule is not None and (wait := gate.schedule.reserve(trio.current_time())) > 0:
                    await trio.sleep(wait)
            except BaseException:
                self._leave(gate)
                raise
        finally:
            self._waiting_for_address -= 1

    def _leave(self, gate: _Address) -> None:
        gate.in_flight -= 1
        if gate.lot is not None:
            gate.lot.unpark()

    def release(self, address: str) -> None:
        """The connection is closed."""
        self._in_flight -= 1
        if self._lot:
            self._lot.unpark()
        if self._gated and (gate := self._addresses.get(address)) is not None and gate.in_flight:
            self._leave(gate)

    async def exhausted(self) -> None:
        """The machine had no file or port left: go on with fewer in flight, and wait for one to be given back."""
        self._exhausted += 1
        self._limit = max(_FLOOR, min(self._limit, int(self._in_flight * _SHRINK)))
        await trio.sleep(_EXHAUSTED_WAIT)


def is_loopback(address: str) -> bool:
    """``address`` (an IP literal) is one of this machine's own loopback addresses."""
    if address.startswith("127."):
        return True
    return ":" in address and ipaddress.ip_address(address.partition("%")[0]).is_loopback
