"""The demo's time servers, queried by the scanner's client."""

from __future__ import annotations

import pytest
import trio
from trio.testing import trio_test

from scanner.demo.time_server import serve_time, time_reply
from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.sntp import NtpServer, ask, question, read_untrusted

NOW = 1_795_000_000.25


def test_the_reply_has_the_time() -> None:
    cookie = bytes(range(8))
    reply = time_reply(question(cookie), NOW + 60)
    assert reply is not None
    offset, delay, stratum = read_untrusted(reply, cookie, NOW, NOW)
    assert (round(offset, 3), delay, stratum) == (60.0, 0.0, 1)


@pytest.mark.parametrize("request_", [b"", bytes(48), b"\x24" + bytes(47), b"\x23" + bytes(40)])
def test_other_datagrams_get_no_reply(request_: bytes) -> None:
    assert time_reply(request_, NOW) is None


class Nobody:
    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        return DnsAnswer(DnsStatus.NXDOMAIN)


@trio_test
async def test_the_server_answers_over_udp() -> None:
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_time, sock, lambda: NOW)
            heard = await ask(NtpServer(*sock.getsockname()), Nobody(), clock=lambda: NOW)
            nursery.cancel_scope.cancel()
    assert heard.time is not None
    assert heard.error is None
