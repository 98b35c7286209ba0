"""One question for many that ask it; cancellation of one is nobody else's loss."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.net.dns import answer_cache
from scanner.net.dns.answer_cache import SharedAnswers


@trio_test
async def test_concurrent_work_is_done_once(clock: MockClock) -> None:
    answers = SharedAnswers(size=lambda _key, _value: 700)
    calls = []
    results = []

    async def work() -> tuple[int, float | None]:
        calls.append(trio.current_time())
        await trio.sleep(1)
        return len(calls), None

    async def ask() -> None:
        results.append(await answers.once(("a",), work))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert (results, len(calls), answers.shared, answers.in_flight, answers.peak_in_flight) == ([1] * 5, 1, 4, 0, 1)
    await ask()
    assert len(calls) == 2, "what may not be kept is asked again"


@trio_test
async def test_work_gets_its_arguments() -> None:
    async def work(name: str, number: int) -> tuple[str, float | None]:
        return name * number, None

    assert await SharedAnswers(size=lambda _key, _value: 700).once(("a",), work, "x", 3) == "xxx"


@trio_test
async def test_time_to_live_within_limits(clock: MockClock) -> None:
    answers = SharedAnswers(size=lambda _key, _value: 700)
    calls: list[float] = []

    async def ask(key: str, seconds: float) -> int:
        async def work() -> tuple[int, float | None]:
            await trio.lowlevel.checkpoint()
            calls.append(seconds)
            return len(calls), seconds

        return await answers.once((key,), work)

    assert [await ask("zero", 0), await ask("long", 10**9), await ask("plain", 100)] == [1, 2, 3]
    await trio.sleep(answer_cache.MIN_SECONDS - 0.1)
    assert await ask("zero", 0) == 1
    await trio.sleep(0.2)
    assert await ask("zero", 0) == 4
    assert await ask("plain", 100) == 3
    await trio.sleep(100)
    assert await ask("plain", 100) == 5
    await trio.sleep(answer_cache.MAX_SECONDS)
    assert await ask("long", 10**9) == 6


@trio_test
async def test_the_cache_is_bounded() -> None:
    answers = SharedAnswers(size=lambda _key, _value: 700)

    async def work() -> tuple[int, float | None]:
        return 1, 100.0

    for number in range(answer_cache.MAX_ENTRIES + 10):
        await answers.once((number,), work)
    assert answers.entries == answer_cache.MAX_ENTRIES


@trio_test
async def test_when_the_one_who_asks_is_cancelled_another_takes_over(clock: MockClock) -> None:
    answers = SharedAnswers(size=lambda _key, _value: 700)
    started = []
    results = []

    async def work() -> tuple[str, float | None]:
        started.append(trio.current_time())
        await trio.sleep(10)
        return "done", None

    async def leader() -> None:
        with trio.move_on_after(3):
            await answers.once(("a",), work)

    async def follower() -> None:
        results.append(await answers.once(("a",), work))

    async def impatient_follower() -> None:
        with trio.move_on_after(1):
            await answers.once(("a",), work)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leader)
        await trio.sleep(0.1)
        nursery.start_soon(impatient_follower)
        nursery.start_soon(follower)
        nursery.start_soon(follower)
    assert results == ["done", "done"] and len(started) == 2 and answers.in_flight == 0


@trio_test
async def test_our_own_bug_reaches_everybody_and_leaves_nothing_behind() -> None:
    answers = SharedAnswers(size=lambda _key, _value: 700)

    async def work() -> tuple[str, float | None]:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answers.once(("a",), work)
    assert answers.in_flight == 0
