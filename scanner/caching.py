"""Caches of what peers sent: bounded in entries and in bytes, and emptied together when memory runs short.

A limit of entries alone does not limit memory: a certificate has 500 bytes or 256 kB, as its server decides. So each cache is
given an estimate of the size of its values: bytes received, times what they become in memory (see ``PARSED``). A value that
would take a good part of a cache by itself is not kept, so that it cannot evict everything else.

``Cache`` is for values, ``bounded_memo`` for functions. Nothing else keeps what depends on a peer's bytes
(``tests/test_architecture.py`` checks who uses ``functools``), with one exception: the revocation lists of
``scanner.net.lookups.sources`` have up to 64 MB each, which is more than the part of a ``Cache`` that one value may take.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import Any, Final, Generic, TypeVar, cast

# What one byte of DER takes as a parsed certificate, the DER itself included. Measured with tracemalloc for
# certificates of 400 bytes to 231 kB: 7.0 to 7.2. Names are the most of it: a str of 20 characters has 70 bytes.
PARSED: Final = 7
# A value of more than this part of a cache is not kept.
LARGEST_PART: Final = 8
# Keys whose hashes a doorkeeper remembers: about 4 MB.
NOTED: Final = 65_536
# Values that were put once and are likely to be asked for again in a moment: one for each target that is between two
# steps of one task. Where whole turns of the event loop lie between the steps, as between reading flights and judging them, a cache
# needs more.
RECENT: Final = 32

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")
_Function = TypeVar("_Function", bound=Callable[..., Any])

# What the byte limits of all caches are when they are as large as they may be: some 450 MB.
FULL_SHARE: Final = 1.0

# Everything that ``clear_all`` empties: caches as long as they exist, memoised functions forever.
_caches: weakref.WeakSet[Cache[Any, Any]] = weakref.WeakSet()
_memos: list[Callable[[], None]] = []
_share = FULL_SHARE


class Cache(Generic[_K, _V]):
    """LRU cache of at most ``entries`` values of at most ``max_bytes`` together.

    ``size`` estimates the bytes of a key with its value, once, when it is put. With ``on_second_put`` there is a
    doorkeeper, as in TinyLFU: a value is kept only when its key is put a second time, so that what is met once (a
    leaf on its own host) does not evict what is met a thousand times. Until then it is among the ``recent`` latest
    ones, since a new value is usually looked up again within moments; these take ``1 / LARGEST_PART`` of the bytes.

    There is no lock: a cache belongs to one thread. ``clear`` alone may be called from another.
    """

    __slots__ = (
        "__weakref__", "_asked", "_entries", "_kept", "_largest", "_limit", "_most_recent", "_noted", "_recent", "_recent_bytes",
        "_recent_limit", "_size", "bytes",
    )  # fmt: skip

    def __init__(
        self,
        entries: int,
        max_bytes: int,
        size: Callable[[_K, _V], int],
        *,
        on_second_put: bool = False,
        recent: int = RECENT,
    ) -> None:
        self._entries = entries
        self._asked = max_bytes
        self._size = size
        self._kept: dict[_K, tuple[_V, int]] = {}
        self.bytes = 0  # estimated, of all that is kept
        self._noted: dict[int, None] | None = {} if on_second_put else None
        self._recent: dict[_K, tuple[_V, int]] = {}
        self._most_recent = recent
        self._recent_bytes = 0
        self._take(_share)
        _caches.add(self)

    def _take(self, share: float) -> None:
        limit = int(self._asked * share)
        self._recent_limit = 0 if self._noted is None else limit // LARGEST_PART
        self._limit = limit - self._recent_limit
        self._largest = self._limit // LARGEST_PART

    def get(self, key: _K) -> _V | None:
        """Return the value of ``key``, which is the last to be evicted now; ``None`` if there is none."""
        kept = self._kept
        entry = kept.pop(key, None)
        if entry is not None:
            kept[key] = entry
            return entry[0]
        entry = self._recent.get(key)
        return None if entry is None else entry[0]

    def put(self, key: _K, value: _V) -> None:
        """Keep ``value``, and evict what was not used for longest if there is no room."""
        if self._noted is None or self._came_before(key):
            self._keep(key, value)
        else:
            self._keep_recent(key, value)

    def put_lazy(self, key: _K, make: Callable[[], _V]) -> bool:
        """Like ``put`` for a value that is only made if its key was put before; return True if it was."""
        if self._noted is None or self._came_before(key):
            self._keep(key, make())
            return True
        return False

    def _came_before(self, key: _K) -> bool:
        # by hash: two keys that share one make a value kept that need not be, and no more
        noted, number = self._noted, hash(key)
        assert noted is not None
        if number in noted:
            return True
        if len(noted) >= NOTED:
            del noted[next(iter(noted))]
        noted[number] = None
        return False

    def _keep(self, key: _K, value: _V) -> None:
        kept = self._kept
        replaced = kept.pop(key, None)
        if replaced is not None:
            self.bytes -= replaced[1]
        size = self._size(key, value)
        if size > self._largest:
            return
        total = self.bytes + size
        while kept and (len(kept) >= self._entries or total > self._limit):
            total -= kept.pop(next(iter(kept)))[1]
        kept[key] = value, size
        self.bytes = total

    def _keep_recent(self, key: _K, value: _V) -> None:
        size, recent, limit = self._size(key, value), self._recent, self._recent_limit
        if size > limit:
            return
        replaced = recent.pop(key, None)  # whose hash the doorkeeper has forgotten
        total = self._recent_bytes + size - (0 if replaced is None else replaced[1])
        while recent and (len(recent) >= self._most_recent or total > limit):
            total -= recent.pop(next(iter(recent)))[1]
        recent[key] = value, size
        self._recent_bytes = total

    def clear(self) -> None:
        """Drop all values; keys that were put once are still known."""
        self._kept = {}
        self._recent = {}
        self.bytes = self._recent_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)


def given_size(_key: object, kept: tuple[Any, int]) -> int:
    """Return the size of a value that is kept together with it, for a ``Cache`` of such pairs."""
    return kept[1]


def bounded_memo(
    entries: int, longest: int | None, size: Callable[..., int] | None = None
) -> Callable[[_Function], _Function]:
    """Memoise a function of what peers sent, for at most ``entries`` arguments of at most ``longest`` bytes each.

    Larger arguments are not kept, and the function is called each time, so that at most ``entries * longest`` bytes of arguments
    are kept. ``size`` returns the size of the arguments; the default is ``len`` of the only one. ``longest`` is ``None`` if the
    callers only pass small arguments.
    """

    def decorate(function: _Function) -> _Function:
        plain: Any = function
        known: Any = lru_cache(maxsize=entries)(plain)
        memo: Any
        if longest is None:
            _memos.append(known.cache_clear)
            return cast("_Function", known)
        if size is None:

            def memo(value: Any) -> Any:
                return known(value) if len(value) <= longest else plain(value)

        else:

            def memo(*arguments: Any) -> Any:
                return known(*arguments) if size(*arguments) <= longest else plain(*arguments)

        _memos.append(known.cache_clear)
        result: Any = wraps(plain)(memo)
        result.cache_info, result.cache_clear = known.cache_info, known.cache_clear
        return cast("_Function", result)

    return decorate


def share_of_all(share: float) -> None:
    """Limit every cache of this process, existing or later, to ``share`` (at most 1) of its bytes."""
    global _share
    _share = min(share, FULL_SHARE)
    for cache in list(_caches):
        cache._take(_share)


def clear_all() -> None:
    """Empty every cache and every memoised function of this process."""
    for cache in list(_caches):
        cache.clear()
    for clear in _memos:
        clear()
