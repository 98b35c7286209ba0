"""Answers shared within a run: the same question is asked once while it is in flight, and not again while it is fresh.

DNS made it; what certificates name is fetched through it too.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar, cast

import trio

# An answer is kept at least this long (a TTL of 0 must not make 50 rows of one name 50 questions) ...
MIN_SECONDS: Final = 10.0
# ... and at most this long, for the sake of runs that last days.
MAX_SECONDS: Final = 3600.0
# At about 0.7 KB each; rows with the same name stand close together in inventories, so more would seldom help.
MAX_ENTRIES: Final = 8192

_T = TypeVar("_T")
_Key = tuple[Any, ...]


class _Flight(Generic[_T]):
    """One piece of work that several tasks wait for."""

    __slots__ = ("event", "result")

    def __init__(self) -> None:
        self.event: trio.Event | None = None
        self.result: tuple[_T] | None = None


class SharedAnswers:
    """Work by key, done once at a time and remembered for as long as it says itself, within the limits above."""

    __slots__ = ("_entries", "_flights", "_longest", "_most", "from_cache", "peak_in_flight", "shared")

    def __init__(self, *, longest: float = MAX_SECONDS, most: int = MAX_ENTRIES) -> None:
        """``longest`` is the seconds that anything is kept at most, ``most`` the number of answers."""
        self._longest = longest
        self._most = most
        self._entries: dict[_Key, tuple[float, Any]] = {}  # in the order they came; the oldest goes first
        self._flights: dict[_Key, _Flight[Any]] = {}
        self.from_cache = 0
        self.shared = 0
        self.peak_in_flight = 0

    @property
    def in_flight(self) -> int:
        """Pieces of work being done now."""
        return len(self._flights)

    @property
    def entries(self) -> int:
        """Answers kept now."""
        return len(self._entries)

    def kept(self, key: _Key) -> Any:
        """The answer that is at hand and fresh, without waiting; else ``None``."""
        entry = self._entries.get(key)
        return entry[1] if entry is not None and trio.current_time() < entry[0] else None

    async def once(self, key: _Key, work: Callable[[], Awaitable[tuple[_T, float | None]]]) -> _T:
        """What ``work`` brings, from the cache or from whoever is doing it already.

        ``work`` gives its result and the seconds that it may be kept; ``None`` is not at all.
        """
        while True:
            kept = self._entries.get(key)
            if kept is not None:
                if trio.current_time() < kept[0]:
                    self.from_cache += 1
                    return cast("_T", kept[1])
                del self._entries[key]
            flight: _Flight[_T] | None = self._flights.get(key)
            if flight is None:
                break
            if flight.event is None:
                flight.event = trio.Event()
            await flight.event.wait()
            if flight.result is not None:
                self.shared += 1
                return flight.result[0]
            # Whoever was asking was cancelled: one of those who waited takes over.
        flight = self._flights[key] = _Flight()
        self.peak_in_flight = max(self.peak_in_flight, len(self._flights))
        try:
            result, seconds = await work()
            flight.result = (result,)
        finally:
            del self._flights[key]
            if flight.event is not None:
                flight.event.set()
        if seconds is not None:
            while len(self._entries) >= self._most:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = (trio.current_time() + min(max(seconds, MIN_SECONDS), self._longest), result)
        return result
