"""A dictionary that forgets what was not used for longest."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

# Keys that are remembered without their values: about 4 MB.
NOTED: Final = 65_536

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

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


class ShyCache(Cache[_K, _V]):
    """Keeps a value only when its key comes a second time; at first sight it notes that there was such a key.

    For what most often is met once (a leaf on its own host) and sometimes a thousand times (one certificate for all):
    what will never be asked for again pushes nothing out, neither of here nor of the processor's caches.
    """

    __slots__ = ("_noted",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._noted: dict[int, None] = {}

    def put(self, key: _K, value: _V) -> None:
        """Keep ``value`` if ``key`` was here before."""
        # by hash: two keys that share one make a value kept that need not be, and no more
        number = hash(key)
        if number in self._noted:
            super().put(key, value)
        else:
            self._note(number)

    def offer(self, key: _K, make: Callable[[], _V]) -> bool:
        """The same for a value that is only made if it is kept; true when it is, since its key was here before."""
        number = hash(key)
        if number in self._noted:
            super().put(key, make())
            return True
        self._note(number)
        return False

    def _note(self, number: int) -> None:
        noted = self._noted
        if len(noted) >= NOTED:
            del noted[next(iter(noted))]
        noted[number] = None
