"""TLS 1.3 flights that are right in everything but one thing, which every client refuses: made by a server with all the keys."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from scanner.tls import constants as c
from scanner.tls.events import AlertReceived, Broken, Event, FlightComplete
from scanner.tls.handshake import MAX_FLIGHT, MAX_SIGNERS, ClientHandshake
from scanner.tls.signatures import NOT_IN_TLS13, VERIFY_CONTEXT
from scanner.tls.wire import u16, vector16
from tests.fuzz.flights import Flight, modern, new_client
from tests.tls.peers import certificate_files, message, record, seen


def last_event(flight: Flight, data: bytes) -> tuple[ClientHandshake, Event]:
    conn = new_client(flight)
    return conn, conn.receive_data(data)[-1]


def hello(flight: Flight) -> bytes:
    return b"".join(record(c.HANDSHAKE, each) for each in flight.clear)


def test_a_good_flight_is_valid_with_every_key_and_suite() -> None:
    for flight in (modern(), modern("rsa", 0x1302), modern("ed25519", 0x1303), modern(asks=True), modern(retry=True)):
        conn, last = last_event(flight, flight.records())
        assert last == FlightComplete()
        shown, chosen = seen(conn), seen(conn).negotiation
        assert (chosen.signature_valid, chosen.finished_valid, chosen.alpn) == (True, True, "h2")
        assert (shown.ocsp_response, shown.scts) == (b"staple", (b"one", b"two"))
        assert (chosen.client_auth is not None) is ("asks" in flight.name)


@pytest.mark.parametrize(("place", "found"), [(1, 1), (3, 3), (MAX_SIGNERS - 1, MAX_SIGNERS - 1), (MAX_SIGNERS, 0)])
def test_the_leaf_is_the_certificate_whose_key_signed(place: int, found: int) -> None:
    flight = modern()
    own = seen(last_event(flight, flight.records())[0]).certificates[0]
    other = seen(last_event(modern("rsa"), modern("rsa").records())[0]).certificates[0]
    entries = [other] * place + [own, other]
    body = b"".join(len(each).to_bytes(3, "big") + each + u16(0) for each in entries)
    inner = list(flight.inner[:-2])
    at = next(number for number, each in enumerate(inner) if each[0] == c.CERTIFICATE)
    inner[at] = message(c.CERTIFICATE, b"\0" + len(body).to_bytes(3, "big") + body)
    inner.append(flight.verify(inner))
    inner.append(flight.finished(inner))
    conn, last = last_event(flight, hello(flight) + flight.protection().encrypt(c.HANDSHAKE, b"".join(inner)))
    assert last == FlightComplete()
    chosen = seen(conn).negotiation
    assert (chosen.leaf_position, chosen.signature_valid, chosen.finished_valid) == (found, found > 0, True)
    assert seen(conn).leaf_first[0] == (own if found else other)


def test_a_handshake_message_in_the_clear_after_the_hello_is_refused() -> None:
    flight = modern()
    conn, last = last_event(flight, hello(flight) + b"".join(record(c.HANDSHAKE, each) for each in flight.inner))
    assert last == Broken("record: handshake message in the clear after ServerHello at byte 0")
    assert seen(conn).certificates == ()


def test_unencrypted_data_after_the_hello_in_its_record_is_refused() -> None:
    flight = modern()
    _, last = last_event(flight, record(c.HANDSHAKE, flight.clear[0] + b"\x08"))
    assert last == Broken("handshake: unencrypted data follows ServerHello at byte 0")


def test_an_alert_in_the_clear_after_the_hello_is_read() -> None:
    """A server that cannot make its keys says so before it has any."""
    flight = modern()
    assert last_event(flight, hello(flight) + record(c.ALERT, b"\x02\x50"))[1] == AlertReceived(2, 80)


def test_a_pkcs1_signature_is_refused_in_tls13() -> None:
    flight = modern("rsa")
    with open(certificate_files("rsa")[1], "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)
    inner = list(flight.inner[:-2])
    content = VERIFY_CONTEXT + flight.hash(inner)
    signature = key.sign(content, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[union-attr, call-arg, arg-type]
    inner.append(message(c.CERTIFICATE_VERIFY, u16(0x0401) + vector16(signature)))
    inner.append(flight.finished(inner))
    conn, last = last_event(flight, hello(flight) + flight.protection().encrypt(c.HANDSHAKE, b"".join(inner)))
    assert isinstance(last, Broken)
    assert "rsa_pkcs1_sha256, which TLS 1.3 does not have" in last.detail
    chosen = seen(conn).negotiation
    assert (chosen.signature_scheme, chosen.signature_valid) == (0x0401, None)


@pytest.mark.parametrize(
    ("scheme", "refused"),
    [(0x0401, True), (0x0201, True), (0x0203, True), (0x0303, True), (0x0402, True)]
    + [(scheme, False) for scheme in (0x0403, 0x0503, 0x0603, 0x0804, 0x0806, 0x0807, 0x0808, 0x080B, 0x0905)],
)
def test_schemes_that_tls13_refuses(scheme: int, refused: bool) -> None:
    assert (scheme in NOT_IN_TLS13) is refused


def test_ignored_messages_count_towards_the_size_of_a_flight() -> None:
    """HelloRequests are ignored below TLS 1.3, and bounded all the same."""
    conn = new_client(modern())
    hello_requests = record(c.HANDSHAKE, bytes(16384))
    for _ in range(MAX_FLIGHT // 16384):
        assert conn.receive_data(hello_requests) == []
    assert conn.receive_data(hello_requests) == [Broken("handshake: flight of more than 524288 bytes at byte 0")]
