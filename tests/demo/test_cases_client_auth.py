"""Clients without a certificate, as OpenSSL has them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio

from scanner.demo.cases_client_auth import CASES
from scanner.demo.fleet import Row
from scanner.demo.pki import Pki
from tests.demo.clients import connect, trusting, untested, with_server

ASKED = b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n"


async def answered(row: Row, pki: Pki) -> bytes:
    """What the server answers to a request. Raises ``trio.BrokenResourceError`` where it ends the connection."""
    stream = trio.SSLStream(await connect(row.addresses[0], row.port), trusting(pki), server_hostname=row.host)
    async with stream:
        await stream.send_all(ASKED)
        return bytes(await stream.receive_some())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("client-cert-required", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ("client-cert-required-tls12", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ],
)
def test_required(name: str, reason: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError) as caught:
            await answered(row, pki)
        assert isinstance(caught.value.__cause__, ssl.SSLError)
        assert caught.value.__cause__.reason == reason


@pytest.mark.parametrize(
    ("name", "status"),
    [("client-cert-page", 400), ("client-cert-optional", 200), ("client-cert-optional-tls12", 200)],
)
def test_goes_on(name: str, status: int) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert (await answered(row, pki)).startswith(f"HTTP/1.1 {status} ".encode())


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
