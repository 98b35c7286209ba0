"""Random bytes out of a pool: each once, and as many as are asked for."""

from __future__ import annotations

from scanner.net.random_pool import POOL_SIZE, RandomPool


def test_each_byte_is_given_once() -> None:
    given = iter(range(10))
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return bytes([next(given)]) * count

    pool = RandomPool(source)
    assert pool.take(POOL_SIZE - 1) == bytes(POOL_SIZE - 1)
    assert pool.take(1) == b"\0"
    assert pool.take(2) == b"\1\1"
    assert pool.take(POOL_SIZE + 5) == b"\2" * (POOL_SIZE + 5)
    assert asked == [POOL_SIZE, POOL_SIZE, POOL_SIZE + 5]


def test_bytes_are_the_systems_by_default() -> None:
    pool = RandomPool()
    drawn = [pool.take(2) for _ in range(5000)]
    assert all(len(one) == 2 for one in drawn) and len(set(drawn)) > 4500
