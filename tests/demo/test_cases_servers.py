"""Servers that speak another protocol, close early, or send the wrong certificates."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from scanner.demo.cases_servers import CASES
from scanner.demo.fleet import FleetRow
from scanner.demo.pki import Pki
from tests.demo.clients import (
    HANDSHAKE,
    check_alert,
    check_refused,
    check_works,
    exchange,
    flight_of,
    handshake,
    hello_bytes,
    leaf_for,
    messages,
    script,
    trusting,
    unchecked,
    untested,
    using_server_of,
)


@pytest.mark.parametrize(
    "name", ["chain-misordered", "chain-has-extras", "root-sent", "two-certificates", "oversized-message"]
)
def test_servers_with_minor_faults_work(name: str) -> None:
    check_works(name, "TLSv1.3")


@pytest.mark.parametrize(("name", "description"), [("internal-error", 80), ("sni-unrecognized", 112)])
def test_hellos_get_an_alert(name: str, description: int) -> None:
    check_alert(name, description)


@pytest.mark.parametrize("name", ["ingress", "traefik"])
def test_placeholder_certificates_are_self_signed(name: str) -> None:
    check_refused(name, 18)

    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await leaf_for(row, row.host) == await leaf_for(row, "unheard-of.invalid") == await leaf_for(row, None)


def test_the_server_closes_after_the_hello() -> None:
    @using_server_of("hangs-up")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(), row.host)) == b""


def test_the_server_closes_within_its_flight() -> None:
    @using_server_of("hangs-up-midway")
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer[0] == HANDSHAKE
        with pytest.raises(IndexError):
            messages(answer)


@pytest.mark.parametrize(
    ("name", "start"), [("plain-http", b"HTTP/1.1 400 "), ("plain-ssh", b"SSH-2.0-"), ("plain-smtp", b"220 ")]
)
def test_plaintext_is_answered(name: str, start: bytes) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer.startswith(start)


def test_the_certificate_message_is_empty() -> None:
    @using_server_of("no-certificate")
    async def test(row: FleetRow, pki: Pki) -> None:
        flight = messages(await flight_of(row))
        assert flight[1] == (11, b"\0\0\0")


def test_a_warning_comes_before_a_whole_flight() -> None:
    @using_server_of("warns-of-name")
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await flight_of(row)
        assert answer[:7] == bytes.fromhex("15 0303 0002 01 70")
        assert [kind for kind, _ in messages(answer[7:])] == [2, 11, 12, 14]


def test_the_certificate_is_longer_than_java_takes() -> None:
    @using_server_of("oversized-message")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert len(await leaf_for(row, row.host)) > 32768


def test_the_server_hello_has_a_wrong_length() -> None:
    @using_server_of("malformed-handshake")
    async def test(row: FleetRow, pki: Pki) -> None:
        ((kind, body),) = messages(await flight_of(row))
        assert kind == 2
        assert body[34] > len(body)


def test_the_signature_is_by_another_key() -> None:
    @using_server_of("key-mismatch")
    async def test(row: FleetRow, pki: Pki) -> None:
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        tls = trio.SSLStream(stream, trusting(pki), server_hostname=row.host)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await tls.do_handshake()
        assert "signature" in str(caught.value.__cause__)
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("no-starttls", [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"502 ")]),
        ("starttls-refused", [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"454 "), (b"QUIT\r\n", b"221 ")]),
        ("plain-database", [(bytes.fromhex("0000000804d2162f"), b"N")]),
    ],
)  # fmt: skip
def test_starttls_is_refused_or_not_offered(name: str, steps: list[tuple[bytes, bytes]]) -> None:
    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        await trio.aclose_forcefully(await script(row, *steps))


def test_starttls_is_advertised_only_if_offered() -> None:
    for name, advertised in (("mx", True), ("starttls-refused", True), ("no-starttls", False)):

        @using_server_of(name)
        async def test(row: FleetRow, pki: Pki, advertised: bool = advertised) -> None:
            stream = await script(row, (b"", b"220 "))
            await stream.send_all(b"EHLO here\r\n")
            assert (b"STARTTLS" in await stream.receive_some()) is advertised
            await trio.aclose_forcefully(stream)


def test_the_session_is_refused() -> None:
    @using_server_of("session-refused")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert (await exchange(row, b"")).startswith(b"554 5.7.1 ")  # type: ignore[union-attr]


def test_only_connections_with_a_proxy_header_are_served() -> None:
    @using_server_of("proxy-header")
    async def test(row: FleetRow, pki: Pki) -> None:
        hello = hello_bytes(unchecked(), row.host)
        with pytest.raises(trio.BrokenResourceError):
            await exchange(row, hello)
        header = b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 443\r\n"
        assert (await exchange(row, header + hello, seconds=0.3) or b"")[:1] == b"\x16"


def test_two_addresses_have_two_certificates() -> None:
    @using_server_of("two-certificates")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await leaf_for(row, row.host) != await leaf_for(row, row.host, index=1)


def test_one_of_two_certificates_is_expired() -> None:
    @using_server_of("one-expired")
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == "TLSv1.3"
        assert await handshake(row, trusting(pki), index=1) == "verify 10"


def test_every_case_is_tested_here() -> None:
    assert untested(CASES, Path(__file__).read_text(encoding="utf-8")) == []
