"""Is there a clock in these randoms?"""

from __future__ import annotations

import random

import pytest

from scanner.tls.unixtime import unix_time

TIME = 1_795_000_000


def server_random(seconds: int, seed: int) -> bytes:
    return seconds.to_bytes(4, "big") + random.Random(seed).randbytes(28)


def test_the_earliest_reading_of_a_clock() -> None:
    assert unix_time([server_random(TIME + 3, 1), server_random(TIME, 2)], 2.5) == TIME
    assert unix_time([server_random(0, 1), server_random(0, 2)], 0.1) == 0


@pytest.mark.parametrize(
    "randoms",
    [
        [],
        [server_random(TIME, 1)],
        [server_random(TIME, 1), server_random(TIME, 1)],  # the very same twice is no clock
        [server_random(TIME, 1), server_random(TIME, 1)[:31]],
        [server_random(TIME, 1), server_random(TIME + 60, 2)],
        [server_random(TIME, 1), server_random(TIME, 2), server_random(TIME - 9, 3)],
    ],
)
def test_randoms_without_a_clock(randoms: list[bytes]) -> None:
    assert unix_time(randoms, 1.0) is None
