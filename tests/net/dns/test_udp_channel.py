"""One port: only the answer to what was asked through it counts, and its end is told whatever happens."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire as dns_wire
from scanner.net.dns import udp_channel as dns_port
from scanner.net.dns.message_wire import Question
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.udp_channel import SILENT, Failure, Port, RandomNumbers, words
from tests.net.dns.dns_memory import Arrivals, MemoryDatagram, MemoryNetwork, Script, silent

SERVER = Server("192.0.2.53")


@pytest.fixture
def clock() -> MockClock:
    """Seconds pass as soon as nothing else is to be done."""
    return MockClock(autojump_threshold=0)


def questions(*names: str) -> tuple[Question, ...]:
    return tuple(dns_wire.questions_for(name, (dns_wire.A,))[0] for name in names or ("a.example",))


def reply(message_id: bytes, asked: Question) -> bytes:
    return message_id + b"\x81\x80\0\1\0\0\0\0\0\0" + asked.wire


def new_port(script: Script = silent) -> tuple[Port, MemoryDatagram, list[Port]]:
    datagram = MemoryNetwork({SERVER.text: script}).open_datagram(SERVER)
    freed: list[Port] = []
    return Port(datagram, 100, freed.append), datagram, freed


async def ask(port: Port, asked: Sequence[Question], seconds: float = float("inf")) -> Sequence[bytes | Failure]:
    async with trio.open_nursery() as nursery:

        async def alarm() -> None:
            await trio.sleep(seconds)
            port.expire()

        nursery.start_soon(alarm)
        replies = await port.ask_untrusted(
            asked, RandomNumbers().octets(2 * len(asked)), dns_wire.ENVELOPES[True, False]
        )
        nursery.cancel_scope.cancel()
    return replies


@trio_test
async def test_each_question_gets_its_answer_in_whatever_order_they_come(clock: MockClock) -> None:
    asked = questions("a.example", "b.example")

    def script(query: bytes, tcp: bool) -> Arrivals:
        return [(2 if b"\1a\7" in query else 1, query[:2] + b"\x81" + query[3:])]

    port, datagram, freed = new_port(script)
    found = await ask(port, asked)
    sent = [query for _time, _server, query in datagram.network.queries]
    assert [
        dns_wire.build_query(int.from_bytes(query[:2], "big"), one) for query, one in zip(sent, asked, strict=True)
    ] == sent
    assert found == [query[:2] + b"\x81" + query[3:] for query in sent]
    assert freed == [port] and port.sound and not port.ignored


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

    port, _datagram, _freed = new_port(script)
    [found] = await ask(port, [asked], 5)
    assert isinstance(found, bytes) and b"eXaMple" in found, "case does not tell names apart"
    assert port.ignored == 7 and port.sound


@trio_test
async def test_questions_in_one_exchange_never_share_an_id(clock: MockClock) -> None:
    port, datagram, _freed = new_port(lambda query, tcp: [(1, query[:2] + b"\x81" + query[3:])])
    found = await port.ask_untrusted(questions("a.example", "b.example"), b"\1\2\1\2", dns_wire.ENVELOPES[True, False])
    assert len({query[:2] for _time, _server, query in datagram.network.queries}) == 2
    assert all(isinstance(one, bytes) for one in found)


@trio_test
async def test_what_came_in_time_counts_when_the_time_is_over(clock: MockClock) -> None:
    asked = questions("a.example", "b.example")
    port, _datagram, freed = new_port(lambda query, tcp: [(1, reply(query[:2], asked[0]))] if b"\1a\7" in query else [])
    first, second = await ask(port, asked, 3)
    assert isinstance(first, bytes) and second == SILENT
    assert trio.current_time() >= 3 and freed == [port] and not port.sound


@trio_test
async def test_a_port_whose_time_is_over_is_not_sound_though_everything_came(clock: MockClock) -> None:
    """It has been told not to wait: the next exchange on it would be told so too."""
    [asked] = questions()

    def script(query: bytes, tcp: bool) -> Arrivals:
        port.expire()
        return [(0, reply(query[:2], asked))]

    port, _datagram, _freed = new_port(script)
    [found] = await port.ask_untrusted([asked], b"\1\2", dns_wire.ENVELOPES[True, False])
    assert isinstance(found, bytes) and not port.sound


@trio_test
async def test_an_icmp_error_ends_the_waiting_at_once(clock: MockClock) -> None:
    port, _datagram, freed = new_port(lambda query, tcp: [(1, ConnectionRefusedError(111, "Connection refused"))])
    started = trio.current_time()
    assert (
        await ask(port, questions("a.example", "b.example"))
        == [Failure(DnsStatus.UNREACHABLE, "connection refused")] * 2
    )
    assert trio.current_time() - started < 2 and freed == [port] and not port.sound


@trio_test
async def test_an_error_leaves_the_answers_that_came_before_it(clock: MockClock) -> None:
    [first, second] = questions("a.example", "b.example")

    def script(query: bytes, tcp: bool) -> Arrivals:
        if b"\1a\7" in query:
            return [(1, reply(query[:2], first))]
        return [(2, ConnectionRefusedError(111, "Connection refused"))]

    port, _datagram, _freed = new_port(script)
    found = await ask(port, [first, second])
    assert isinstance(found[0], bytes) and isinstance(found[1], Failure)


@trio_test
async def test_a_full_buffer_is_waited_for(clock: MockClock) -> None:
    [asked] = questions()
    port, datagram, _freed = new_port(lambda query, tcp: [(1, reply(query[:2], asked))])
    datagram.full = 3
    assert isinstance((await ask(port, [asked]))[0], bytes)
    assert len(datagram.network.queries) == 1


@trio_test
async def test_a_buffer_that_stays_full_is_waited_for_no_longer_than_an_answer(clock: MockClock) -> None:
    port, datagram, freed = new_port()
    datagram.full = 10**9
    started = trio.current_time()
    assert await ask(port, questions(), 3) == [SILENT]
    assert trio.current_time() - started == pytest.approx(3, abs=0.1)
    assert datagram.network.queries == [] and freed == [port]


@trio_test
async def test_datagrams_without_end_do_not_keep_the_others_from_their_turn(clock: MockClock) -> None:
    port, datagram, _freed = new_port()
    received = 0

    def receive() -> bytes:
        nonlocal received
        received += 1
        if received == 10 * dns_port.READ_BATCH:
            port.expire()
        return b"junk"

    datagram.receive = receive  # type: ignore[method-assign]
    datagram.put([(0, b"junk")])
    assert await port.ask_untrusted(questions(), b"\1\2", dns_wire.ENVELOPES[True, False]) == [SILENT]
    assert port.ignored == received == 10 * dns_port.READ_BATCH


@trio_test
async def test_cancelling_tells_that_the_port_is_free_and_not_sound(clock: MockClock) -> None:
    port, _datagram, freed = new_port()
    with trio.move_on_after(1) as scope:
        await port.ask_untrusted(questions(), b"\1\2", dns_wire.ENVELOPES[True, False])
    assert scope.cancelled_caught and freed == [port] and not port.sound


def test_numbers_are_spread() -> None:
    numbers = RandomNumbers()
    drawn = [numbers.octets(2) for _ in range(5000)]
    assert all(len(one) == 2 for one in drawn) and len(set(drawn)) > 4500
    assert len(numbers.octets(6)) == 6


def test_words_of_errors() -> None:
    assert words(OSError(101, "x")) == "network is unreachable"
    assert words(OSError("told without a number")) == "told without a number"
