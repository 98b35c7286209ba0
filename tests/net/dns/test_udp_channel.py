"""One UDP socket: only the answer to what was asked through it counts, and it is released however an exchange ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.reply import SILENT, NoAnswer
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.udp_channel import READ_BATCH, UdpChannel
from scanner.net.random_pool import RandomPool
from tests.net.dns.dns_memory import Arrivals, MemoryDatagram, MemoryNetwork, Script, silent

SERVER = Server("192.0.2.53")


def questions(*names: str) -> tuple[DnsQuestion, ...]:
    return tuple(message_wire.questions_for(name, (message_wire.A,))[0] for name in names or ("a.example",))


def reply(message_id: bytes, asked: DnsQuestion) -> bytes:
    return message_id + b"\x81\x80\0\1\0\0\0\0\0\0" + asked.wire


def new_channel(script: Script = silent) -> tuple[UdpChannel, MemoryDatagram, list[UdpChannel]]:
    datagram = MemoryNetwork({SERVER.text: script}).open_datagram(SERVER)
    released: list[UdpChannel] = []
    return UdpChannel(datagram, 100, released.append), datagram, released


async def ask(
    channel: UdpChannel, asked: Sequence[DnsQuestion], seconds: float = float("inf"), ids: bytes | None = None
) -> Sequence[bytes | NoAnswer]:
    ids = ids or RandomPool().take(2 * len(asked))
    return await channel.ask_untrusted(asked, ids, message_wire.ENVELOPES[True, False], trio.current_time() + seconds)


@trio_test
async def test_each_question_gets_its_answer_in_whatever_order_they_come(clock: MockClock) -> None:
    asked = questions("a.example", "b.example")

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(2 if b"\1a\7" in query else 1, query[:2] + b"\x81" + query[3:])]

    channel, datagram, released = new_channel(script)
    found = await ask(channel, asked)
    sent = [query for _time, _server, query in datagram.network.queries]
    assert [
        message_wire.build_query(int.from_bytes(query[:2], "big"), one) for query, one in zip(sent, asked, strict=True)
    ] == sent
    assert found == [query[:2] + b"\x81" + query[3:] for query in sent]
    assert released == [channel] and channel.reusable and not channel.ignored


@trio_test
async def test_what_does_not_match_is_dropped_and_the_waiting_goes_on(clock: MockClock) -> None:
    [asked] = questions()
    [evil] = questions("evil.example")

    def script(query: bytes, tcp: bool) -> Arrivals:
        own = query[:2]
        other = bytes((own[0] ^ 1, own[1]))
        good = reply(own, asked)
        forged = [
            b"",
            own,
            reply(other, asked),
            reply(own, evil),
            good[:-1],
            own + b"\1\0" + good[4:],
            good[:4] + b"\0\2" + good[6:],
        ]
        return [*((0.1 * n, data) for n, data in enumerate(forged)), (1, good.replace(b"example", b"eXaMple"))]

    channel, _datagram, _released = new_channel(script)
    [found] = await ask(channel, [asked], 5)
    assert isinstance(found, bytes) and b"eXaMple" in found, "case does not tell names apart"
    assert channel.ignored == 7 and channel.reusable


@trio_test
async def test_questions_in_one_exchange_never_share_an_id(clock: MockClock) -> None:
    channel, datagram, _released = new_channel(lambda query, tcp: [(1, query[:2] + b"\x81" + query[3:])])
    found = await ask(channel, questions("a.example", "b.example"), ids=b"\1\2\1\2")
    assert len({query[:2] for _time, _server, query in datagram.network.queries}) == 2
    assert all(isinstance(one, bytes) for one in found)


@trio_test
async def test_what_came_in_time_counts_when_the_time_is_over(clock: MockClock) -> None:
    asked = questions("a.example", "b.example")
    channel, _datagram, released = new_channel(
        lambda query, tcp: [(1, reply(query[:2], asked[0]))] if b"\1a\7" in query else []
    )
    first, second = await ask(channel, asked, 3)
    assert isinstance(first, bytes) and second == SILENT
    assert trio.current_time() >= 3 and released == [channel] and not channel.reusable


@trio_test
async def test_closing_the_socket_ends_the_exchange(clock: MockClock) -> None:
    channel, _datagram, released = new_channel()
    async with trio.open_nursery() as nursery:

        async def close() -> None:
            await trio.sleep(1)
            channel.close()

        nursery.start_soon(close)
        assert await ask(channel, questions()) == [SILENT]
    assert released == [channel] and not channel.reusable


@trio_test
async def test_an_icmp_error_ends_the_waiting_at_once(clock: MockClock) -> None:
    channel, _datagram, released = new_channel(
        lambda query, tcp: [(1, ConnectionRefusedError(111, "Connection refused"))]
    )
    started = trio.current_time()
    assert (
        await ask(channel, questions("a.example", "b.example"))
        == [NoAnswer(DnsStatus.UNREACHABLE, "connection refused")] * 2
    )
    assert trio.current_time() - started < 2 and released == [channel] and not channel.reusable


@trio_test
async def test_an_error_leaves_the_answers_that_came_before_it(clock: MockClock) -> None:
    [first, second] = questions("a.example", "b.example")

    def script(query: bytes, tcp: bool) -> Arrivals:
        if b"\1a\7" in query:
            return [(1, reply(query[:2], first))]
        return [(2, ConnectionRefusedError(111, "Connection refused"))]

    channel, _datagram, _released = new_channel(script)
    found = await ask(channel, [first, second])
    assert isinstance(found[0], bytes) and isinstance(found[1], NoAnswer)


@trio_test
async def test_a_full_buffer_is_waited_for(clock: MockClock) -> None:
    [asked] = questions()
    channel, datagram, _released = new_channel(lambda query, tcp: [(1, reply(query[:2], asked))])
    datagram.full = 3
    assert isinstance((await ask(channel, [asked]))[0], bytes)
    assert len(datagram.network.queries) == 1


@trio_test
async def test_a_buffer_that_stays_full_is_waited_for_no_longer_than_an_answer(clock: MockClock) -> None:
    channel, datagram, released = new_channel()
    datagram.full = 10**9
    started = trio.current_time()
    assert await ask(channel, questions(), 3) == [SILENT]
    assert trio.current_time() - started == pytest.approx(3, abs=0.1)
    assert datagram.network.queries == [] and released == [channel]


@trio_test
async def test_datagrams_without_end_outlast_no_deadline(clock: MockClock) -> None:
    channel, datagram, _released = new_channel()

    def receive() -> bytes:
        if (channel.ignored + 1) % READ_BATCH == 0:
            clock.jump(1)
        return b"junk"

    datagram.receive = receive  # type: ignore[method-assign]
    datagram.put([(0, b"junk")])
    assert await ask(channel, questions(), 10) == [SILENT]
    assert channel.ignored == 10 * READ_BATCH


@trio_test
async def test_cancelling_releases_a_socket_that_is_not_reusable(clock: MockClock) -> None:
    channel, _datagram, released = new_channel()
    with trio.move_on_after(1) as scope:
        await ask(channel, questions())
    assert scope.cancelled_caught and released == [channel] and not channel.reusable
