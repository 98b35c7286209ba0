"""Who may connect when: counts over virtual time, all together and per address."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, trio_test, wait_all_tasks_blocked

from scanner.net import pacing
from scanner.net.pacing import Pacer, is_loopback
from tests.helpers.network import most_within

A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8::3"


def pacer(**limits: Any) -> Pacer:
    given: dict[str, Any] = {
        "concurrency": 1000,
        "rate": None,
        "concurrency_per_address": None,
        "rate_per_address": None,
        "polite_to_loopback": False,
        **limits,
    }
    return Pacer(**given)


class Traffic:
    """Connections that take ``seconds`` each, and when they began and ended."""

    def __init__(self, gate: Pacer, seconds: float = 1) -> None:
        self.gate = gate
        self.seconds = seconds
        self.starts: list[tuple[float, str]] = []
        self.open: dict[str, int] = {}
        self.peak: dict[str, int] = {}

    async def one(self, address: str, seconds: float | None = None) -> None:
        await self.gate.acquire(address)
        self.starts.append((trio.current_time(), address))
        for key in (address, "all"):
            self.open[key] = self.open.get(key, 0) + 1
            self.peak[key] = max(self.peak.get(key, 0), self.open[key])
        try:
            await trio.sleep(self.seconds if seconds is None else seconds)
        finally:
            for key in (address, "all"):
                self.open[key] -= 1
            self.gate.release(address)

    async def run(self, addresses: Sequence[str]) -> float:
        """All of them at once; the seconds until the last is done."""
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(self.one, address)
        return trio.current_time() - begun

    def starts_at(self, address: str | None = None) -> list[float]:
        return [time for time, each in self.starts if address in (None, each)]


@trio_test
async def test_concurrency_limits_connections_in_flight(clock: MockClock) -> None:
    traffic = Traffic(pacer(concurrency=10))
    took = await traffic.run([A, B, C, A, B] * 20)
    assert took == pytest.approx(10)
    assert traffic.peak["all"] == 10
    seen = traffic.gate.statistics()
    assert (seen.in_flight, seen.peak_in_flight, seen.limit, seen.started) == (0, 10, 10, 100)
    assert (seen.waiting_for_address, seen.exhausted) == (0, 0)


@trio_test
async def test_rate_limits_starts_per_second(clock: MockClock) -> None:
    traffic = Traffic(pacer(rate=10))
    took = await traffic.run([A, B] * 50)
    assert took == pytest.approx(9.9 + 1)
    assert most_within(traffic.starts_at(), 1 - 1e-6) <= 10


@trio_test
async def test_time_that_was_not_used_is_not_saved_up(clock: MockClock) -> None:
    traffic = Traffic(pacer(rate=10, rate_per_address=5))
    await traffic.run([A])
    await trio.sleep(100)
    await traffic.run([A, B] * 10)
    assert most_within(traffic.starts_at(), 1 - 1e-6) <= 10
    assert most_within(traffic.starts_at(A), 1 - 1e-6) <= 5


@trio_test
async def test_concurrency_per_address(clock: MockClock) -> None:
    traffic = Traffic(pacer(concurrency_per_address=3))
    took = await traffic.run([A] * 30 + [B] * 6 + [C])
    assert took == pytest.approx(10)
    assert traffic.peak == {A: 3, B: 3, C: 1, "all": 7}


@trio_test
async def test_rate_per_address(clock: MockClock) -> None:
    traffic = Traffic(pacer(rate_per_address=2))
    took = await traffic.run([A] * 20 + [B] * 4)
    assert took == pytest.approx(9.5 + 1)
    for address in (A, B):
        starts = traffic.starts_at(address)
        assert [round(time - starts[0], 6) for time in starts] == [0.5 * number for number in range(len(starts))]


@trio_test
async def test_rate_per_address_holds_where_places_are_short(clock: MockClock) -> None:
    """Whoever waited for a place may not start together with all others that waited for one."""
    gate = pacer(concurrency=4, rate_per_address=1)
    traffic = Traffic(gate, seconds=0.01)
    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(traffic.one, B, 100)
        for _ in range(10):
            nursery.start_soon(traffic.one, A)
    assert len(traffic.starts_at(A)) == 10
    assert most_within(traffic.starts_at(A), 1 - 1e-6) == 1


@trio_test
async def test_rate_per_address_holds_where_the_whole_rate_is_short(clock: MockClock) -> None:
    gate = pacer(rate=10, rate_per_address=1)
    traffic = Traffic(gate, seconds=0.01)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(traffic.one, f"198.51.100.{number}")
        for _ in range(5):
            nursery.start_soon(traffic.one, A)
    assert most_within(traffic.starts_at(A), 1 - 1e-6) == 1
    assert most_within(traffic.starts_at(), 1 - 1e-6) <= 10


@pytest.mark.parametrize("limit", ["concurrency_per_address", "rate_per_address"])
@trio_test
async def test_waiting_for_an_address_holds_no_place_of_others(clock: MockClock, limit: str) -> None:
    traffic = Traffic(pacer(concurrency=4, **{limit: 1}))
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(traffic.one, A)
        await wait_all_tasks_blocked()
        assert traffic.gate.statistics().waiting_for_address == 99
        for number in range(30):
            nursery.start_soon(traffic.one, f"198.51.100.{number}")
    others = [time for time, address in traffic.starts if address != A]
    assert max(others) - min(others) <= 10  # 30 of them, three at a time at least


@trio_test
async def test_two_servers_with_a_hundred_names_each_are_taken_in_turn(clock: MockClock) -> None:
    traffic = Traffic(pacer(rate_per_address=20, concurrency_per_address=8), seconds=0.1)
    await traffic.run([A] * 100 + [B] * 100)
    for address in (A, B):
        assert most_within(traffic.starts_at(address), 1 - 1e-6) <= 20
        assert traffic.peak[address] <= 8
    first = [address for _, address in traffic.starts[:100]]
    assert first.count(A) == pytest.approx(50, abs=5)


@pytest.mark.parametrize(
    ("address", "exempt"), [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::1%lo", True), (A, False)]
)
@pytest.mark.parametrize("polite", [True, False])
@trio_test
async def test_this_machine_is_exempt_unless_asked(clock: MockClock, address: str, exempt: bool, polite: bool) -> None:
    traffic = Traffic(pacer(concurrency_per_address=2, rate_per_address=5, polite_to_loopback=polite))
    await traffic.run([address] * 50)
    gated = polite or not exempt
    assert traffic.peak[address] == (2 if gated else 50)


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.255.0.1", True), ("::1", True), ("128.0.0.1", False), ("::2", False), (C, False)],
)
def test_loopback_addresses_are_recognised(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


# --- what ends early -------------------------------------------------------------------------------


@trio_test
async def test_cancelled_anywhere_it_gives_back_its_place(clock: MockClock) -> None:
    gate = pacer(concurrency=3, rate=7, concurrency_per_address=2, rate_per_address=3)
    traffic = Traffic(gate)
    for number in range(60):
        with trio.move_on_after(number * 0.037):
            await traffic.run([A] * 5 + [B] * 3)
    seen = gate.statistics()
    assert (seen.in_flight, seen.waiting_for_address) == (0, 0)
    traffic.peak.clear()
    await traffic.run([A] * 6 + [B] * 6)
    assert traffic.peak["all"] == 3
    assert traffic.peak[A] <= 2


@trio_test
async def test_addresses_are_forgotten_and_their_limits_kept(clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "_SWEEP_EVERY", 16)
    gate = pacer(concurrency_per_address=1, rate_per_address=1)
    traffic = Traffic(gate, seconds=5)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(traffic.one, A)
        for number in range(500):
            await traffic.one(f"198.51.{number // 100}.{number % 100}", 0.05)
    assert traffic.peak[A] == 1
    starts = traffic.starts_at(A)
    assert [round(later - earlier) for earlier, later in pairwise(starts)] == [5, 5]
    assert len(gate._addresses) < 100


# --- shortage --------------------------------------------------------------------------------------


@trio_test
async def test_a_shortage_makes_it_go_on_with_fewer(clock: MockClock) -> None:
    gate = pacer(concurrency=100)
    traffic = Traffic(gate)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(traffic.one, A)
        await wait_all_tasks_blocked()
        begun = trio.current_time()
        await gate.exhausted()
        assert 0 < trio.current_time() - begun < 1  # something may have been given back by then
        seen = gate.statistics()
        assert seen.limit == 45
        assert seen.exhausted == 1


@trio_test
async def test_when_the_shortage_is_over_it_goes_on_with_more_again(clock: MockClock) -> None:
    gate = pacer(concurrency=100)
    await gate.exhausted()
    short = gate.statistics().limit
    traffic = Traffic(gate)
    await traffic.run([A] * 3000)
    assert short < 20
    assert gate.statistics().limit == 100
    assert traffic.peak["all"] <= 100


@trio_test
async def test_repeated_shortages_never_stop_all_connections(clock: MockClock) -> None:
    gate = pacer(concurrency=100)
    for _ in range(100):
        await gate.exhausted()
    traffic = Traffic(gate)
    await traffic.run([A] * 100)
    assert 1 < traffic.peak["all"] < 20


@trio_test
async def test_never_more_than_was_asked_for(clock: MockClock) -> None:
    gate = pacer(concurrency=2)
    await gate.exhausted()
    traffic = Traffic(gate)
    await traffic.run([A] * 10)
    assert traffic.peak["all"] == 2


@trio_test
async def test_a_restriction_holds_for_those_that_start_afterwards(clock: MockClock) -> None:
    gate = pacer(concurrency=20)
    traffic = Traffic(gate, seconds=10)
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(traffic.one, f"192.0.2.{number}")
        await trio.sleep(1)
        assert gate.statistics().in_flight == 20
        gate.restrict(5)
        assert gate.statistics().limit == 5
        await trio.sleep(10)  # those in flight were let go on
        assert gate.statistics().in_flight == 5
        assert not gate._start_at_once(A)
        gate.restrict(0)
        await trio.sleep(30)
        assert (gate.statistics().in_flight, len(traffic.starts)) == (0, 25)
        gate.restrict(1)
        await wait_all_tasks_blocked()
        assert (gate.statistics().in_flight, len(traffic.starts)) == (1, 26)
        gate.restrict(1_000_000)  # never more than asked for
        await wait_all_tasks_blocked()
        assert (gate.statistics().in_flight, gate.statistics().limit) == (20, 20)
    assert len(traffic.starts) == 100 and traffic.peak["all"] == 20


@trio_test
async def test_a_shortage_of_files_and_a_restriction_hold_together(clock: MockClock) -> None:
    gate = pacer(concurrency=100)
    for _ in range(100):
        assert gate._start_at_once(A)
    await gate.exhausted()
    assert gate.statistics().limit == 90
    gate.restrict(95)
    assert gate.statistics().limit == 90
    gate.restrict(4)
    assert gate.statistics().limit == 4
    await gate.exhausted()
    assert gate.statistics().limit == 4
