"""What is behind a failure: SERVFAIL explained, one resolver after the other, forged and unreadable answers."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dns_server import Node, respond
from scanner.model.evidence import DnsStatus
from scanner.net.dns import health, message_wire, pace, resolver_config
from scanner.net.dns.resolver import Service, open_resolver
from scanner.net.dns.resolver_config import SystemResolvers
from tests.net.dns.dns_memory import ONE, THREE, TWO, ZONE, Arrivals, memory_resolver, serving, silent

# --- SERVFAIL explained ------------------------------------------------------------------------------


@trio_test
async def test_loops_that_a_resolver_hides_behind_servfail(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answer = await resolver.resolve("loop.example")
        assert (answer.status, answer.loop, answer.bogus) == (DnsStatus.SERVFAIL, True, False)
        assert answer.cname == ("loop2.example", "loop3.example", "loop2.example")
        answer = await resolver.resolve("self.example")
        assert answer.loop and answer.cname == ("self.example",)
        assert answer.duration < 2


@trio_test
async def test_loops_that_are_followed_by_asking_on(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answer = await resolver.resolve("stops-loop.example")
        assert answer.loop and answer.cname == ("stops-loop2.example", "stops-loop.example") and not answer.addresses


@trio_test
async def test_endless_chains_have_an_end(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        answer = await resolver.resolve("long0.example")
        assert answer.status is DnsStatus.SERVFAIL and not answer.loop
        assert len(answer.cname) == message_wire.MAX_CHAIN and len(network.queries) < 80


@trio_test
async def test_bogus_is_what_goes_away_without_checking(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answer = await resolver.resolve("bogus.example")
        assert (answer.status, answer.bogus, answer.addresses) == (DnsStatus.SERVFAIL, True, ())
        answer = await resolver.resolve("bogus-ede.example")
        assert answer.bogus and answer.extended_errors == ((9, "no DNSKEY"),)
        answer = await resolver.resolve("broken.example")
        assert not answer.bogus and answer.extended_errors == ((22, "no reachable authority"), (23, ""))


@trio_test
async def test_a_bogus_name_at_the_end_of_a_chain_that_was_asked_on(clock: MockClock) -> None:
    zone = {
        "to-bogus.example": Node(cname="bogus.example", stops_at_cname=True),
        "bogus.example": ZONE["bogus.example"],
    }
    async with memory_resolver([serving(zone)]) as (resolver, _network):
        answer = await resolver.resolve("to-bogus.example")
        assert (answer.status, answer.bogus, answer.cname) == (DnsStatus.SERVFAIL, True, ("bogus.example",))


@trio_test
async def test_where_a_chain_breaks(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answer = await resolver.resolve("to-broken.example")
        assert (answer.status, answer.cname, answer.loop) == (DnsStatus.SERVFAIL, ("broken.example",), False)
        assert "broken.example" in (answer.detail or "")


@trio_test
async def test_a_servfail_that_goes_away_is_not_bogus(clock: MockClock) -> None:
    """SERVFAIL for a while, then an answer: by the time that checking is disabled the trouble is over."""
    good = serving(ZONE)

    def script(query: bytes, tcp: bool) -> Arrivals:
        if trio.current_time() - started < 0.5 and not query[3] & 0x10:
            return [(0.1, query[:2] + b"\x81\x82" + query[4:])]
        return good(query, tcp)

    for delay in (0.0, 0.4):
        async with memory_resolver([script], retries=0) as (resolver, _network):
            started = trio.current_time() - delay
            answer = await resolver.resolve("a.example")
            assert not answer.bogus and answer.status is DnsStatus.NOERROR and answer.addresses


# --- several resolvers -------------------------------------------------------------------------------


@trio_test
async def test_failover_and_being_asked_last_after_many_failures(clock: MockClock) -> None:
    zone = {f"n{number}.example": Node(a=("127.0.0.1",)) for number in range(40)}
    async with memory_resolver([silent, serving(zone)]) as (resolver, network):
        for number in range(40):
            answer = await resolver.resolve(f"n{number}.example")
            assert answer.addresses == ("127.0.0.1",) and answer.resolver == TWO.text
        await trio.sleep(10)
        assert network.count(ONE.text) < 30
        assert resolver.statistics().upstreams[0].service is Service.SILENT


@trio_test
async def test_the_first_resolver_is_used_again_when_it_is_back(clock: MockClock) -> None:
    zone = {f"n{number}.example": Node(a=("127.0.0.1",)) for number in range(40)}
    dead = True

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [] if dead else serving(zone)(query, tcp)

    async with memory_resolver([script, serving(zone)]) as (resolver, _network):
        for number in range(10):
            await resolver.resolve(f"n{number}.example")
        dead = False
        assert (await resolver.resolve("n11.example")).resolver == TWO.text
        await trio.sleep(2 * health.LONGEST_PROBE_PAUSE)
        assert (await resolver.resolve("n12.example")).resolver == ONE.text


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_another_resolver_may_know_better(rcode: str) -> None:
    @trio_test
    async def run(clock: MockClock) -> None:
        async with memory_resolver([serving({"*": Node(rcode=rcode)}), serving(ZONE)]) as (resolver, _network):
            answer = await resolver.resolve("a.example")
            assert (answer.status, answer.resolver) == (DnsStatus.NOERROR, TWO.text)

    run(clock=MockClock(autojump_threshold=0))


@trio_test
async def test_nxdomain_is_an_answer(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE), serving({"*": Node(a=("127.0.0.9",))})]) as (resolver, network):
        assert (await resolver.resolve("nowhere.example")).status is DnsStatus.NXDOMAIN
        assert network.count(TWO.text) == 0


@trio_test
async def test_a_server_that_does_not_recurse_is_no_resolver(clock: MockClock) -> None:
    def referring(query: bytes, tcp: bool) -> Arrivals:
        response = dns.message.make_response(dns.message.from_wire(query))
        response.authority.append(dns.rrset.from_text("example.", 60, "IN", "NS", "ns.example."))
        return [(0.1, response.to_wire())]

    async with memory_resolver([referring, serving(ZONE)]) as (resolver, _network):
        assert (await resolver.resolve("a.example")).resolver == TWO.text
    async with memory_resolver([referring], retries=0) as (resolver, _network):
        answer = await resolver.resolve("a.example")
        assert answer.status is DnsStatus.REFUSED and "recursive" in (answer.detail or "")


@trio_test
async def test_rotation(clock: MockClock) -> None:
    zone = {f"n{number}.example": Node(a=("127.0.0.1",)) for number in range(9)}
    async with memory_resolver([serving(zone)] * 3, rotate=True) as (resolver, network):
        for number in range(9):
            await resolver.resolve(f"n{number}.example")
        assert [network.count(server.text) for server in (ONE, TWO, THREE)] == [6, 6, 6]


@trio_test
async def test_the_most_telling_failure_is_kept(clock: MockClock) -> None:
    async with memory_resolver([silent, serving({"*": Node(rcode="REFUSED")}), silent], retries=0) as (
        resolver,
        _network,
    ):
        assert (await resolver.resolve("a.example")).status is DnsStatus.REFUSED


@trio_test
async def test_retries_are_spaced_and_patience_has_an_end(clock: MockClock) -> None:
    async with memory_resolver([silent], retries=2) as (resolver, network):
        answer = await resolver.resolve("a.example")
        assert answer.status is DnsStatus.TIMEOUT
        times = sorted({time for time, _server, _query in network.queries})
        assert len(times) < 12, "a few questions whether it is back, and one try"
        assert trio.current_time() - times[0] < 20
    async with memory_resolver([silent] * 3, retries=5, patience=7) as (resolver, network):
        started = trio.current_time()
        await resolver.resolve("a.example")
        assert trio.current_time() - started == pytest.approx(7)


@trio_test
async def test_a_dead_resolver_costs_one_try_per_name_once_it_is_known(clock: MockClock) -> None:
    async with memory_resolver([silent], timeout=3, retries=1) as (resolver, network):
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(resolver.resolve, f"n{number}.example")
        arithmetic = 1000 * 3 / pace.START_LIMIT
        assert trio.current_time() - started < 1.3 * arithmetic
        assert len(network.queries) < 2 * 1000 * 1.3


@trio_test
async def test_no_resolver_can_be_sent_to(clock: MockClock) -> None:
    async with memory_resolver([]) as (resolver, _network):
        answer = await resolver.resolve("a.example")
        assert answer.status is DnsStatus.UNREACHABLE and answer.detail
    system = SystemResolvers(problem="/etc/resolv.conf cannot be read")
    async with open_resolver(system=system, hosts=resolver_config.parse_hosts("127.0.0.3 known.example")) as resolver:
        answer = await resolver.resolve("a.example")
        assert (answer.status, answer.detail) == (DnsStatus.UNREACHABLE, "/etc/resolv.conf cannot be read")
        assert (await resolver.resolve("known.example")).addresses == ("127.0.0.3",)


@trio_test
async def test_malformed_answers_are_reported(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(0.1, query[:2] + b"\x81\x80\0\1\xff\xff\0\0\0\0" + query[12:-11] + b"\xc0")]

    async with memory_resolver([script], retries=0) as (resolver, _network):
        answer = await resolver.resolve("a.example")
        assert answer.status is DnsStatus.MALFORMED and answer.detail


@trio_test
async def test_forged_answers_before_the_true_one(clock: MockClock) -> None:
    good = serving(ZONE, 0.5)
    evil = {"a.example": Node(a=("203.0.113.66",)), "evil.example": Node(a=("203.0.113.66",))}

    def script(query: bytes, tcp: bool) -> Arrivals:
        forged = respond(query, evil)
        assert forged is not None
        wrong_id = bytes([forged[0] ^ 1]) + forged[1:]
        wrong_question = forged.replace(b"\1a\7example", b"\1b\7example")
        return [(0.1, wrong_id), (0.2, wrong_question), (0.3, b"\0" * 11), *good(query, tcp)]

    async with memory_resolver([script]) as (resolver, _network):
        assert (await resolver.resolve("a.example")).addresses == ("127.0.0.1", "127.0.0.2", "::1")
        assert resolver.statistics().upstreams[0].ignored == 6


@trio_test
async def test_a_cname_to_a_name_with_odd_octets_is_asked_for(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        message = dns.message.from_wire(query)
        response = dns.message.make_response(message, recursion_available=True)
        name = message.question[0].name
        if name.to_text() == "odd.example.":
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", r"a\.b\027.example."))
        elif message.question[0].rdtype == 1:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "A", "127.0.0.8"))
        return [(0.1, response.to_wire())]

    async with memory_resolver([script]) as (resolver, _network):
        answer = await resolver.resolve("odd.example")
        assert (answer.addresses, answer.cname) == (("127.0.0.8",), (r"a\.b\027.example",))
