"""What peers sent is remembered within bounds of entries and of bytes, and forgotten at once when asked."""

from __future__ import annotations

import pytest

from scanner import caching
from scanner.caching import LARGEST_PART, NOTED, RECENT, Cache, bounded_memo, clear_all, share_of_all


def length(key: object, value: bytes) -> int:
    return len(value)


def numbers(entries: int, *, on_second_put: bool = False) -> Cache[int, int]:
    return Cache(entries, 1000, lambda key, value: 1, on_second_put=on_second_put)


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    cache = numbers(2)
    cache.put(1, 10)
    cache.put(2, 20)
    assert cache.get(1) == 10
    cache.put(3, 30)
    assert (cache.get(1), cache.get(2), cache.get(3)) == (10, None, 30)
    cache.put(3, 40)
    assert len(cache) == 2 and cache.get(3) == 40 and cache.bytes == 2


def test_bytes_are_limited_whatever_the_number_of_entries() -> None:
    cache: Cache[int, bytes] = Cache(1000, 800, length)
    for number in range(100):
        cache.put(number, bytes(100))
        assert cache.bytes == 100 * len(cache) <= 800
    assert [number for number in range(100) if cache.get(number)] == list(range(92, 100))


def test_a_large_value_evicts_several_small_ones() -> None:
    cache: Cache[int, bytes] = Cache(1000, 800, length)
    for number in range(80):
        cache.put(number, bytes(10))
    cache.put(80, bytes(95))
    assert len(cache) == 71 and cache.bytes == 795
    assert [cache.get(9), cache.get(10)] == [None, bytes(10)]


def test_a_value_that_is_too_large_is_not_kept_and_evicts_nothing() -> None:
    cache: Cache[int, bytes] = Cache(1000, 800, length)
    cache.put(1, bytes(50))
    cache.put(2, bytes(800 // LARGEST_PART + 1))
    assert (len(cache), cache.get(2), cache.bytes) == (1, None, 50)


def test_a_value_that_grew_too_large_is_dropped() -> None:
    cache: Cache[int, bytes] = Cache(1000, 800, length)
    cache.put(1, bytes(50))
    cache.put(1, bytes(500))
    assert (len(cache), cache.get(1), cache.bytes) == (0, None, 0)


def test_a_value_that_is_put_once_is_evicted_by_the_next_ones_and_one_put_twice_is_not() -> None:
    cache: Cache[int, int] = Cache(10, 1000, lambda key, value: 1, on_second_put=True)
    cache.put(1, 1)
    cache.put(2, 2)
    cache.put(2, 3)
    assert (cache.get(1), cache.get(2), len(cache)) == (1, 3, 1)
    for key in range(100, 100 + RECENT):
        cache.put(key, key)
    assert (cache.get(1), cache.get(2), cache.get(100)) == (None, 3, 100)
    assert len(cache) == 1


@pytest.mark.parametrize("recent", [1, 5, 100])
def test_as_many_values_that_were_put_once_are_kept_as_a_cache_asks_for(recent: int) -> None:
    cache: Cache[int, int] = Cache(10, 100_000, lambda key, value: 1, on_second_put=True, recent=recent)
    for key in range(200):
        cache.put(key, key)
    assert [key for key in range(200) if cache.get(key) is not None] == list(range(200 - recent, 200))


def test_recent_values_are_bounded_in_bytes_and_forgotten_with_the_others() -> None:
    cache: Cache[int, bytes] = Cache(1000, 800, length, on_second_put=True)
    cache.put(1, bytes(800 // LARGEST_PART))
    assert cache.get(1) is not None
    cache.put(2, bytes(10))
    assert (cache.get(1), cache.get(2)) == (None, bytes(10))
    cache.put(3, bytes(800 // LARGEST_PART + 1))
    assert cache.get(3) is None
    clear_all()
    assert cache.get(2) is None


def test_put_lazy_makes_only_what_it_keeps() -> None:
    cache = numbers(2, on_second_put=True)
    made: list[int] = []

    def make() -> int:
        made.append(len(made))
        return 7

    assert [cache.put_lazy(key, make) for key in (1, 2, 1)] == [False, False, True]
    assert (made, len(cache), cache.get(1)) == ([0], 1, 7)


def test_keys_that_were_only_seen_are_forgotten_too() -> None:
    cache = numbers(2, on_second_put=True)
    cache.put(-5, 1)
    for key in range(NOTED):
        cache.put(key, 1)
    cache.put(-5, 2)
    assert len(cache) == 0
    cache.put(NOTED - 1, 3)
    assert (len(cache), cache.get(NOTED - 1)) == (1, 3)


def test_clear_drops_values_and_resets_the_count() -> None:
    cache = numbers(5)
    cache.put(1, 1)
    cache.clear()
    assert (len(cache), cache.bytes, cache.get(1)) == (0, 0, None)
    cache.put(2, 2)
    assert (len(cache), cache.bytes) == (1, 1)


def test_a_memo_keeps_what_is_short_and_computes_what_is_long() -> None:
    calls: list[bytes] = []

    @bounded_memo(4, 10)
    def half(value: bytes) -> int:
        """Half of it."""
        calls.append(value)
        return len(value) // 2

    assert [half(b"1234"), half(b"1234"), half(bytes(11)), half(bytes(11))] == [2, 2, 5, 5]
    assert calls == [b"1234", bytes(11), bytes(11)]
    assert half.__doc__ == "Half of it."


def test_a_memo_of_several_arguments_is_given_their_size() -> None:
    calls: list[tuple[bytes, bytes]] = []

    @bounded_memo(4, 10, lambda one, other: len(one) + len(other))
    def joined(one: bytes, other: bytes) -> bytes:
        calls.append((one, other))
        return one + other

    for _ in range(2):
        assert joined(b"a", b"b") == b"ab"
        assert joined(bytes(6), bytes(6)) == bytes(12)
    assert calls == [(b"a", b"b"), (bytes(6), bytes(6)), (bytes(6), bytes(6))]


def test_clear_all_empties_caches_and_memos() -> None:
    calls: list[str] = []

    @bounded_memo(4, 10)
    def noted(value: str) -> str:
        calls.append(value)
        return value

    cache = numbers(5)
    cache.put(1, 1)
    noted("a")
    clear_all()
    noted("a")
    assert (len(cache), calls) == (0, ["a", "a"])


def test_unused_caches_are_garbage_collected() -> None:
    before = len(caching._caches)
    cache = numbers(1)
    assert len(caching._caches) == before + 1
    del cache
    assert len(caching._caches) == before


def test_share_of_all_shrinks_every_cache() -> None:
    before: Cache[int, bytes] = Cache(1000, 8000, length)
    try:
        share_of_all(0.1)
        after: Cache[int, bytes] = Cache(1000, 8000, length)
        for cache in (before, after):
            for number in range(100):
                cache.put(number, bytes(100))
            assert (len(cache), cache.bytes) == (8, 800)
            cache.put(100, bytes(200))
            assert cache.get(100) is None
    finally:
        share_of_all(7.0)  # never more than their own
    for number in range(100):
        before.put(number, bytes(100))
    assert before.bytes == 8000
