"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Cache(Generic[_K, _V]):
    """At most ``limit`` entries; no lock, since a judge belongs to one thread."""

    __slots__ = ("_entries", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: dict[_K, _V] = {}

    def get(self, key: _K) -> _V | None:
        """What is kept under ``key``; being asked for makes it the youngest."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = value
        return value

    def put(self, key: _K, value: _V) -> None:
        """Keep ``value``, and forget the oldest where there is no room."""
        self._entries.pop(key, None)
        if len(self._entries) >= self._limit:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = value

    def __len__(self) -> int:
        return len(self._entries)
