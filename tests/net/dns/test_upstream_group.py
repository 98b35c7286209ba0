"""Resolvers as a group: which one is asked and how often, and when a failure is not the name's."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dns_server import Node
from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns import health, tcp_exchange, upstream
from scanner.net.dns import resolver as resolver_module
from scanner.net.dns.resolver import Resolver, ResolverState, Service
from tests.net.dns.dns_memory import ONE, TWO, Arrivals, Script, memory_resolver, serving, silent

CROWD = 200
ZONE = {
    **{f"n{number}.example": Node(a=("127.0.0.1",)) for number in range(2000)},
    "quiet.example": Node(silent=True),
    "refused.example": Node(rcode="REFUSED"),
    "broken.example": Node(rcode="SERVFAIL"),
}


def answer_with(query: bytes, rcode: int) -> bytes:
    return query[:2] + bytes((0x81, 0x80 | rcode)) + query[4:]


async def resolve_all(resolver: Resolver, *names: str, crowd: int = CROWD) -> dict[str, DnsAnswer]:
    """``names`` beside ``crowd`` others, all at once."""
    answers: dict[str, DnsAnswer] = {}

    async def one(name: str) -> None:
        answers[name] = await resolver.resolve(name)

    async with trio.open_nursery() as nursery:
        for name in (*names, *(f"n{number}.example" for number in range(crowd))):
            nursery.start_soon(one, name)
    return answers


async def ask_again(resolver: Resolver, answers: dict[str, DnsAnswer]) -> dict[str, DnsAnswer]:
    """What the end of a run does: everything in doubt once more, unhurried."""
    final = dict(answers)

    async def one(name: str) -> None:
        final[name] = await resolver.resolve(name, unhurried=True)

    async with trio.open_nursery() as nursery:
        for name, answer in answers.items():
            if answer.doubt is not None:
                nursery.start_soon(one, name)
    return final


@trio_test
async def test_a_failure_in_the_crowd_is_in_doubt_until_it_was_asked_again_unhurried(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answers = await resolve_all(resolver, "quiet.example", "refused.example", "broken.example")
        for name, status in (
            ("quiet.example", DnsStatus.TIMEOUT),
            ("refused.example", DnsStatus.REFUSED),
            ("broken.example", DnsStatus.SERVFAIL),
        ):
            assert answers[name].status is status and "among many names" in (answers[name].doubt or "")
        assert sum(answer.doubt is not None for answer in answers.values()) == 3
        final = await ask_again(resolver, answers)
        assert final["quiet.example"].status is DnsStatus.TIMEOUT
        assert final["broken.example"].status is DnsStatus.SERVFAIL
        assert all(answer.doubt is None for answer in final.values())


@trio_test
@pytest.mark.parametrize("name", ["quiet.example", "refused.example", "broken.example"])
async def test_a_failure_of_a_name_asked_alone_is_final(clock: MockClock, name: str) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        await resolver.resolve("n1.example")
        assert (await resolver.resolve(name)).doubt is None


@trio_test
async def test_what_was_lost_in_the_crowd_is_found_unhurried(clock: MockClock) -> None:
    """A resolver that drops the questions about some names while it is busy."""
    busy = True

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [] if busy and b"n1" in query else serving(ZONE)(query, tcp)

    async with memory_resolver([script]) as (resolver, _network):
        answers = await resolve_all(resolver)
        lost = [name for name, answer in answers.items() if answer.doubt is not None]
        assert "n11.example" in lost
        busy = False
        final = await ask_again(resolver, answers)
        assert all(answer.addresses and answer.doubt is None for answer in final.values())


@trio_test
async def test_the_last_try_is_over_tcp(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        return serving(ZONE)(query, tcp) if tcp or b"\2n1" in query else []

    async with memory_resolver([script]) as (resolver, _network):
        await resolver.resolve("n1.example")
        answer = await resolver.resolve("n2.example")
        assert answer.addresses == ("127.0.0.1",) and answer.doubt is None
        assert resolver.statistics().upstreams[0].lost == 2, "what TCP brought was lost by UDP"


@trio_test
async def test_tcp_is_left_alone_where_it_brings_nothing(clock: MockClock) -> None:
    zone = {**ZONE, **{f"dead{number}.example": Node(silent=True) for number in range(100)}}
    async with memory_resolver([serving(zone)]) as (resolver, _network):
        answers = await resolve_all(resolver, *(f"dead{number}.example" for number in range(100)))
        await ask_again(resolver, answers)
        tcp = resolver.statistics().upstreams[0].over_tcp
        assert 0 < tcp <= 2 * (tcp_exchange.FRUITLESS_TRIES + tcp_exchange.LAST_TRY_LIMIT)


@trio_test
async def test_dead_names_take_bounded_time_unhurried(clock: MockClock) -> None:
    zone = {**ZONE, **{f"dead{number}.example": Node(silent=True) for number in range(320)}}
    async with memory_resolver([serving(zone)], patience=12) as (resolver, _network):
        answers = await resolve_all(resolver, *(f"dead{number}.example" for number in range(320)))
        started = trio.current_time()
        final = await ask_again(resolver, answers)
        assert all(final[f"dead{number}.example"].status is DnsStatus.TIMEOUT for number in range(320))
        # two rounds of 3 and 6 seconds, a pause between them, and TCP for the first few
        assert trio.current_time() - started < 320 / resolver_module.UNHURRIED_LIMIT * 9.5 + 30


@trio_test
async def test_names_asked_unhurried_are_few_at_a_time(clock: MockClock) -> None:
    at_once: list[int] = []

    def script(query: bytes, tcp: bool) -> Arrivals:
        at_once.append(resolver.statistics().upstreams[0].in_flight)
        return serving(ZONE, 0.02)(query, tcp)

    async with memory_resolver([script]) as (resolver, _network):
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(lambda n: resolver.resolve(n, unhurried=True), f"n{number}.example")
    assert max(at_once) <= 4


@trio_test
async def test_an_unhurried_answer_is_not_a_remembered_failure(clock: MockClock) -> None:
    good = False

    def script(query: bytes, tcp: bool) -> Arrivals:
        return serving(ZONE)(query, tcp) if good else [(0.01, answer_with(query, 5))]

    async with memory_resolver([script, serving(ZONE, 0.02)], retries=0) as (resolver, network):
        await resolver.resolve("n1.example")
        good = True
        before = len(network.queries)
        assert (await resolver.resolve("n1.example", unhurried=True)).addresses
        assert len(network.queries) == before, "an answer that is known serves"


# --- limits and overload -------------------------------------------------------------------------------


def limited(most: int, over: Callable[[bytes], Arrivals], delay: float = 0.05) -> Script:
    """Works on ``most`` questions at a time, as dnsmasq and systemd-resolved do (150)."""
    until: list[float] = []

    def script(query: bytes, tcp: bool) -> Arrivals:
        now = trio.current_time()
        until[:] = [end for end in until if end > now]
        if len(until) >= most:
            return over(query)
        until.append(now + delay)
        return serving(ZONE, delay)(query, tcp)

    return script


@trio_test
@pytest.mark.parametrize("drops", [False, True])
async def test_a_resolver_of_150_questions_loses_no_name(clock: MockClock, drops: bool) -> None:
    script = limited(150, (lambda query: []) if drops else (lambda query: [(0.001, answer_with(query, 5))]))
    async with memory_resolver([script]) as (resolver, _network):
        answers = await ask_again(resolver, await resolve_all(resolver, crowd=1000))
        assert all(answer.addresses == ("127.0.0.1",) for answer in answers.values())
        statistics = resolver.statistics().upstreams[0]
        assert 2 * statistics.limit <= 220, "the window has learned the limit"
        assert statistics.lost < 600


@trio_test
async def test_servfail_at_random_is_neither_bogus_nor_the_names(clock: MockClock) -> None:
    chance = random.Random(10)

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(0.01, answer_with(query, 2))] if chance.random() < 0.5 else serving(ZONE)(query, tcp)

    async with memory_resolver([script], patience=12) as (resolver, _network):
        answers = await resolve_all(resolver, crowd=500)
        assert not any(answer.bogus for answer in answers.values())
        final = await ask_again(resolver, answers)
        assert all(answer.addresses == ("127.0.0.1",) and not answer.bogus for answer in final.values())


# --- a resolver that answers nobody ---------------------------------------------------------------------


class Outage:
    """A server for ZONE that can be switched: ``None`` answers, else what each question gets."""

    def __init__(self) -> None:
        self.instead: Callable[[bytes], Arrivals] | None = None

    def __call__(self, query: bytes, tcp: bool) -> Arrivals:
        return serving(ZONE)(query, tcp) if self.instead is None else self.instead(query)


@trio_test
@pytest.mark.parametrize(
    ("instead", "service"),
    [
        (lambda query: [], Service.SILENT),
        (lambda query: [(0.001, ConnectionRefusedError(111, "refused"))], Service.UNREACHABLE),
        (lambda query: [(0.001, answer_with(query, 5))], Service.REFUSING),
        (lambda query: [(0.001, answer_with(query, 2))], Service.FAILING),
    ],
)
async def test_names_wait_for_a_resolver_that_is_away_for_a_minute(
    clock: MockClock, instead: Callable[[bytes], Arrivals], service: Service
) -> None:
    server = Outage()
    states: list[ResolverState] = []
    async with memory_resolver([server], patience=12) as (resolver, network):
        resolver.watch(states.append)
        await resolve_all(resolver, crowd=50)
        server.instead = instead
        answers: dict[str, DnsAnswer] = {}

        async def one(name: str) -> None:
            answers[name] = await resolver.resolve(name)

        async with trio.open_nursery() as nursery:
            for number in range(50, 450):
                nursery.start_soon(one, f"n{number}.example")
            await trio.sleep(60)
            asked = len(network.queries)
            server.instead = None
        answers = await ask_again(resolver, answers)
        assert len(answers) == 400 and all(answer.addresses for answer in answers.values())
    assert [state.service for state in states] == [service, Service.ANSWERING], "said once, and once that it is over"
    assert states[0].worked and states[0].server == ONE.text
    assert asked < 700, "one question now and then, not those of all who wait"


@trio_test
async def test_a_resolver_that_stays_away_costs_each_name_no_patience_of_its_own(clock: MockClock) -> None:
    server = Outage()
    async with memory_resolver([server], patience=12) as (resolver, _network):
        await resolve_all(resolver, crowd=50)
        server.instead = lambda query: []
        answers = await resolve_all(resolver, crowd=1000)
        started = trio.current_time()
        answers |= await resolve_all(resolver, *(f"n{number}.example" for number in range(1000, 2000)), crowd=0)
        assert trio.current_time() - started < 1
        failed = [answer for answer in answers.values() if not answer.addresses]
        assert len(failed) == 1950
        assert all(
            answer.status is DnsStatus.TIMEOUT and "answered nobody since" in (answer.doubt or "") for answer in failed
        )
        again = await ask_again(resolver, {"n99.example": failed[0]})
        assert "answered nobody since" in (again["n99.example"].doubt or ""), "this is no name's"
        assert trio.current_time() - started < 20
        server.instead = None
        await trio.sleep(health.LONGEST_PROBE_PAUSE + 2)
        assert (await resolver.resolve("n99.example", unhurried=True)).addresses


@trio_test
async def test_a_resolver_that_never_answered_is_said_to_and_waited_for_only_briefly(clock: MockClock) -> None:
    states: list[ResolverState] = []
    async with memory_resolver([silent], patience=12) as (resolver, _network):
        resolver.watch(states.append)
        started = trio.current_time()
        answers = await resolve_all(resolver, crowd=1000)
        assert trio.current_time() - started < 25
        assert all("never before in this run" in (answer.doubt or "") for answer in answers.values())
    assert [(state.service, state.worked) for state in states] == [(Service.SILENT, False)]


@trio_test
async def test_dead_names_first_do_not_keep_the_others_from_being_asked(clock: MockClock) -> None:
    zone = {
        **ZONE,
        **{f"dead{number}.example": Node(silent=True) for number in range(300)},
        "localhost": Node(silent=True),
    }
    states: list[ResolverState] = []
    async with memory_resolver([serving(zone)], patience=12) as (resolver, _network):
        resolver.watch(states.append)
        answers = await resolve_all(resolver, *(f"dead{number}.example" for number in range(300)), crowd=100)
        assert all(answers[f"n{number}.example"].addresses for number in range(100))
    assert not states


@trio_test
async def test_names_go_to_the_resolver_that_answers(clock: MockClock) -> None:
    server = Outage()
    states: list[ResolverState] = []
    async with memory_resolver([server, serving(ZONE)], patience=12) as (resolver, network):
        resolver.watch(states.append)
        await resolve_all(resolver, crowd=50)
        server.instead = lambda query: []
        answers = await resolve_all(resolver, *(f"n{number}.example" for number in range(100, 400)), crowd=0)
        assert all(answer.addresses and answer.resolver == TWO.text for answer in answers.values())
        await trio.sleep(10)
        before = network.count(ONE.text)
        await resolve_all(resolver, *(f"n{number}.example" for number in range(1000, 1200)), crowd=0)
        assert network.count(ONE.text) - before < 10
    assert [state.service for state in states] == [Service.SILENT]


@trio_test
async def test_the_run_ends_cleanly_while_names_wait_for_a_resolver(clock: MockClock) -> None:
    async with memory_resolver([silent]) as (resolver, _network):
        with trio.move_on_after(10):
            await resolve_all(resolver, crowd=200)
        assert resolver.statistics().upstreams[0].in_flight == 0


def test_a_crowd_is_more_than_a_person_asks() -> None:
    assert upstream.CROWD < 10
