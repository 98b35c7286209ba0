"""The UDP sockets of one resolver: lent, given up, and closed in the end."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, trio_test, wait_all_tasks_blocked

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire, udp_pool
from scanner.net.dns.reply import SILENT, NoAnswer
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.udp_channel import UdpChannel
from scanner.net.dns.udp_pool import UdpPool
from scanner.net.random_pool import RandomPool
from tests.net.dns.dns_memory import Arrivals, MemoryNetwork, Script, silent

SERVER = Server("192.0.2.53")
QUESTIONS = message_wire.questions_for("a.example", (message_wire.A,))
RANDOM = RandomPool()


def answering(query: bytes, tcp: bool) -> Arrivals:
    return [(0.01, query[:2] + b"\x81" + query[3:])]


@asynccontextmanager
async def pool_to(script: Script) -> AsyncIterator[tuple[UdpPool, MemoryNetwork]]:
    network = MemoryNetwork({SERVER.text: script})
    pool = UdpPool(SERVER, network, RANDOM, trio.current_time)
    yield pool, network
    pool.close()
    assert network.open == 0, "a socket was left open"


async def exchange(channel: UdpChannel, seconds: float = 3) -> object:
    deadline = trio.current_time() + seconds
    [reply] = await channel.ask_untrusted(QUESTIONS, RANDOM.take(2), message_wire.ENVELOPES[True, False], deadline)
    return reply


async def ask(pool: UdpPool, seconds: float = 3) -> object:
    channel = pool.take(RANDOM.take(2))
    assert isinstance(channel, UdpChannel)
    return await exchange(channel, seconds)


@trio_test
async def test_a_socket_is_lent_to_one_exchange_at_a_time(clock: MockClock) -> None:
    async with pool_to(answering) as (pool, network):
        async with trio.open_nursery() as nursery:
            for _ in range(3 * udp_pool.POOL_SIZE):
                nursery.start_soon(ask, pool)
            await wait_all_tasks_blocked(0.001)
            assert network.open == 3 * udp_pool.POOL_SIZE
        for _ in range(100):
            assert isinstance(await ask(pool), bytes)
        assert network.opened == pool.opened == 3 * udp_pool.POOL_SIZE, "free ones serve again"


@trio_test
async def test_a_socket_whose_question_stayed_open_is_not_lent_again(clock: MockClock) -> None:
    async with pool_to(silent) as (pool, network):
        started = trio.current_time()
        assert await ask(pool) == SILENT
        assert trio.current_time() - started == pytest.approx(3)
        assert network.open == 0 and network.opened == 1
        with trio.move_on_after(1):
            await ask(pool)
        assert network.open == 0 and network.opened == 2


@trio_test
async def test_each_waits_until_its_own_deadline(clock: MockClock) -> None:
    """Later deadlines first, nearer ones after them, and ports that are used again and again in between."""
    async with pool_to(silent) as (pool, _network):
        ended: list[tuple[float, float]] = []

        async def wait(start: float, seconds: float) -> None:
            await trio.sleep(start)
            begun = trio.current_time()
            await ask(pool, seconds)
            ended.append((seconds, trio.current_time() - begun))

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(wait, number * 0.1, (5, 1, 3, 0.5)[number % 4])
        assert len(ended) == 40
        assert all(took == pytest.approx(seconds) for seconds, took in ended)


@trio_test
async def test_a_deadline_that_is_over_already_ends_the_waiting_at_once(clock: MockClock) -> None:
    async with pool_to(silent) as (pool, _network):
        started = trio.current_time()
        assert await ask(pool, 0) == SILENT
        assert trio.current_time() - started < 0.1


@trio_test
async def test_each_exchange_on_a_socket_has_its_own_deadline(clock: MockClock) -> None:
    quiet = False

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [] if quiet else answering(query, tcp)

    async with pool_to(script) as (pool, network):
        for _ in range(udp_pool.POOL_SIZE * 20):
            await ask(pool)
            await trio.sleep(0.05)
        assert network.open == udp_pool.POOL_SIZE
        quiet = True
        for seconds in (3, 1, 3, 0.2):
            started = trio.current_time()
            assert await ask(pool, seconds) == SILENT
            assert trio.current_time() - started == pytest.approx(seconds)


@trio_test
async def test_sockets_that_have_served_their_time_are_closed(
    clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udp_pool, "SOCKET_USES", 4)
    monkeypatch.setattr(udp_pool, "SOCKET_USES_SPREAD", 4)
    async with pool_to(answering) as (pool, network):
        for _ in range(udp_pool.POOL_SIZE * 16):
            await ask(pool)
        assert network.open == udp_pool.POOL_SIZE and network.opened > 2 * udp_pool.POOL_SIZE


@trio_test
async def test_datagrams_that_answered_nothing_are_counted_beyond_the_life_of_a_socket(clock: MockClock) -> None:
    async with pool_to(lambda query, tcp: [(0.1, b"junk"), *answering(query, tcp)]) as (pool, _network):
        for _ in range(5):
            await ask(pool)
        assert pool.ignored == 0, "what comes after the answer is met by the next exchange"
        for _ in range(udp_pool.POOL_SIZE):
            await trio.sleep(1)
            await ask(pool)
        assert pool.ignored > 0
        kept = pool.ignored
    assert pool.ignored == kept


@trio_test
async def test_no_file_descriptor(clock: MockClock) -> None:
    async with pool_to(answering) as (pool, network):
        network.failures += [OSError(errno.EMFILE, "too many")] * 3
        assert pool.take(RANDOM.take(2)) is None
        channel = await pool.wait_for_one(3)
        assert isinstance(channel, UdpChannel)
        await exchange(channel)
        network.failures += [OSError(errno.EMFILE, "too many")]
        assert pool.take(RANDOM.take(2)) is channel, "one that is free serves as well"
        await exchange(channel)
        network.failures += [OSError(errno.ENETUNREACH, "no way")]
        assert pool.take(RANDOM.take(2)) == NoAnswer(DnsStatus.UNREACHABLE, "network is unreachable")


@trio_test
async def test_waiting_for_a_file_descriptor_leaves_the_whole_time_for_the_answer(clock: MockClock) -> None:
    async with pool_to(silent) as (pool, network):
        network.failures += [OSError(errno.EMFILE, "too many")] * 40
        channel = await pool.wait_for_one(3)
        assert isinstance(channel, UdpChannel) and trio.current_time() > 1.9
        started = trio.current_time()
        await exchange(channel)
        assert trio.current_time() - started == pytest.approx(3)


@trio_test
async def test_closing_ends_what_is_in_flight_and_opens_nothing_more(clock: MockClock) -> None:
    network = MemoryNetwork({SERVER.text: silent})
    pool = UdpPool(SERVER, network, RANDOM, trio.current_time)
    found: list[object] = []

    async def wait() -> None:
        found.append(await ask(pool, 1000))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked(0.001)
        pool.close()
    assert found == [SILENT] and network.open == 0
    assert pool.take(RANDOM.take(2)) == NoAnswer(DnsStatus.UNREACHABLE, "the resolver is closed")
