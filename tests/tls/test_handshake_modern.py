"""TLS 1.3 flights that are right in everything but one thing, which every client refuses: made by a server with all the keys."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from scanner.tls import constants as c
from scanner.tls.events import AlertReceived, Broken, Event, FlightComplete
from scanner.tls.handshake import ClientHandshake
from scanner.tls.signatures import NOT_IN_TLS13, VERIFY_CONTEXT
from scanner.tls.wire import u16, vector16
from tests.fuzz.flights import Flight, modern, new_client
from tests.tls.peers import certificate_files, drain, message, record


def told(flight: Flight, data: bytes) -> tuple[ClientHandshake, Event]:
    conn = new_client(flight)
    conn.receive_data(data)
    return conn, drain(conn)[-1]


def hello(flight: Flight) -> bytes:
    return b"".join(record(c.HANDSHAKE, each) for each in flight.clear)


def test_as_it_should_be() -> None:
    for flight in (modern(), modern("rsa", 0x1302), modern("ed25519", 0x1303), modern(asks=True), modern(retry=True)):
        conn, last = told(flight, flight.records())
        assert last == FlightComplete()
        assert (conn.signature_valid, conn.finished_valid, conn.alpn) == (True, True, "h2")
        assert (conn.ocsp_response, conn.scts) == (b"staple", (b"one", b"two"))
        assert (conn.request is not None) is ("asks" in flight.name)


def test_nothing_of_the_handshake_is_in_the_clear_after_the_hello() -> None:
    flight = modern()
    conn, last = told(flight, hello(flight) + b"".join(record(c.HANDSHAKE, each) for each in flight.inner))
    assert last == Broken("record: handshake message in the clear after ServerHello at byte 0")
    assert conn.certificates == ()


def test_an_alert_may_be_in_the_clear() -> None:
    """A server that cannot make its keys says so before it has any."""
    flight = modern()
    assert told(flight, hello(flight) + record(c.ALERT, b"\x02\x50"))[1] == AlertReceived(2, 80)


def test_what_tls12_signs_with_is_no_signature_of_tls13() -> None:
    flight = modern("rsa")
    with open(certificate_files("rsa")[1], "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    inner = list(flight.inner[:-2])
    content = VERIFY_CONTEXT + flight.hash(inner)
    signature = key.sign(content, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr, call-arg, arg-type]
    inner.append(message(c.CERTIFICATE_VERIFY, u16(0x0401) + vector16(signature)))
    inner.append(flight.finished(inner))
    conn, last = told(flight, hello(flight) + flight.protection().encrypt(c.HANDSHAKE, b"".join(inner)))
    assert isinstance(last, Broken)
    assert "rsa_pkcs1_sha256, which TLS 1.3 does not have" in last.detail
    assert (conn.signature_scheme, conn.signature_valid) == (0x0401, None)


@pytest.mark.parametrize(
    ("scheme", "refused"),
    [(0x0401, True), (0x0201, True), (0x0203, True), (0x0303, True), (0x0402, True)]
    + [(scheme, False) for scheme in (0x0403, 0x0503, 0x0603, 0x0804, 0x0806, 0x0807, 0x0808, 0x080B, 0x0905)],
)
def test_schemes_that_tls13_does_not_have(scheme: int, refused: bool) -> None:
    assert (scheme in NOT_IN_TLS13) is refused


def test_messages_of_nothing_are_read_in_no_time() -> None:
    """HelloRequests are ignored below TLS 1.3: half a megabyte of them must not cost more than that."""
    flight = modern()
    conn = new_client(flight)
    begun = time.process_time()
    for _ in range(32):
        conn.receive_data(record(c.HANDSHAKE, bytes(16384)))
    conn.receive_data(record(c.HANDSHAKE, bytes(16384)))
    assert time.process_time() - begun < 3
    assert isinstance(drain(conn)[-1], Broken)
