"""Names to addresses: against the small server over real sockets, and against scripted networks in no time."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import dns.message
import dns.rrset
import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dnsserver import Node, Zone, respond, serve_dns
from scanner.evidence import DnsStatus
from scanner.net import dns_config, dns_pace, dns_wire, resolve
from scanner.net.dns_config import Server, SystemResolvers
from scanner.net.resolve import CaaAnswer, Resolver, ResolverConfigError, TlsaAnswer, open_resolver
from tests.net.dns_memory import Arrivals, MemoryNetwork, Script, serving, silent

ZONE: Zone = {
    "a.example": Node(a=("127.0.0.1", "127.0.0.2"), aaaa=("::1",)),
    "v4.example": Node(a=("127.0.0.4",)),
    "v6.example": Node(aaaa=("::6",)),
    "nodata.example": Node(),
    "secure.example": Node(a=("127.0.0.1",), aaaa=("::1",), authenticated=True),
    "www.example": Node(cname="mid.example"),
    "mid.example": Node(cname="a.example"),
    "stops.example": Node(cname="stops2.example", stops=True),
    "stops2.example": Node(cname="v4.example", stops=True),
    "stops-nowhere.example": Node(cname="gone.example", stops=True),
    "stops-empty.example": Node(cname="nodata.example", stops=True),
    "stops-loop.example": Node(cname="stops-loop2.example", stops=True),
    "stops-loop2.example": Node(cname="stops-loop.example", stops=True),
    "dangling.example": Node(cname="gone.example"),
    "loop.example": Node(cname="loop2.example"),
    "loop2.example": Node(cname="loop3.example"),
    "loop3.example": Node(cname="loop2.example"),
    "self.example": Node(cname="self.example"),
    "bogus.example": Node(a=("127.0.0.1",), bogus=True),
    "bogus-ede.example": Node(a=("127.0.0.1",), bogus=True, extended_errors=((9, "no DNSKEY"),)),
    "broken.example": Node(rcode="SERVFAIL", extended_errors=((22, "no reachable authority"), (23, ""))),
    "to-broken.example": Node(cname="broken.example"),
    "one-family.example": Node(a=("127.0.0.1",), failing_types=("AAAA",)),
    "half-quiet.example": Node(aaaa=("::1",), silent_types=("A",)),
    "refused.example": Node(rcode="REFUSED"),
    "formerr.example": Node(rcode="FORMERR"),
    "notimp.example": Node(rcode="NOTIMP"),
    "notauth.example": Node(rcode="NOTAUTH"),
    "quiet.example": Node(silent=True),
    "t.example": Node(a=("127.0.0.1",), aaaa=("::1",), truncated=True),
    "large.example": Node(a=tuple(f"10.0.{n // 200}.{n % 200}" for n in range(400))),
    "example": Node(caa=((0, "issue", "ca.example"), (128, "iodef", 'mailto:"x"\\y'))),
    "none.test": Node(a=("127.0.0.1",)),
    "caa-fails.test": Node(failing_types=("CAA",)),
    "_443._tcp.a.example": Node(tlsa=((3, 1, 1, b"\1" * 32), (2, 0, 2, b"\2" * 64)), authenticated=True),
    "_25._tcp.a.example": Node(rcode="SERVFAIL"),
    **{f"long{n}.example": Node(cname=f"long{n + 1}.example", stops=True) for n in range(40)},
}
ONE, TWO, THREE = (Server(f"192.0.2.{n}") for n in (1, 2, 3))


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


@asynccontextmanager
async def memory_resolver(
    scripts: Sequence[Script], *, timeout: float = 3, retries: int = 1, rotate: bool = False, patience: float = 60
) -> AsyncIterator[tuple[Resolver, MemoryNetwork]]:
    servers = (ONE, TWO, THREE)[: len(scripts)]
    network = MemoryNetwork({server.text: script for server, script in zip(servers, scripts, strict=True)})
    async with open_resolver(
        timeout=timeout,
        retries=retries,
        patience=patience,
        network=network,
        system=SystemResolvers(servers, rotate=rotate),
        hosts=dns_config.Hosts(),
    ) as resolver:
        yield resolver, network
    assert network.open == 0, "a socket was left open"


# --- over real sockets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "addresses", "cname"),
    [
        ("a.example", DnsStatus.NOERROR, ("127.0.0.1", "127.0.0.2", "::1"), ()),
        ("A.Example.", DnsStatus.NOERROR, ("127.0.0.1", "127.0.0.2", "::1"), ()),
        ("v4.example", DnsStatus.NOERROR, ("127.0.0.4",), ()),
        ("v6.example", DnsStatus.NOERROR, ("::6",), ()),
        ("www.example", DnsStatus.NOERROR, ("127.0.0.1", "127.0.0.2", "::1"), ("mid.example", "a.example")),
        ("stops.example", DnsStatus.NOERROR, ("127.0.0.4",), ("stops2.example", "v4.example")),
        ("t.example", DnsStatus.NOERROR, ("127.0.0.1", "::1"), ()),
        ("nodata.example", DnsStatus.NODATA, (), ()),
        ("nowhere.example", DnsStatus.NXDOMAIN, (), ()),
        ("dangling.example", DnsStatus.NXDOMAIN, (), ("gone.example",)),
        ("stops-nowhere.example", DnsStatus.NXDOMAIN, (), ("gone.example",)),
        ("stops-empty.example", DnsStatus.NODATA, (), ("nodata.example",)),
        ("refused.example", DnsStatus.REFUSED, (), ()),
        ("formerr.example", DnsStatus.FORMERR, (), ()),
        ("notimp.example", DnsStatus.NOTIMP, (), ()),
        ("notauth.example", DnsStatus.SERVFAIL, (), ()),
        ("quiet.example", DnsStatus.TIMEOUT, (), ()),
        ("broken.example", DnsStatus.SERVFAIL, (), ()),
    ],
)
def test_outcomes_are_told_apart(
    name: str, status: DnsStatus, addresses: tuple[str, ...], cname: tuple[str, ...]
) -> None:
    @trio_test
    async def run() -> None:
        async with serve_dns(ZONE) as server, open_resolver(servers=[server.text], timeout=0.2, retries=0) as resolver:
            answer = await resolver.resolve(name)
            assert (answer.status, answer.addresses, answer.cname) == (status, addresses, cname)
            assert (answer.loop, answer.bogus, answer.source, answer.resolver) == (False, False, "dns", server.text)
            assert answer.duration > 0

    run()


@trio_test
async def test_four_hundred_addresses_over_tcp() -> None:
    async with serve_dns(ZONE) as server, open_resolver(servers=[server.text]) as resolver:
        assert len((await resolver.resolve("large.example")).addresses) == 400


@trio_test
async def test_nobody_at_the_resolver_s_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    with trio.fail_after(5):
        async with open_resolver(servers=[f"127.0.0.1:{port}"], timeout=3, retries=1) as resolver:
            answer = await resolver.resolve("a.example")
    assert (answer.status, answer.detail) == (DnsStatus.UNREACHABLE, "connection refused")


@trio_test
async def test_a_refusing_port_fails_over_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    async with serve_dns(ZONE) as server:
        with trio.fail_after(2):
            async with open_resolver(servers=[f"127.0.0.1:{port}", server.text], timeout=30) as resolver:
                answers = [await resolver.resolve(name) for name in ("a.example", "v4.example")]
        assert [answer.resolver for answer in answers] == [server.text] * 2


@trio_test
async def test_many_names_at_once_over_real_sockets() -> None:
    zone = {f"n{number}.example": Node(a=(f"127.0.{number // 250}.{number % 250}",)) for number in range(300)}
    async with serve_dns(zone) as server, open_resolver(servers=[server.text]) as resolver:
        found: dict[str, tuple[str, ...]] = {}

        async def ask(name: str) -> None:
            found[name] = (await resolver.resolve(name)).addresses

        async with trio.open_nursery() as nursery:
            for name in zone:
                nursery.start_soon(ask, name)
        assert found == {name: node.a for name, node in zone.items()}
        statistics = resolver.statistics()
        assert statistics.names == 300 and statistics.upstreams[0].peak_in_flight >= dns_pace.START_LIMIT


# --- families --------------------------------------------------------------------------------------


@trio_test
async def test_only_the_families_asked_for(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        assert (await resolver.resolve("a.example", ipv6=False)).addresses == ("127.0.0.1", "127.0.0.2")
        assert (await resolver.resolve("a.example", ipv4=False)).addresses == ("::1",)
        assert len(network.queries) == 2
        assert (await resolver.resolve("v4.example", ipv4=False)).status is DnsStatus.NODATA
        with pytest.raises(ValueError):
            await resolver.resolve("a.example", ipv4=False, ipv6=False)


@trio_test
async def test_one_family_that_fails_does_not_cost_the_other(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        answer = await resolver.resolve("one-family.example")
        assert (answer.status, answer.addresses) == (DnsStatus.NOERROR, ("127.0.0.1",))
        assert "SERVFAIL" in (answer.detail or "")
        started = trio.current_time()
        answer = await resolver.resolve("half-quiet.example")
        assert (answer.status, answer.addresses) == (DnsStatus.NOERROR, ("::1",))
        assert "TIMEOUT" in (answer.detail or "")
        assert trio.current_time() - started < 7, "one further try, not the whole schedule"


@trio_test
async def test_authentication_needs_every_answer(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        assert (await resolver.resolve("secure.example")).authenticated
        assert not (await resolver.resolve("a.example")).authenticated


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
        assert len(answer.cname) == dns_wire.MAX_CHAIN and len(network.queries) < 80


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
    zone = {"to-bogus.example": Node(cname="bogus.example", stops=True), "bogus.example": ZONE["bogus.example"]}
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
            assert answer.bogus is (delay == 0.0)
            if not answer.bogus:
                assert answer.status is DnsStatus.NOERROR and answer.addresses


# --- several resolvers -------------------------------------------------------------------------------


@trio_test
async def test_failover_and_being_asked_last_after_many_failures(clock: MockClock) -> None:
    zone = {f"n{number}.example": Node(a=("127.0.0.1",)) for number in range(40)}
    async with memory_resolver([silent, serving(zone)]) as (resolver, network):
        for number in range(40):
            answer = await resolver.resolve(f"n{number}.example")
            assert answer.addresses == ("127.0.0.1",) and answer.resolver == TWO.text
        assert network.count(ONE.text) < 2 * (dns_pace.DOWN_AFTER + 3)
        assert resolver.statistics().upstreams[0].down


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
        await trio.sleep(dns_pace.LONGEST_PENALTY)
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
        assert len(times) == 3
        assert 3.1 < times[1] - times[0] < 3.4 and 3.2 < times[2] - times[1] < 3.8
        assert resolver.statistics().second_tries == 4
    async with memory_resolver([silent] * 3, retries=5, patience=7) as (resolver, network):
        started = trio.current_time()
        await resolver.resolve("a.example")
        assert trio.current_time() - started == pytest.approx(7)


@trio_test
async def test_no_resolver_can_be_sent_to(clock: MockClock) -> None:
    async with memory_resolver([]) as (resolver, _network):
        answer = await resolver.resolve("a.example")
        assert answer.status is DnsStatus.UNREACHABLE and answer.detail
    system = SystemResolvers(problem="/etc/resolv.conf cannot be read")
    async with open_resolver(system=system, hosts=dns_config.parse_hosts("127.0.0.3 known.example")) as resolver:
        answer = await resolver.resolve("a.example")
        assert (answer.status, answer.detail) == (DnsStatus.UNREACHABLE, "/etc/resolv.conf cannot be read")
        assert (await resolver.resolve("known.example")).addresses == ("127.0.0.3",)


@trio_test
async def test_everything_malformed(clock: MockClock) -> None:
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


# --- names, hosts, localhost ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", "a" * 64, "x." * 130, "bücher.example", "a\x1b.example", "a b", "a\\999.b", "\ud800"]
)
def test_names_that_cannot_be_asked_for(name: str) -> None:
    @trio_test
    async def run(clock: MockClock) -> None:
        async with memory_resolver([serving(ZONE)]) as (resolver, network):
            answer = await resolver.resolve(name)
            assert answer.status is DnsStatus.FORMERR and answer.detail and answer.resolver is None
            assert network.queries == []
            assert (await resolver.tlsa(443, "tcp", name)).records is None

    run(clock=MockClock(autojump_threshold=0))


@trio_test
async def test_the_hosts_file_comes_first(clock: MockClock) -> None:
    hosts = dns_config.parse_hosts("192.0.2.9 A.example\n192.0.2.10 localhost\n")
    network = MemoryNetwork({ONE.text: serving(ZONE)})
    async with open_resolver(system=SystemResolvers((ONE,)), hosts=hosts, network=network) as resolver:
        answer = await resolver.resolve("a.example")
        assert (answer.addresses, answer.source, answer.resolver) == (("192.0.2.9",), "hosts", None)
        assert network.queries == []
        assert (await resolver.resolve("a.example", ipv4=False)).addresses == ("::1",), "the file has no IPv6 for it"
        assert (await resolver.resolve("localhost")).addresses == ("192.0.2.10",)
        assert (await resolver.resolve("x.localhost")).addresses == ("127.0.0.1", "::1")
        assert (await resolver.resolve("x.localhost", ipv4=False)).addresses == ("::1",)
        assert resolver.statistics().from_hosts == 4
        assert not any(b"localhost" in query for _time, _server, query in network.queries)


@trio_test
async def test_a_given_resolver_s_view_leaves_the_hosts_file_out(clock: MockClock) -> None:
    network = MemoryNetwork({ONE.text: serving({**ZONE, "own.localhost": Node(a=("127.0.0.44",))})})
    hosts = dns_config.parse_hosts("192.0.2.9 a.example")
    async with open_resolver(servers=[ONE.text], hosts=hosts, network=network) as resolver:
        assert (await resolver.resolve("a.example")).addresses == ("127.0.0.1", "127.0.0.2", "::1")
        assert (await resolver.resolve("own.localhost")).addresses == ("127.0.0.44",)
        assert (await resolver.resolve("localhost")).addresses == ("127.0.0.1", "::1")


@trio_test
async def test_search_domains_are_not_applied(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        assert (await resolver.resolve("a")).status is DnsStatus.NXDOMAIN
        assert all(b"example" not in query for _time, _server, query in network.queries)


@pytest.mark.parametrize("server", ["", "dns.example", "192.0.2.1:x", "[::1", "192.0.2.1:99999"])
def test_a_bad_resolver_is_told_before_anything_starts(server: str) -> None:
    @trio_test
    async def run() -> None:
        with pytest.raises(ResolverConfigError):
            async with open_resolver(servers=[server]):
                raise AssertionError("not reached")

    run()


@trio_test
async def test_the_caller_s_own_exceptions_pass_unwrapped(clock: MockClock) -> None:
    with pytest.raises(KeyError):
        async with memory_resolver([serving(ZONE)]) as (resolver, _network):
            await resolver.resolve("a.example")
            raise KeyError
    with pytest.raises(KeyError):
        async with serve_dns(ZONE):
            raise KeyError


# --- sharing ---------------------------------------------------------------------------------------------


@trio_test
async def test_the_same_name_is_asked_for_once(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE, 1)]) as (resolver, network):
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(resolver.resolve, "a.example")
        assert len(network.queries) == 2
        assert (await resolver.resolve("A.EXAMPLE.")).addresses
        assert len(network.queries) == 2
        await trio.sleep(61)
        await resolver.resolve("a.example")
        assert len(network.queries) == 4
        statistics = resolver.statistics()
        assert (statistics.names, statistics.shared, statistics.from_cache) == (52, 49, 1)


@trio_test
async def test_failures_are_not_kept(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)], retries=0) as (resolver, network):
        for expected in (1, 2):
            await resolver.resolve("refused.example", ipv6=False)
            assert len(network.queries) == expected


@trio_test
async def test_cancellation_is_clean_at_any_moment(clock: MockClock) -> None:
    names = ("a.example", "t.example", "loop.example", "bogus.example", "quiet.example", "stops.example")
    async with memory_resolver([serving(ZONE, 0.3), silent]) as (resolver, _network):
        for tenth in range(60):
            with trio.move_on_after(tenth / 10 + 0.05):
                async with trio.open_nursery() as nursery:
                    for name in names:
                        nursery.start_soon(resolver.resolve, name)
        statistics = resolver.statistics()
        assert statistics.in_flight == 0
        assert all(upstream.in_flight == 0 for upstream in statistics.upstreams)
        assert (await resolver.resolve("v4.example")).addresses == ("127.0.0.4",)


# --- CAA and TLSA ------------------------------------------------------------------------------------------


@trio_test
async def test_caa_climbs_the_tree_and_shares_the_parents(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        expected = CaaAnswer(((0, "issue", "ca.example"), (128, "iodef", 'mailto:"x"\\\\y')), "example")
        assert await resolver.caa("deep.a.example") == expected
        assert len(network.queries) == 3
        assert await resolver.caa("*.a.example.") == expected
        assert await resolver.caa("other.a.example") == expected
        assert len(network.queries) == 4, "only what had not been asked yet"
        assert await resolver.caa("none.test") == CaaAnswer((), None)
        assert await resolver.caa("x.caa-fails.test") == CaaAnswer(None, None)


@trio_test
async def test_unreadable_caa_is_not_known(clock: MockClock) -> None:
    data = b""

    def script(query: bytes, tcp: bool) -> Arrivals:
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 257, 1, 60, len(d)) + d for d in (b"\0\5issueca", data))
        return [(0.1, query[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + query[12:-11] + records)]

    for data in (b"", b"\0", b"\0\0x", b"\0\xffissue"):  # noqa: B007 - the script reads it
        async with memory_resolver([script]) as (resolver, _network):
            assert await resolver.caa("a.example") == CaaAnswer(None, "a.example")


@trio_test
async def test_tlsa(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        found = await resolver.tlsa(443, "tcp", "A.example.")
        assert found == TlsaAnswer(((3, 1, 1, b"\1" * 32), (2, 0, 2, b"\2" * 64)), True)
        assert await resolver.tlsa(8443, "tcp", "a.example") == TlsaAnswer((), False)
        assert await resolver.tlsa(25, "tcp", "a.example") == TlsaAnswer(None, False)


@trio_test
async def test_tlsa_of_a_wrong_length_is_kept_for_the_judge(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 52, 1, 60, len(d)) + d for d in (b"\3\1\1short", b"\3"))
        return [(0.1, query[:2] + b"\x81\xa0\0\1\0\2\0\0\0\0" + query[12:-11] + records)]

    async with memory_resolver([script]) as (resolver, _network):
        assert await resolver.tlsa(443, "tcp", "a.example") == TlsaAnswer(((3, 1, 1, b"short"),), True)


def test_the_promised_interface() -> None:
    assert set(resolve.__all__) >= {"Resolver", "open_resolver", "ResolverConfigError", "ResolverStatistics"}
