"""Random bytes for ClientHellos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Random bytes had at once: the randoms and session ids of 64 hellos.
POOL_SIZE: Final = 4096


class RandomPool:
    """Unpredictable bytes, had from the system in larger pieces: a call for each hello would be one in ten of all calls."""

    __slots__ = ("_at", "_pool", "_source")

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self._pool = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """``count`` bytes, each given once."""
        stop = self._at + count
        if stop > len(self._pool):
            self._pool = self._source(max(POOL_SIZE, count))
            self._at, stop = 0, count
        taken = self._pool[self._at : stop]
        self._at = stop
        return taken
