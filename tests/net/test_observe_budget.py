"""The time that a target may take, and what is not taken from it: turns, shortages of this machine, our own faults."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, trio_test

from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence, Failure, Probe
from scanner.net import observe
from scanner.net.observe import FIRST_SHARE, FOLLOWUP_SHARE
from scanner.net.probe import Timing
from scanner.net.sockets import OutOfResources
from tests.helpers.evidence import HOST, target
from tests.helpers.network import (
    NEVER,
    SUCCESS,
    Scenario,
    Step,
    asking,
    for_ever,
    in_network,
    no_question,
    observed,
    observer_in,
    pacer_for,
)

V4 = [f"192.0.2.{number}" for number in range(1, 9)]
SILENT = Step(NEVER, Failure.SILENT)
REFUSED = Step(0.01, Failure.CONNECTION_REFUSED)
RESET = Step(0.01, Failure.RESET)
OK = Step(0.05, SUCCESS)


# --- budget ----------------------------------------------------------------------------------------


@trio_test
async def test_questions_are_asked_at_the_same_address_until_there_is_none(clock: MockClock) -> None:
    scenario = in_network(V4[:2])
    evidence, _ = await observed(scenario, next_question=asking("a", "b", "c"))
    (endpoint,) = evidence.endpoints
    assert list(endpoint.followups) == ["a", "b", "c"]
    assert scenario.order() == V4[:1] * 4
    assert [connection.offer.name for connection in scenario.connections] == ["modern", "small", "small", "small"]
    assert [connection.sni for connection in scenario.connections] == [HOST, None, None, None]
    assert evidence.attempts == 4


class LateGreeting(Scenario):
    """A network in which each server greets after three seconds, whatever it does then."""

    def __init__(self) -> None:
        super().__init__(names={HOST: V4[:1]})
        self.waits: list[float] = []

    async def probe(self, *args: Any, timing: Timing, **kwargs: Any) -> Probe:
        self.waits.append(timing.handshake)
        return replace(await super().probe(*args, timing=timing, **kwargs), starttls_seconds=3.0)


@trio_test
async def test_a_greeting_that_came_late_is_waited_for_again(clock: MockClock) -> None:
    scenario = LateGreeting()
    await observed(scenario, ScanConfig(timeout=20.0), next_question=asking("a"))
    assert scenario.waits == [pytest.approx(20.0 * FIRST_SHARE), pytest.approx(20.0 * FOLLOWUP_SHARE + 3.0)]


@trio_test
async def test_an_address_that_does_not_connect_is_asked_nothing(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: REFUSED})
    await observed(scenario, next_question=for_ever)
    assert len(scenario.connections) == 1


@pytest.mark.parametrize("timeout", [1.0, 5.0, 15.0])
@trio_test
async def test_whatever_a_server_does_the_whole_probe_ends_in_time(clock: MockClock, timeout: float) -> None:
    """Silence for the hello and for every question: no more than the whole, and the questions get some of it."""
    scenario = in_network(V4[:1], {V4[0]: SILENT})
    evidence, took = await observed(scenario, ScanConfig(timeout=timeout, retries=3), next_question=for_ever)
    assert took <= timeout + 1e-6
    assert len(evidence.endpoints[0].followups) >= 1
    first = scenario.connections[0]
    assert first.timing.handshake == pytest.approx(max(timeout * observe.FIRST_SHARE, observe.FOLLOWUP_LEAST))
    for connection in scenario.connections[1:]:
        assert connection.timing.handshake <= max(timeout * observe.FOLLOWUP_SHARE, observe.FOLLOWUP_LEAST) + 1e-6


@trio_test
async def test_retries_spend_the_same_budget(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: Step(2, Failure.RESET)})
    _, took = await observed(scenario, ScanConfig(timeout=6, retries=100), next_question=for_ever)
    assert took <= 6
    totals = [connection.timing.total for connection in scenario.connections]
    assert totals == sorted(totals, reverse=True)


@trio_test
async def test_waiting_for_ones_turn_is_not_spent(clock: MockClock) -> None:
    """A hundred names on one address, each slow: the last one has as much time as the first."""
    config = ScanConfig(timeout=2, concurrency_per_address=1, rate_per_address=None)
    scenario = Scenario({V4[0]: Step(1, SUCCESS)})
    observer = observer_in(scenario, config)
    results = []

    async def one() -> None:
        results.append(await observer.observe(target(V4[0]), 0.0, no_question))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(one)
    assert all(evidence.endpoints[0].probe.ok for evidence in results)
    assert scenario.peak(V4[0]) == 1


@trio_test
async def test_enumeration_has_a_budget_of_its_own(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: Step(1, SUCCESS)})
    evidence, took = await observed(scenario, ScanConfig(timeout=5, enumerate=True), next_question=for_ever)
    assert took == pytest.approx(5 * observe.ENUMERATE_TIMES + 1, abs=1)
    assert len(evidence.endpoints[0].followups) == 5 * observe.ENUMERATE_TIMES / 0.75


# --- shortage and trouble --------------------------------------------------------------------------


@trio_test
async def test_no_target_fails_for_what_this_machine_lacks(clock: MockClock) -> None:
    """Room for 20 connections where 500 are wanted: all get their answer, soon with few attempts in vain."""
    config = ScanConfig(concurrency=500)
    scenario = Scenario(files=20, delay=1)
    pacer = pacer_for(config)
    observer = observer_in(scenario, config, pacer=pacer)
    results: list[Evidence] = []

    async def one(number: int) -> None:
        results.append(await observer.observe(target(f"198.51.{number // 200}.{number % 200}"), 0.0, no_question))

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(one, number)
    scenario.check_closed()
    assert len(results) == 1000
    assert all(evidence.endpoints[0].probe.ok for evidence in results)
    assert scenario.peak() == 20
    assert pacer.statistics().limit < 40
    assert pacer.statistics().exhausted == scenario.exhausted > 0


@trio_test
async def test_a_shortage_is_not_taken_from_the_targets_time(clock: MockClock) -> None:
    short = [Step(0, OutOfResources(errno.EMFILE)) for _ in range(100)]
    scenario = in_network(V4[:1], {V4[0]: [*short, Step(1.3, SUCCESS)]})
    evidence, took = await observed(scenario, ScanConfig(timeout=2))
    assert evidence.endpoints[0].probe.ok
    assert took > 2
    assert evidence.attempts == 1


@trio_test
async def test_lasting_shortage_ends_as_a_bug(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: Step(0, OutOfResources(errno.EMFILE))})
    evidence, _ = await observed(scenario)
    (endpoint,) = evidence.endpoints
    assert endpoint.probe.failure is Failure.BUG and "EMFILE" in str(endpoint.probe.detail)
    assert trio.current_time() < 120


@trio_test
async def test_an_exception_gives_back_the_place(clock: MockClock) -> None:
    config = ScanConfig(concurrency=1)
    pacer = pacer_for(config)
    scenario = in_network(V4[:1], {V4[0]: [Step(0, RuntimeError("bug")), OK]})
    failed, _ = await observed(scenario, config, pacer=pacer)
    assert failed.endpoints[0].probe.failure is Failure.BUG
    assert pacer.statistics().in_flight == 0
    assert (await observed(scenario, config, pacer=pacer))[0].endpoints[0].probe.ok


@trio_test
async def test_cancelled_at_any_moment_all_is_closed(clock: MockClock) -> None:
    config = ScanConfig(all_addresses=True, concurrency=2, rate_per_address=3, concurrency_per_address=1)
    for moment in range(40):
        pacer = pacer_for(config)
        scenario = in_network(V4, dict.fromkeys(V4, RESET) | {V4[0]: SILENT}, dns_delay=0.1)
        with trio.move_on_after(moment * 0.07):
            await observed(scenario, config, pacer=pacer, next_question=for_ever)
        assert pacer.statistics().in_flight == 0
