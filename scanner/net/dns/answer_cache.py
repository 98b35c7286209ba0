"""Answers shared within a run: a question is asked once while it is in flight, and not again while its answer is fresh.

DNS answers go through it, and what is fetched from addresses in certificates.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, TypeVarTuple, Unpack, cast

import trio

from scanner.caching import Cache

# An answer is kept at least this long (a TTL of 0 must not make 50 rows of one name 50 questions) ...
MIN_SECONDS: Final = 10.0
# ... and at most this long, for the sake of runs that last days.
MAX_SECONDS: Final = 3600.0
# At about 0.7 KB each; rows with the same name are close together in inventories, so more would seldom help.
MAX_ENTRIES: Final = 8192
# ... and of names with hundreds of addresses fewer.
MAX_BYTES: Final = 16 << 20

_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")
_Key = tuple[Any, ...]


class _Flight(Generic[_T]):
    """Work in progress that other tasks wait for."""

    __slots__ = ("event", "result")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.result: tuple[_T] | None = None


class SharedAnswers:
    """Runs work by key, once at a time, and keeps its result for as long as the work says, within the limits above."""

    __slots__ = ("_entries", "_flights", "_longest", "_now", "from_cache", "peak_in_flight", "shared")

    def __init__(
        self,
        *,
        longest: float = MAX_SECONDS,
        most: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        size: Callable[[_Key, Any], int],
        now: Callable[[], float] = trio.current_time,
    ) -> None:
        """``longest`` bounds the seconds that answers are kept, ``most`` and ``max_bytes`` their number and size."""
        self._now = now
        self._longest = longest
        self._entries: Cache[_Key, tuple[float, Any]] = Cache(most, max_bytes, lambda key, kept: size(key, kept[1]))
        self._flights: dict[_Key, _Flight[Any] | None] = {}  # None: no other task waits for it yet
        self.from_cache = 0
        self.shared = 0
        self.peak_in_flight = 0

    @property
    def in_flight(self) -> int:
        """The number of pieces of work in progress."""
        return len(self._flights)

    @property
    def entries(self) -> int:
        """The number of answers kept."""
        return len(self._entries)

    def clear(self) -> None:
        """Forget every answer."""
        self._entries.clear()

    def kept(self, key: _Key) -> Any:
        """Return the answer if it is kept and fresh, without waiting; else ``None``."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and self._now() < entry[0] else None

    def put(self, key: _Key, result: Any, seconds: float) -> None:
        """Replace the answer under ``key``, to be kept for so many seconds."""
        self._entries.put(key, (self._now() + min(max(seconds, MIN_SECONDS), self._longest), result))

    async def once(
        self,
        key: _Key,
        work: Callable[[Unpack[_Arguments]], Awaitable[tuple[_T, float | None]]],
        *arguments: *_Arguments,
    ) -> _T:
        """Return the result of ``work`` from the cache or the task that does it; it gives the seconds to keep it, if at all."""
        flights = self._flights
        while True:
            kept = self._entries.get(key)
            if kept is not None and self._now() < kept[0]:
                self.from_cache += 1
                return cast("_T", kept[1])
            if key not in flights:
                break
            flight: _Flight[_T] | None = flights[key]
            if flight is None:
                flight = flights[key] = _Flight()
            await flight.event.wait()
            if flight.result is not None:
                self.shared += 1
                return flight.result[0]
            # The task that was asking was cancelled: one of those that waited takes over.
        flights[key] = None
        if len(flights) > self.peak_in_flight:
            self.peak_in_flight = len(flights)
        done: tuple[_T] | None = None
        try:
            result, seconds = await work(*arguments)
            done = (result,)
        finally:
            flight = flights.pop(key)
            if flight is not None:
                flight.result = done
                flight.event.set()
        if seconds is not None:
            self.put(key, result, seconds)
        return result
