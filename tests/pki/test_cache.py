"""The cache forgets what was not used for longest."""

from __future__ import annotations

from scanner.pki.cache import NOTED, Cache, ShyCache


def test_bounded_and_forgetful() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    cache.put("c", 4)
    assert len(cache) == 2 and cache.get("c") == 4


def test_the_shy_one_keeps_what_comes_twice() -> None:
    cache: ShyCache[str, int] = ShyCache(2)
    cache.put("a", 1)
    assert cache.get("a") is None
    cache.put("a", 2)
    assert cache.get("a") == 2


def test_the_shy_one_makes_only_what_it_keeps() -> None:
    cache: ShyCache[str, int] = ShyCache(2)
    made: list[str] = []

    def make(name: str) -> int:
        made.append(name)
        return len(made)

    for name in ("a", "b", "a"):
        cache.offer(name, lambda name=name: make(name))  # type: ignore[misc]
    assert made == ["a"]
    assert len(cache) == 1


def test_the_shy_one_forgets_what_it_has_only_seen() -> None:
    cache: ShyCache[int, int] = ShyCache(2)
    cache.put(-5, 1)
    for key in range(NOTED):
        cache.put(key, 1)
    cache.put(-5, 2)
    assert cache.get(-5) is None
    cache.put(NOTED - 1, 3)
    assert cache.get(NOTED - 1) == 3
