"""Names to addresses: against the small server over real sockets, and against scripted networks in no time."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dns_server import Node, serve_dns
from scanner.model.evidence import DnsStatus
from scanner.net.dns import pace, resolver_config
from scanner.net.dns import resolver as resolver_module
from scanner.net.dns.resolver import ResolverConfigError, open_resolver
from scanner.net.dns.resolver_config import SystemResolvers
from tests.net.dns.dns_memory import ONE, THREE, TWO, ZONE, MemoryNetwork, memory_resolver, serving, silent

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
        ("broken.example", DnsStatus.SERVFAIL, (), ()),
    ],
)
def test_outcomes_are_told_apart(
    name: str, status: DnsStatus, addresses: tuple[str, ...], cname: tuple[str, ...]
) -> None:
    @trio_test
    async def run() -> None:
        async with serve_dns(ZONE) as server, open_resolver(servers=[server.text], timeout=10, retries=0) as resolver:
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
    with trio.fail_after(15):
        async with open_resolver(servers=[f"127.0.0.1:{port}"], timeout=30, retries=1) as resolver:
            answer = await resolver.resolve("a.example")
    assert (answer.status, answer.detail) == (DnsStatus.UNREACHABLE, "connection refused")


@trio_test
async def test_a_refusing_port_fails_over_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    async with serve_dns(ZONE) as server:
        with trio.fail_after(15):
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
        assert statistics.names == 300 and statistics.upstreams[0].peak_in_flight >= pace.START_LIMIT


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
    hosts = resolver_config.parse_hosts("192.0.2.9 A.example\n192.0.2.10 localhost\n")
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
    hosts = resolver_config.parse_hosts("192.0.2.9 a.example")
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
        for _ in range(2):
            before = len(network.queries)
            await resolver.resolve("refused.example", ipv6=False)
            assert len(network.queries) > before


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


def test_module_exports_its_interface() -> None:
    assert set(resolver_module.__all__) >= {"Resolver", "open_resolver", "ResolverConfigError", "ResolverStatistics"}


@trio_test
async def test_each_of_the_others_alone(clock: MockClock) -> None:
    zones = [{"a.example": Node(a=(f"192.0.2.{number}",))} for number in (11, 12, 13)]
    async with memory_resolver([serving(zone) for zone in zones]) as (resolver, network):
        first = await resolver.resolve("a.example")
        found = {}
        for _ in range(2):  # the second time out of their caches
            found = {server: await alone.resolve("a.example") for server, alone in resolver.others(first.resolver)}
        assert {server: answer.addresses for server, answer in found.items()} == {
            TWO.text: ("192.0.2.12",),
            THREE.text: ("192.0.2.13",),
        }
        assert [network.count(server.text) for server in (ONE, TWO, THREE)] == [2, 2, 2]
