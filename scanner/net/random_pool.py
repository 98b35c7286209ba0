"""Unpredictable bytes for many hellos and DNS exchanges from few system calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

# Bytes drawn at once: the randoms and session ids of 64 hellos, or the ids and ports of some hundred names.
POOL_SIZE: Final = 4096


class RandomPool:
    """Unpredictable bytes, drawn from ``source`` in large pieces: a system call for each hello would be one in ten of all."""

    __slots__ = ("_at", "_pool", "_source")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._pool = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return ``count`` bytes, each given once."""
        at = self._at
        stop = at + count
        if stop > len(self._pool):
            self._pool = self._source(max(POOL_SIZE, count))
            at, stop = 0, count
        self._at = stop
        return self._pool[at:stop]
