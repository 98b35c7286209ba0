"""One resolver in memory: timeouts, truncation, EDNS, limits and file shortage, without a second of waiting."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.rcode
import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.demo.dns_server import Node, respond
from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire, pace, udp_pool
from scanner.net.dns.health import Service
from scanner.net.dns.message_wire import DnsQuestion, DnsResponse
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.reply import NoAnswer
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.upstream import Upstream
from tests.net.dns.dns_memory import Arrivals, MemoryNetwork, Script, serving, silent

SERVER = Server("192.0.2.53")
ZONE = {
    "a.example": Node(a=("192.0.2.1",), aaaa=("2001:db8::1",)),
    "large.example": Node(a=tuple(f"192.0.2.{n}" for n in range(200))),
    "t.example": Node(a=("192.0.2.1",), truncated=True),
    "half.example": Node(a=("192.0.2.1",), silent_types=("AAAA",)),
    "refused.example": Node(rcode="REFUSED"),
}


def both(name: str) -> tuple[DnsQuestion, ...]:
    return message_wire.questions_for(name, (message_wire.A, message_wire.AAAA))


@asynccontextmanager
async def upstream_to(
    script: Script, *, timeout: float = 3, tcp_only: bool = False
) -> AsyncIterator[tuple[Upstream, MemoryNetwork]]:
    network = MemoryNetwork({SERVER.text: script})
    async with trio.open_nursery() as nursery:
        upstream = Upstream(SERVER, network, nursery, timeout=timeout, tcp_only=tcp_only)
        yield upstream, network
        upstream.close()
        nursery.cancel_scope.cancel()
    assert network.open == 0, "a socket was left open"


@trio_test
async def test_two_questions_in_one_exchange(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE, 0.5)) as (upstream, _network):
        budget = QueryBudget(10)
        replies = await upstream.exchange(both("a.example"), budget)
        assert [reply.addresses for reply in replies if isinstance(reply, DnsResponse)] == [
            ("192.0.2.1",),
            ("2001:db8::1",),
        ]
        assert trio.current_time() - 0.5 < 0.01 + clock.current_time() and 9.4 < budget.left <= 9.5
        statistics = upstream.statistics()
        assert (statistics.questions, statistics.answers, statistics.peak_in_flight, statistics.general_codec) == (
            2,
            2,
            1,
            0,
        )


@trio_test
async def test_silence_lasts_one_timeout_and_never_more_than_the_budget(clock: MockClock) -> None:
    async with upstream_to(serving({**ZONE, "quiet.example": Node(silent=True)})) as (upstream, network):
        await upstream.exchange(both("a.example"), QueryBudget(10))
        started = trio.current_time()
        assert await upstream.exchange(both("quiet.example"), QueryBudget(10)) == [NoAnswer(DnsStatus.TIMEOUT)] * 2
        assert trio.current_time() - started == pytest.approx(3)
        await trio.sleep(0.1)  # whether it answers others is asked
        started = trio.current_time()
        budget = QueryBudget(1)
        await upstream.exchange(both("quiet.example"), budget)
        assert trio.current_time() - started == pytest.approx(1) and budget.left < 1e-6
        assert sum(b"quiet" in query for _time, _server, query in network.queries) < 8


@trio_test
async def test_one_of_two_questions_may_stay_open(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, _network):
        first, second = await upstream.exchange(both("half.example"), QueryBudget(10))
        assert isinstance(first, DnsResponse) and second == NoAnswer(DnsStatus.TIMEOUT)


@trio_test
async def test_truncated_answers_come_over_tcp(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, network):
        [reply, _none] = await upstream.exchange(both("t.example"), QueryBudget(10))
        assert isinstance(reply, DnsResponse) and reply.addresses == ("192.0.2.1",)
        [reply, _none] = await upstream.exchange(both("large.example"), QueryBudget(10))
        assert isinstance(reply, DnsResponse) and len(reply.addresses) == 200
        statistics = upstream.statistics()
        assert statistics.over_tcp == 3 and statistics.general_codec == 1
        assert network.opened == 2 + 3


@trio_test
async def test_tcp_only_as_use_vc_demands(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        assert tcp
        return serving(ZONE)(query, tcp)

    async with upstream_to(script, tcp_only=True) as (upstream, _network):
        replies = await upstream.exchange(both("a.example"), QueryBudget(10))
        assert all(isinstance(reply, DnsResponse) for reply in replies)


def _over_tcp(arrivals: Arrivals) -> Script:
    def script(query: bytes, tcp: bool) -> Arrivals:
        return arrivals if tcp else serving(ZONE)(query, False)

    return script


@pytest.mark.parametrize(
    ("arrivals", "status", "words"),
    [
        ([], DnsStatus.TIMEOUT, "over TCP"),
        ([(1, b"")], DnsStatus.MALFORMED, "closed"),
        ([(1, OSError(errno.ECONNRESET, "reset"))], DnsStatus.UNREACHABLE, "broke"),
        ([(1, b"\0" * 12)], DnsStatus.MALFORMED, "another question"),
        ([(1, b"x")], DnsStatus.MALFORMED, "another question"),
    ],
)
def test_tcp_that_fails(arrivals: Arrivals, status: DnsStatus, words: str) -> None:
    @trio_test
    async def run(clock: MockClock) -> None:
        async with upstream_to(_over_tcp(arrivals)) as (upstream, _network):
            [reply] = await upstream.exchange(both("t.example")[:1], QueryBudget(10))
            assert isinstance(reply, NoAnswer) and reply.status is status and words in (reply.detail or "")

    run(clock=MockClock(autojump_threshold=0))


@trio_test
async def test_an_answer_over_tcp_that_claims_truncation_is_no_loop(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(0.1, respond(query, ZONE, tcp=False) or b"")]

    async with upstream_to(script) as (upstream, network):
        [reply] = await upstream.exchange(both("t.example")[:1], QueryBudget(10))
        assert isinstance(reply, NoAnswer) and reply.status is DnsStatus.MALFORMED
        assert len(network.queries) == 2


@trio_test
async def test_a_server_without_edns_is_asked_without_from_then_on(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE, edns=False)) as (upstream, network):
        for _ in range(2):
            replies = await upstream.exchange(both("a.example"), QueryBudget(10))
            assert [reply.rcode for reply in replies if isinstance(reply, DnsResponse)] == [0, 0]
        assert [dns.message.from_wire(query).edns for _time, _server, query in network.queries] == [
            0,
            0,
            -1,
            -1,
            -1,
            -1,
        ]


@trio_test
async def test_formerr_whatever_is_asked_stays_formerr(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(0.1, query[:2] + b"\x81\x81" + bytes(8))]

    async with upstream_to(script) as (upstream, network):
        [reply] = await upstream.exchange(both("a.example")[:1], QueryBudget(10))
        assert isinstance(reply, DnsResponse) and reply.rcode == message_wire.FORMERR
        assert len(network.queries) == 2
        await upstream.exchange(both("a.example")[:1], QueryBudget(10))
        assert dns.message.from_wire(network.queries[2][2]).edns == 0, "EDNS was not what it minded"


@trio_test
async def test_checking_disabled_is_asked_for(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, network):
        await upstream.exchange(both("a.example"), QueryBudget(10), checking_disabled=True)
        assert all(dns.message.from_wire(query).flags & dns.flags.CD for _time, _server, query in network.queries)


@trio_test
async def test_octets_that_match_and_cannot_be_read(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        question = query[12:-11]
        return [(0.1, query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\3abc")]

    async with upstream_to(script) as (upstream, _network):
        [reply] = await upstream.exchange(both("a.example")[:1], QueryBudget(10))
        assert isinstance(reply, NoAnswer) and reply.status is DnsStatus.MALFORMED and reply.detail
        assert upstream.statistics().service is Service.ANSWERING


@trio_test
async def test_nobody_there_and_no_way_there(clock: MockClock) -> None:
    def refused(query: bytes, tcp: bool) -> Arrivals:
        return [(0.001, ConnectionRefusedError(errno.ECONNREFUSED, "refused"))]

    async with upstream_to(refused) as (upstream, network):
        started = trio.current_time()
        replies = await upstream.exchange(both("a.example"), QueryBudget(10))
        assert replies == [NoAnswer(DnsStatus.UNREACHABLE, "connection refused")] * 2
        assert trio.current_time() - started < 0.1
    async with upstream_to(serving(ZONE)) as (upstream, network):
        network.failures.append(OSError(errno.ENETUNREACH, "no route"))
        assert await upstream.exchange(both("a.example"), QueryBudget(10)) == [
            NoAnswer(DnsStatus.UNREACHABLE, "network is unreachable")
        ] * 2  # fmt: skip


@trio_test
async def test_a_silent_resolver_is_found_out_by_a_few_questions(clock: MockClock) -> None:
    async with upstream_to(silent) as (upstream, network):
        async with trio.open_nursery() as nursery:
            for number in range(pace.START_LIMIT):
                nursery.start_soon(upstream.exchange, both(f"n{number}.example"), QueryBudget(10))
        assert upstream.health.suspect and upstream.statistics().service is Service.ANSWERING
        asked = len(network.queries)
        await upstream.exchange(both("late.example"), QueryBudget(10))
        assert upstream.statistics().service is Service.SILENT
        assert len(network.queries) - asked < 20, "those who wait do not ask"


@trio_test
async def test_never_more_in_flight_than_the_limit_and_everybody_gets_a_turn(clock: MockClock) -> None:
    flying = peak = 0

    def script(query: bytes, tcp: bool) -> Arrivals:
        return serving(ZONE, 0.05)(query, tcp)

    async with upstream_to(script) as (upstream, network):
        done = 0

        async def ask(number: int) -> None:
            nonlocal done, flying, peak
            await upstream.exchange(both(f"n{number}.example"), QueryBudget(10))
            done += 1
            peak = max(peak, upstream.statistics().in_flight)

        async with trio.open_nursery() as nursery:
            for number in range(500):
                nursery.start_soon(ask, number)
            await trio.sleep(0.01)
            assert upstream.statistics().in_flight == pace.START_LIMIT
            assert len(network.queries) == 2 * pace.START_LIMIT
        assert done == 500
        statistics = upstream.statistics()
        assert statistics.in_flight == 0 and pace.START_LIMIT < statistics.peak_in_flight <= statistics.limit


@trio_test
async def test_waiting_for_a_turn_does_not_use_up_the_budget(clock: MockClock) -> None:
    """64 exchanges with a dead server take the whole timeout; those behind them are asked all the same, if later."""
    zone_server = serving(ZONE)

    def script(query: bytes, tcp: bool) -> Arrivals:
        return zone_server(query, tcp) if b"\1a\7example" in query else []

    async with upstream_to(script, timeout=5) as (upstream, _network):
        async with trio.open_nursery() as nursery:
            for number in range(pace.START_LIMIT):
                nursery.start_soon(upstream.exchange, both(f"dead{number}.example"), QueryBudget(6))
            await trio.sleep(0.01)
            [reply, _] = await upstream.exchange(both("a.example"), QueryBudget(6))
            assert isinstance(reply, DnsResponse)


@trio_test
async def test_cancellation_gives_the_place_in_the_queue_back(clock: MockClock) -> None:
    async with upstream_to(silent) as (upstream, _network):
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(upstream.exchange, both(f"n{number}.example"), QueryBudget(10))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert upstream.statistics().in_flight == 0
        with trio.fail_after(4):
            await upstream.exchange(both("a.example"), QueryBudget(10))


@trio_test
async def test_ports_are_many_and_change(clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udp_pool, "SOCKET_USES", 8)
    monkeypatch.setattr(udp_pool, "SOCKET_USES_SPREAD", 8)
    async with upstream_to(serving(ZONE)) as (upstream, network):
        for _ in range(udp_pool.POOL_SIZE):
            await upstream.exchange(both("a.example"), QueryBudget(10))
        assert network.opened == network.open == udp_pool.POOL_SIZE
        for _ in range(udp_pool.POOL_SIZE * 24):
            await upstream.exchange(both("a.example")[:1], QueryBudget(10))
        assert network.opened > udp_pool.POOL_SIZE
        await trio.sleep(1)
        assert network.open == udp_pool.POOL_SIZE, "retired ports are closed"
        ids = sorted(int.from_bytes(query[:2], "big") for _time, _server, query in network.queries)
        assert len(set(ids)) > 140 and ids[0] < 5000 and ids[-1] > 60000, "ids are spread over their range"


@trio_test
async def test_no_file_descriptor_is_waited_for_and_fails_nobody(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, network):
        network.failures += [OSError(errno.EMFILE, "too many")] * 10
        [reply, _] = await upstream.exchange(both("a.example"), QueryBudget(10))
        assert isinstance(reply, DnsResponse)
        network.failures += [OSError(errno.EMFILE, "too many")]
        [reply, _] = await upstream.exchange(both("a.example"), QueryBudget(10))
        assert isinstance(reply, DnsResponse) and network.opened == 1, "an open port serves as well"
        network.failures += [OSError(errno.ENFILE, "too many")] * 3
        [reply, _] = await upstream.exchange(both("t.example"), QueryBudget(10))
        assert isinstance(reply, DnsResponse)


@trio_test
async def test_no_file_descriptor_at_all(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, network):
        network.failures += [OSError(errno.EMFILE, "too many")] * 1000
        [reply] = await upstream.exchange(both("a.example")[:1], QueryBudget(10))
        assert reply == NoAnswer(DnsStatus.UNREACHABLE, "no file descriptor was free")


@trio_test
async def test_a_closed_resolver_says_so(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, _network):
        pass
    assert await upstream.exchange(both("a.example"), QueryBudget(10)) == [
        NoAnswer(DnsStatus.UNREACHABLE, "the resolver is closed")
    ] * 2  # fmt: skip


@trio_test
async def test_refusals_alone_do_not_narrow_the_window(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, _network):
        for number in range(3 * pace.START_LIMIT):
            name = "refused.example" if number % 2 else f"n{number}.example"
            [reply, _] = await upstream.exchange(both(name), QueryBudget(10))
            assert isinstance(reply, DnsResponse) and (reply.rcode == dns.rcode.REFUSED) is bool(number % 2)
        statistics = upstream.statistics()
        assert statistics.limit >= pace.START_LIMIT and statistics.service is Service.ANSWERING


@trio_test
async def test_a_refusal_that_passes_halves_the_window(clock: MockClock) -> None:
    async with upstream_to(serving(ZONE)) as (upstream, _network):
        budget = QueryBudget(10)
        await upstream.exchange(both("refused.example"), budget)
        upstream.passed_on_retry(DnsStatus.REFUSED, budget.mark)
        assert upstream.statistics().limit == pace.START_LIMIT // 2 and upstream.statistics().lost == 1
