"""TCP as a last try: a few at a time, and only while it brings something. Framing is in ``test_upstream``."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, trio_test

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire, tcp_exchange
from scanner.net.dns.reply import NoAnswer
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.tcp_exchange import LastTries, ask_over_stream
from tests.net.dns.dns_memory import ZONE, MemoryNetwork, serving, silent

SERVER = Server("192.0.2.53")
[QUESTION] = message_wire.questions_for("a.example", (message_wire.A,))
QUERY = message_wire.build_query(7, QUESTION, edns=True, checking_disabled=False)


@trio_test
async def test_an_answer_over_tcp(clock: MockClock) -> None:
    network = MemoryNetwork({SERVER.text: serving(ZONE)})
    data = await ask_over_stream(network, SERVER, QUERY, QUESTION, 3)
    assert isinstance(data, bytes) and data[:2] == QUERY[:2] and network.open == 0


@trio_test
async def test_silence_over_tcp_ends_in_time_and_closes_the_connection(clock: MockClock) -> None:
    network = MemoryNetwork({SERVER.text: silent})
    started = trio.current_time()
    assert await ask_over_stream(network, SERVER, QUERY, QUESTION, 3) == NoAnswer(DnsStatus.TIMEOUT, "over TCP")
    assert trio.current_time() - started == pytest.approx(3) and network.open == 0


@trio_test
async def test_no_more_last_tries_than_places(clock: MockClock) -> None:
    tries = LastTries()
    for _ in range(tcp_exchange.LAST_TRY_LIMIT):
        assert await tries.take(wait=False)
    assert not await tries.take(wait=False)
    with trio.move_on_after(1) as scope:
        await tries.take(wait=True)
    assert scope.cancelled_caught
    tries.release(answered=True)
    assert await tries.take(wait=True)


@trio_test
async def test_last_tries_end_when_they_bring_nothing_and_one_answer_renews_them(clock: MockClock) -> None:
    tries = LastTries()
    for answered in (*(False,) * (tcp_exchange.FRUITLESS_TRIES - 1), True, *(False,) * tcp_exchange.FRUITLESS_TRIES):
        assert await tries.take(wait=True)
        tries.release(answered=answered)
    assert not await tries.take(wait=True) and not await tries.take(wait=False)
