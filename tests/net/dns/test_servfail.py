"""DNSSEC is blamed only on a contrast without exception that outlasts what resolvers remember of failures."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dns_server import Node
from scanner.model.evidence import DnsStatus
from scanner.net.dns import servfail as servfail_module
from tests.net.dns.dns_memory import ZONE, Arrivals, memory_resolver, serving

CHECKING_DISABLED = 0x10


def servfail(query: bytes) -> Arrivals:
    return [(0.01, query[:2] + b"\x81\x82" + query[4:])]


@trio_test
async def test_a_name_that_always_fails_with_checking_and_never_without_is_bogus(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        answer = await resolver.resolve("bogus.example")
        assert answer.bogus and answer.status is DnsStatus.SERVFAIL and answer.doubt is None
        unchecked = [time for time, _server, query in network.queries if query[3] & CHECKING_DISABLED]
        assert len(unchecked) == servfail_module.SERIES * servfail_module.PAIRS
        assert unchecked[-1] - unchecked[0] > servfail_module.SERIES_PAUSE


@trio_test
async def test_an_extended_error_of_dnssec_needs_no_further_question(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        assert (await resolver.resolve("bogus-ede.example")).bogus
        assert trio.current_time() < servfail_module.SERIES_PAUSE


@trio_test
async def test_a_failure_that_the_resolver_remembers_for_a_while_is_not_bogus(clock: MockClock) -> None:
    """unbound answers SERVFAIL from its cache for five seconds, for questions with and without checking apart."""
    async with memory_resolver(
        [
            lambda query, tcp: (
                servfail(query)
                if trio.current_time() < 5 and not query[3] & CHECKING_DISABLED
                else serving(ZONE)(query, tcp)
            )
        ]
    ) as (resolver, _network):
        answer = await resolver.resolve("a.example")
        assert answer.addresses and not answer.bogus


@trio_test
@pytest.mark.parametrize("fails_without", [False, True])
@pytest.mark.parametrize("pair", range(1, servfail_module.SERIES * servfail_module.PAIRS + 1))
async def test_one_exception_is_enough(clock: MockClock, pair: int, fails_without: bool) -> None:
    """In one of the pairs the question fails without checking, or is answered with it."""
    unchecked = 0

    def script(query: bytes, tcp: bool) -> Arrivals:
        nonlocal unchecked
        if b"\1x\7example" not in query:
            return serving(ZONE)(query, tcp)
        fails = not query[3] & CHECKING_DISABLED
        unchecked += not fails
        if unchecked == pair and fails_without is not fails:
            fails = not fails
        return servfail(query) if fails else serving({"x.example": Node(a=("127.0.0.1",))})(query, tcp)

    async with memory_resolver([script], retries=0) as (resolver, _network):
        await resolver.resolve("a.example")
        assert not (await resolver.resolve("x.example", ipv6=False)).bogus
        assert unchecked == pair
