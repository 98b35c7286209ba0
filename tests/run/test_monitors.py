"""Memory and the clock, watched while a run goes on."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, trio_test

from scanner.caching import Cache
from scanner.model.config import ScanConfig
from scanner.net.pacing import Pacer
from scanner.run.monitors import limit_memory, watch_clock


class Spilled:
    """A scan that counts how often it is spilled."""

    def __init__(self) -> None:
        self.spilled = 0

    def spill(self) -> int:
        self.spilled += 1
        return 0


@trio_test
async def test_a_run_that_needs_too_much_memory_has_fewer_targets_in_flight(
    monkeypatch: pytest.MonkeyPatch, clock: MockClock
) -> None:
    limit, size = 1000, 100
    emptied: list[float] = []
    monkeypatch.setattr("scanner.process.memory.resident", lambda: size)
    monkeypatch.setattr("scanner.process.memory.give_back", lambda: emptied.append(trio.current_time()))
    config = replace(ScanConfig(), concurrency=50, max_memory=limit)
    scan, logged = Spilled(), list[str]()
    pacer = Pacer(
        concurrency=50, rate=None, concurrency_per_address=None, rate_per_address=None, polite_to_loopback=False
    )
    watched: Any = scan
    cache: Cache[int, int] = Cache(10, 1000, lambda key, value: 1)
    cache.put(1, 1)
    for number in range(40):
        assert pacer._start_at_once(f"192.0.2.{number}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limit_memory, limit, config, watched, pacer, logged.append)
        await trio.sleep(3)
        assert (pacer.statistics().limit, len(cache), scan.spilled, logged) == (50, 1, 0, [])
        size = 900
        await trio.sleep(3)
        assert pacer.statistics().limit < 40
        assert len(cache) == 0 and scan.spilled == len(emptied) > 0
        assert len(logged) == 1 and "--max-memory" in logged[0]
        for number in range(40):
            pacer.release(f"192.0.2.{number}")
        size = 100
        await trio.sleep(60)
        assert pacer.statistics().limit == 50
        assert len(logged) == 1
        nursery.cancel_scope.cancel()


class Jumping:
    """A wall clock that is set once, ahead or back."""

    def __init__(self, seconds: float) -> None:
        self._jumps: list[float | None] = [None, seconds]

    def jump(self) -> float | None:
        return self._jumps.pop(0) if self._jumps else None


class Restarted:
    """A scan that counts how often its clock was restarted."""

    def __init__(self) -> None:
        self.times = 0

    def restart_clock(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("seconds", "words"), [(7200.0, "WAS SET AHEAD by 2 hours"), (-600.0, "WAS SET BACK by 10 minutes")]
)
@trio_test
async def test_a_clock_that_is_set_is_logged_and_restarts_the_fold(
    seconds: float, words: str, clock: MockClock
) -> None:
    jumping: Any = Jumping(seconds)
    restarted: Any = Restarted()
    logged: list[str] = []
    with trio.move_on_after(10):
        await watch_clock(jumping, restarted, logged.append)
    assert restarted.times == 1
    assert len(logged) == 1 and words in logged[0]
