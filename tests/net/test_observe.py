"""Targets observed under all kinds of weather: retries, order of addresses, follow-ups, budgets, shortage.

No socket, no second of waiting.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.config import ScanConfig
from scanner.evidence import DnsAnswer, DnsStatus, EndpointEvidence, Evidence, Failure, Stage, Target
from scanner.net import observe
from scanner.net.observe import Budget, may_be_transient
from scanner.net.sockets import OutOfResources
from scanner.tls import offers
from scanner.tls.offers import Offer
from tests.helpers.evidence import HOST, failed, target
from tests.helpers.network import (
    NEVER,
    SUCCESS,
    Scenario,
    Step,
    Stopwatch,
    everything_closed,
    observer_in,
    pacer_for,
)

V4 = [f"192.0.2.{number}" for number in range(1, 9)]
V6 = [f"2001:db8::{number}" for number in range(1, 9)]
DEAD = Step(NEVER, Failure.CONNECT_TIMEOUT)
SILENT = Step(NEVER, Failure.SILENT)
REFUSED = Step(0.01, Failure.CONNECTION_REFUSED)
RESET = Step(0.01, Failure.RESET)
OK = Step(0.05, SUCCESS)


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


@dataclass
class Asked:
    """A follow-up."""

    name: str
    offer: Offer = offers.SMALL
    sni: str | None = None


async def observed(
    scenario: Scenario, config: ScanConfig | None = None, of: Target | None = None, **changes: Any
) -> tuple[Evidence, float]:
    """The evidence, and how long it took."""
    async with everything_closed(scenario):
        watch = Stopwatch()
        evidence = await observer_in(scenario, config, **changes).observe(of or target(), 1000.0)
        return evidence, watch.seconds


def in_network(addresses: Sequence[str], weather: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    return Scenario(weather, {HOST: addresses}, **changes)


# --- what is asked and connected to ----------------------------------------------------------------


@trio_test
async def test_a_healthy_target_costs_one_connection(clock: MockClock) -> None:
    scenario = in_network(V4[:1], dns_delay=0.2)
    evidence, took = await observed(scenario, alpn_of=lambda protocol: (protocol.encode(),))
    assert evidence.started == 1000.0
    assert evidence.attempts == 1
    assert evidence.duration == pytest.approx(took) == pytest.approx(0.25)
    assert evidence.dns is not None
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:1]
    (connection,) = scenario.connections
    assert (connection.port, connection.offer, connection.sni, connection.alpn) == (
        443,
        offers.MODERN,
        HOST,
        (b"https",),
    )


@pytest.mark.parametrize(
    "of", [target("192.0.2.9"), target("2001:db8::9"), target(address="192.0.2.9")], ids=["v4", "v6", "given"]
)
@trio_test
async def test_addresses_are_not_resolved(clock: MockClock, of: Target) -> None:
    scenario = Scenario()
    evidence, _ = await observed(scenario, of=of)
    assert scenario.asked == []
    assert evidence.dns is None
    assert scenario.order() == [of.address or of.host]


@pytest.mark.parametrize("ipv4", [True, False])
@trio_test
async def test_the_resolver_is_told_which_families(clock: MockClock, ipv4: bool) -> None:
    scenario = in_network(V4[:1])
    await observed(scenario, ScanConfig(ipv4=ipv4, ipv6=not ipv4))
    assert scenario.asked == [(HOST, ipv4, not ipv4)]


@pytest.mark.parametrize("status", [DnsStatus.NXDOMAIN, DnsStatus.SERVFAIL, DnsStatus.NODATA, DnsStatus.TIMEOUT])
@trio_test
async def test_a_name_without_address_is_not_connected_to(clock: MockClock, status: DnsStatus) -> None:
    scenario = Scenario(names={HOST: DnsAnswer(status)})
    evidence, _ = await observed(scenario)
    assert evidence.endpoints == ()
    assert evidence.dns == DnsAnswer(status)
    assert evidence.attempts == 1


@trio_test
async def test_a_new_dialogue_opens_every_connection(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: [RESET, OK]})
    opened = []

    def opening(protocol: str, host: str) -> None:
        opened.append((protocol, host))

    await observed(scenario, of=target(protocol="smtp"), open_dialogue=opening)
    assert opened == [("smtp", HOST)] * 2


# --- order and fallback ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usable", "addresses", "expected"),
    [
        (True, [*V4[:2], *V6[:2]], [*V6[:2], *V4[:2]]),
        (False, [*V6[:2], *V4[:2]], V4[:2]),
        (False, V6[:2], V6[:2]),
        (True, V4[:2], V4[:2]),
    ],
    ids=["v6 first", "v6 not at all", "v6 where there is nothing else", "v4"],
)
@trio_test
async def test_order_of_addresses(clock: MockClock, usable: bool, addresses: list[str], expected: list[str]) -> None:
    scenario = in_network(addresses, dict.fromkeys(addresses, REFUSED))
    evidence, _ = await observed(scenario, ipv6_usable=usable)
    assert scenario.order() == expected
    assert [endpoint.address for endpoint in evidence.endpoints] == expected


@pytest.mark.parametrize(
    "fault",
    [
        REFUSED,
        DEAD,
        Step(0.1, Failure.NETWORK_UNREACHABLE),
        Step(0.1, Failure.HOST_UNREACHABLE),
        Step(0.1, Failure.CONNECT_ERROR),
    ],
)
@trio_test
async def test_the_next_address_is_tried_until_one_connects(clock: MockClock, fault: Step) -> None:
    scenario = in_network(V4[:4], {V4[0]: fault, V4[1]: fault})
    evidence, _ = await observed(scenario)
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:3]
    assert evidence.endpoints[-1].probe.ok
    assert evidence.attempts == 3


@pytest.mark.parametrize("failure", [Failure.SILENT, Failure.ALERT, Failure.RESET, Failure.PLAINTEXT])
@trio_test
async def test_who_lets_us_connect_is_the_one(clock: MockClock, failure: Failure) -> None:
    scenario = in_network(V4[:3], {V4[0]: Step(0.1, failure)})
    evidence, _ = await observed(scenario)
    assert [endpoint.address for endpoint in evidence.endpoints] == V4[:1]


@trio_test
async def test_fallbacks_are_bounded(clock: MockClock) -> None:
    addresses = [f"198.51.100.{number}" for number in range(100)]
    scenario = in_network(addresses, dict.fromkeys(addresses, DEAD))
    evidence, took = await observed(scenario)
    assert len(evidence.endpoints) == observe.MAX_FALLBACKS
    assert took == pytest.approx(observe.MAX_FALLBACKS * ScanConfig().connect_timeout)


@trio_test
async def test_all_addresses(clock: MockClock) -> None:
    addresses = [*V4[:3], *V6[:3]]
    scenario = in_network(addresses, {V4[1]: DEAD, V6[0]: SILENT, V6[1]: Step(3, SUCCESS)})
    evidence, took = await observed(scenario, ScanConfig(all_addresses=True))
    assert [endpoint.address for endpoint in evidence.endpoints] == [*V6[:3], *V4[:3]]
    assert [endpoint.probe.ok for endpoint in evidence.endpoints] == [False, True, True, True, False, True]
    assert took <= ScanConfig().timeout  # side by side
    assert evidence.attempts == 6


@trio_test
async def test_all_addresses_are_bounded(clock: MockClock) -> None:
    scenario = in_network([f"198.51.100.{number}" for number in range(200)])
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=True))
    assert len(evidence.endpoints) == observe.MAX_ADDRESSES


@pytest.mark.parametrize("every", [True, False])
@trio_test
async def test_banned_addresses_are_never_contacted(clock: MockClock, every: bool) -> None:
    scenario = in_network(V4[:3], dict.fromkeys(V4, REFUSED))
    evidence, _ = await observed(scenario, ScanConfig(all_addresses=every), banned=lambda address: address == V4[1])
    assert sorted(scenario.order()) == [V4[0], V4[2]]
    assert [endpoint.address for endpoint in evidence.endpoints] == [V4[0], V4[2]]


@pytest.mark.parametrize("of", [target(), target(V4[0]), target(address=V4[0])], ids=["name", "literal", "given"])
@trio_test
async def test_where_all_is_banned_nothing_is_contacted(clock: MockClock, of: Target) -> None:
    scenario = in_network(V4[:3])
    evidence, _ = await observed(scenario, of=of, banned=lambda address: True)
    assert scenario.connections == []
    assert evidence.endpoints == ()


# --- retries ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "transient"),
    [
        (failed(Failure.RESET), True),
        (failed(Failure.CLOSED), True),
        (failed(Failure.RESET, bytes_received=1), False),
        (failed(Failure.CLOSED, bytes_received=100), False),
        (failed(Failure.STARTTLS_REFUSED, detail="454 4.7.0 not now"), True),
        (failed(Failure.STARTTLS_MALFORMED, detail="421 too busy"), True),
        (failed(Failure.STARTTLS_REFUSED, detail="554 never"), False),
        (failed(Failure.STARTTLS_REFUSED), False),
        (failed(Failure.STARTTLS_NOT_OFFERED, detail="4"), False),
        (failed(Failure.CONNECTION_REFUSED, stage=Stage.CONNECT), False),
        (failed(Failure.ALERT, alert=40), False),
        (failed(Failure.SILENT), False),
        (failed(Failure.MALFORMED), False),
        (failed(Failure.PLAINTEXT), False),
        (SUCCESS, False),
    ],
)
@trio_test
async def test_only_what_may_pass_is_tried_again(clock: MockClock, fault: Any, transient: bool) -> None:
    assert may_be_transient(fault, ScanConfig()) is transient
    scenario = in_network(V4[:1], {V4[0]: [Step(0.01, fault), OK]})
    evidence, _ = await observed(scenario)
    assert len(scenario.connections) == evidence.attempts == (2 if transient else 1)
    assert evidence.endpoints[0].probe.ok is (transient or fault.ok)


@pytest.mark.parametrize(("timeout", "tries"), [(2.0, 2), (3.0, 1), (4.0, 1)])
@trio_test
async def test_what_the_kernel_has_tried_again_is_not(clock: MockClock, timeout: float, tries: int) -> None:
    scenario = in_network(V4[:1], {V4[0]: DEAD})
    await observed(scenario, ScanConfig(connect_timeout=timeout))
    assert len(scenario.connections) == tries


@pytest.mark.parametrize("retries", [0, 1, 4])
@trio_test
async def test_as_often_as_was_asked_for_and_later_each_time(clock: MockClock, retries: int) -> None:
    scenario = in_network(V4[:1], {V4[0]: RESET})
    await observed(scenario, ScanConfig(retries=retries))
    starts = scenario.starts()
    assert len(starts) == retries + 1
    for number, (before, after) in enumerate(pairwise(starts)):
        pause = after - before - 0.01
        assert observe.BACKOFF * 2**number <= pause <= 2 * observe.BACKOFF * 2**number


@trio_test
async def test_back_off_is_different_for_each(clock: MockClock) -> None:
    scenario = Scenario(dict.fromkeys(V4, RESET))
    observer = observer_in(scenario)
    async with trio.open_nursery() as nursery:
        for address in V4:
            nursery.start_soon(observer.observe, target(address), 0.0)
    again = sorted(scenario.starts())[len(V4) :]
    assert len(set(again)) == len(V4)


# --- budget ----------------------------------------------------------------------------------------


def asking(*names: str) -> Any:
    """These questions, one after the other."""

    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
        assert started == 1000.0
        return next((Asked(name) for name in names if name not in endpoint.followups), None)

    return ask


def for_ever(of: Target, endpoint: EndpointEvidence, started: float) -> Asked:
    return Asked(f"question {len(endpoint.followups)}")


@trio_test
async def test_questions_are_asked_at_the_same_address_until_there_is_none(clock: MockClock) -> None:
    scenario = in_network(V4[:2])
    evidence, _ = await observed(scenario, ask=asking("a", "b", "c"))
    (endpoint,) = evidence.endpoints
    assert list(endpoint.followups) == ["a", "b", "c"]
    assert scenario.order() == V4[:1] * 4
    assert [connection.offer.name for connection in scenario.connections] == ["modern", "small", "small", "small"]
    assert [connection.sni for connection in scenario.connections] == [HOST, None, None, None]
    assert evidence.attempts == 4


@trio_test
async def test_an_address_that_does_not_connect_is_asked_nothing(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: REFUSED})
    await observed(scenario, ask=for_ever)
    assert len(scenario.connections) == 1


@pytest.mark.parametrize("timeout", [1.0, 5.0, 15.0])
@trio_test
async def test_whatever_a_server_does_the_whole_probe_ends_in_time(clock: MockClock, timeout: float) -> None:
    """Silence for the hello and for every question: no more than the whole, and the questions get some of it."""
    scenario = in_network(V4[:1], {V4[0]: SILENT})
    evidence, took = await observed(scenario, ScanConfig(timeout=timeout, retries=3), ask=for_ever)
    assert took <= timeout + 1e-6
    assert len(evidence.endpoints[0].followups) >= 1
    first = scenario.connections[0]
    assert first.timing.handshake == pytest.approx(max(timeout * observe.FIRST_SHARE, observe.FOLLOWUP_LEAST))
    for connection in scenario.connections[1:]:
        assert connection.timing.handshake <= max(timeout * observe.FOLLOWUP_SHARE, observe.FOLLOWUP_LEAST) + 1e-6


@trio_test
async def test_retries_spend_the_same_budget(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: Step(2, Failure.RESET)})
    _, took = await observed(scenario, ScanConfig(timeout=6, retries=100), ask=for_ever)
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
        results.append(await observer.observe(target(V4[0]), 0.0))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(one)
    assert all(evidence.endpoints[0].probe.ok for evidence in results)
    assert scenario.peak(V4[0]) == 1


@trio_test
async def test_enumeration_has_a_budget_of_its_own(clock: MockClock) -> None:
    scenario = in_network(V4[:1], {V4[0]: Step(1, SUCCESS)})
    evidence, took = await observed(scenario, ScanConfig(timeout=5, enumerate=True), ask=for_ever)
    assert took == pytest.approx(5 * observe.ENUMERATE_TIMES + 1, abs=1)
    assert len(evidence.endpoints[0].followups) == 5 * observe.ENUMERATE_TIMES / 0.75


@trio_test
async def test_a_budget_counts_what_is_spent(clock: MockClock) -> None:
    budget = Budget(10)
    begun = trio.current_time()
    await trio.sleep(4)
    budget.spend(begun)
    assert budget.left == pytest.approx(6)


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
        results.append(await observer.observe(target(f"198.51.{number // 200}.{number % 200}"), 0.0))

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
async def test_an_exception_gives_back_the_place(clock: MockClock) -> None:
    config = ScanConfig(concurrency=1)
    pacer = pacer_for(config)
    scenario = in_network(V4[:1], {V4[0]: [Step(0, RuntimeError("bug")), OK]})
    with pytest.raises(RuntimeError, match="bug"):
        await observed(scenario, config, pacer=pacer)
    assert pacer.statistics().in_flight == 0
    assert (await observed(scenario, config, pacer=pacer))[0].endpoints[0].probe.ok


@trio_test
async def test_cancelled_at_any_moment_all_is_closed(clock: MockClock) -> None:
    config = ScanConfig(all_addresses=True, concurrency=2, rate_per_address=3, concurrency_per_address=1)
    for moment in range(40):
        pacer = pacer_for(config)
        scenario = in_network(V4, dict.fromkeys(V4, RESET) | {V4[0]: SILENT}, dns_delay=0.1)
        with trio.move_on_after(moment * 0.07):
            await observed(scenario, config, pacer=pacer, ask=for_ever)
        assert pacer.statistics().in_flight == 0
