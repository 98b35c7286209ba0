"""A server with a wrong clock, and a certificate that only a wrong clock rejects."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import trio

from scanner.demo.cases_clock import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from scanner.x509.certificate import Certificate
from tests.demo.clients import leaf_for, trusting, untested, using_server_of


def test_the_date_header_is_two_days_slow() -> None:
    @using_server_of("slow-clock")
    async def test(row: FleetRow, pki: Pki) -> None:
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        client = trio.SSLStream(stream, trusting(pki), server_hostname=row.host, https_compatible=True)
        await client.send_all(f"GET / HTTP/1.1\r\nHost: {row.host}\r\n\r\n".encode())
        answer = b""
        while chunk := await client.receive_some():
            answer += chunk
        dates = [line[6:] for line in answer.decode().splitlines() if line.startswith("Date: ")]
        assert -2 * 86_400 - 5 < parsedate_to_datetime(dates[0]).timestamp() - time.time() < -2 * 86_400 + 5
        await client.aclose()


def test_a_right_clock_accepts_the_certificate() -> None:
    @using_server_of("new-certificate")
    async def test(row: FleetRow, pki: Pki) -> None:
        leaf = Certificate.parse_untrusted(await leaf_for(row, row.host))
        assert leaf.not_before < time.time() < leaf.not_after
        assert leaf.not_before > time.time() + row.case.clock_offset.total_seconds()
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        client = trio.SSLStream(stream, trusting(pki), server_hostname=row.host, https_compatible=True)
        await client.do_handshake()
        assert client.version() in {"TLSv1.2", "TLSv1.3"}
        await stream.aclose()


def test_every_case_is_tested() -> None:
    assert untested(CASES, Path(__file__).read_text("utf-8")) == []
