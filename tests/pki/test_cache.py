"""The cache forgets what was not used for longest."""

from __future__ import annotations

from scanner.pki.cache import Cache


def test_bounded_and_forgetful() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)
    cache.put("c", 4)
    assert len(cache) == 2 and cache.get("c") == 4
