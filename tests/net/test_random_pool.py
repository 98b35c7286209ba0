"""Random bytes come in larger pieces, and each is given once."""

from __future__ import annotations

from scanner.net.random_pool import POOL_SIZE, RandomPool


def test_each_byte_is_given_once_and_the_system_is_asked_seldom() -> None:
    asked: list[int] = []

    def source(count: int) -> bytes:
        asked.append(count)
        return b"".join((len(asked) * 10_000 + number).to_bytes(4, "big") for number in range(count // 4))

    pool = RandomPool(source)
    taken = [pool.take(64) for _ in range(POOL_SIZE // 64 * 3)]
    assert len(set(taken)) == len(taken) and {len(piece) for piece in taken} == {64}
    assert asked == [POOL_SIZE] * 3


def test_more_than_a_piece_at_once() -> None:
    pool = RandomPool(lambda count: bytes(count))
    assert len(pool.take(3 * POOL_SIZE)) == 3 * POOL_SIZE
