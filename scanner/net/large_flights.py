"""Limits how many long flights are read at once.

A server's first flight has some 4 kB; one of 512 kB is still read. A thousand of those together would take a gigabyte
and a half while they are put together from their records. So a probe that has read ``LONG`` bytes needs one of a few slots to
go on. While it waits nothing is read, so TCP holds the server back, and its deadline moves: that wait is ours.
"""

from __future__ import annotations

from typing import Final

import trio

from scanner.tls.handshake import MAX_FLIGHT

# Bytes that every flight may have without a slot.
LONG: Final = 32 << 10
# Of the longest flight in memory: its records, the messages they are put together to, and what was sliced out of them.
COPIES: Final = 4
# Part of a run's memory for long flights.
PART: Final = 8
# With less than this a few slow servers would keep all others waiting; more is never needed to keep a processor busy.
FEWEST: Final = 8
MOST: Final = 256


def places_for(max_memory: int | None) -> int:
    """Return how many long flights may be read at once in a run that may take ``max_memory`` bytes."""
    if max_memory is None:
        return MOST
    return min(max(max_memory // PART // (COPIES * MAX_FLIGHT), FEWEST), MOST)


class LargeFlights:
    """The slots, first come, first served."""

    def __init__(self, places: int = MOST) -> None:
        self._limiter = trio.CapacityLimiter(places)

    async def enter(self, reader: object) -> float:
        """Take a slot for ``reader``, waiting until one is free. Return the seconds waited."""
        begun = trio.current_time()
        await self._limiter.acquire_on_behalf_of(reader)
        return trio.current_time() - begun

    def leave(self, reader: object) -> None:
        """Give the slot of ``reader`` back."""
        self._limiter.release_on_behalf_of(reader)
