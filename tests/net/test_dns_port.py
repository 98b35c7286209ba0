"""One port: only the answer to what was asked through it counts, and nobody's waiting disturbs another's."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, trio_test, wait_all_tasks_blocked

from scanner.evidence import DnsStatus
from scanner.net import dns_wire
from scanner.net.dns_config import Server
from scanner.net.dns_port import Failure, Port, RandomNumbers, Waiter, words
from scanner.net.dns_wire import Question
from tests.net.dns_memory import MemoryDatagram, MemoryNetwork, silent

SERVER = Server("192.0.2.53")


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


def question(name: str = "a.example") -> Question:
    return dns_wire.questions_for(name, (dns_wire.A,))[0]


def reply(message_id: int, asked: Question) -> bytes:
    return message_id.to_bytes(2, "big") + b"\x81\x80\0\1\0\0\0\0\0\0" + asked.wire


def new_port() -> tuple[Port, MemoryDatagram]:
    datagram = MemoryNetwork({SERVER.text: silent}).open_datagram(SERVER)
    return Port(datagram, 100), datagram


async def wait_for(port: Port, ids: dict[int, Question], seconds: float) -> list[bytes | Failure | None]:
    waiter = Waiter(len(ids))
    for index, (message_id, asked) in enumerate(ids.items()):
        port.pending[message_id] = (waiter, index, asked)
    try:
        with trio.move_on_after(seconds):
            await waiter.wait()
    finally:
        port.forget(waiter, list(ids))
        port.close_if_done()
    return waiter.replies


@trio_test
async def test_what_does_not_match_is_dropped_and_the_waiting_goes_on(clock: MockClock) -> None:
    port, datagram = new_port()
    asked = question()
    good = reply(7, asked)
    forged = [
        b"",
        b"\0\7",
        reply(8, asked),
        reply(7, question("evil.example")),
        reply(7, asked)[:-1],
        b"\0\7\1\0" + good[4:],
        good[:4] + b"\0\2" + good[6:],
    ]
    datagram.put([(0.1 * n, data) for n, data in enumerate(forged)])
    datagram.put([(1, good), (1, good)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.read)
        assert await wait_for(port, {7: asked}, 5) == [good]
        await trio.sleep(0.1)
        assert port.ignored == len(forged) + 1, "the second copy answers nothing any more"
        port.retire()
    assert datagram.closed


@trio_test
async def test_an_id_that_is_used_again_is_not_taken_from_its_new_owner(clock: MockClock) -> None:
    """The first waiter's answer to id 1 has come, so id 1 goes to a second one; the end of the first must not touch it."""
    port, datagram = new_port()
    first, second, later = question("a.example"), question("b.example"), question("c.example")
    replies = {}

    async def early() -> None:
        replies["early"] = await wait_for(port, {1: first, 2: second}, 2)

    async def late() -> None:
        replies["late"] = await wait_for(port, {1: later}, 10)

    datagram.put([(1, reply(1, first)), (5, reply(1, later))])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.read)
        nursery.start_soon(early)
        await trio.sleep(1.5)
        assert 1 not in port.pending
        nursery.start_soon(late)
        await trio.sleep(8)
        port.retire()
    assert replies == {"early": [reply(1, first), None], "late": [reply(1, later)]}


@trio_test
async def test_an_icmp_error_fails_everybody_at_once_and_ends_the_port(clock: MockClock) -> None:
    port, datagram = new_port()
    datagram.put([(1, ConnectionRefusedError(111, "Connection refused"))])
    found: list[list[bytes | Failure | None]] = []

    async def ask(message_id: int) -> None:
        found.append(await wait_for(port, {message_id: question()}, 60))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.read)
        nursery.start_soon(ask, 1)
        nursery.start_soon(ask, 2)
    assert trio.current_time() < 60
    assert found == [[Failure(DnsStatus.UNREACHABLE, "connection refused")]] * 2
    assert port.retired and datagram.closed


@trio_test
async def test_a_retired_port_stays_open_for_those_who_wait(clock: MockClock) -> None:
    port, datagram = new_port()
    datagram.put([(2, reply(1, question()))])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(port.read)
        port_closed_early = []

        async def watch() -> None:
            await trio.sleep(1)
            port.retire()
            await wait_all_tasks_blocked()
            port_closed_early.append(datagram.closed)

        nursery.start_soon(watch)
        assert await wait_for(port, {1: question()}, 5) == [reply(1, question())]
    assert port_closed_early == [False] and datagram.closed


@trio_test
async def test_a_full_buffer_is_waited_for(clock: MockClock) -> None:
    port, datagram = new_port()
    datagram.full = 3
    await port.send(dns_wire.build_query(1, question()))
    assert len(datagram.network.queries) == 1


@trio_test
async def test_cancelling_the_waiter_leaves_nothing_pending(clock: MockClock) -> None:
    port, datagram = new_port()
    with trio.move_on_after(1) as scope:
        await wait_for(port, {1: question()}, float("inf"))
    assert scope.cancelled_caught and not port.pending
    port.retire()
    await port.read()
    assert datagram.closed


def test_numbers_are_spread() -> None:
    numbers = RandomNumbers()
    drawn = [numbers.uint16() for _ in range(5000)]
    assert max(drawn) < 65536 and len(set(drawn)) > 4500


def test_words_of_errors() -> None:
    assert words(OSError(101, "x")) == "network is unreachable"
    assert words(OSError("told without a number")) == "told without a number"
