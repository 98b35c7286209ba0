"""What a flight contains that its hello did not allow is noted, and the flight is read to its end all the same."""

from __future__ import annotations

import pytest

from scanner.model.evidence import Deviation
from scanner.tls import constants as c
from scanner.tls import offers
from scanner.tls.events import Broken, Event, FlightComplete
from scanner.tls.handshake import MAX_DEVIATIONS, MAX_FOR_ALL, ClientHandshake
from scanner.tls.wire import u16, vector8, vector16, vector24
from tests.fuzz.flights import Flight, flights, modern, new_client
from tests.tls.peers import client, message, record, seen

INFO = u16(c.EXT_RENEGOTIATION_INFO) + vector16(b"\0")


def extension(kind: int, body: bytes = b"") -> bytes:
    return u16(kind) + vector16(body)


def tls12(kind: str = "rsa") -> Flight:
    return next(flight for flight in flights() if flight.name == ("tls12-ec" if kind == "ec" else "tls12-rsa"))


def with_hello(flight: Flight, extensions: bytes | None) -> tuple[bytes, ...]:
    """Return an older flight's messages with other extensions in the ServerHello."""
    body = flight.clear[0][4:]
    start = body[: 35 + body[34] + 3]
    hello = message(c.SERVER_HELLO, start if extensions is None else start + vector16(extensions))
    return hello, *flight.clear[1:]


def received(
    flight: Flight, messages: tuple[bytes, ...], conn: ClientHandshake | None = None
) -> tuple[ClientHandshake, Event]:
    conn = conn or new_client(flight)
    return conn, conn.receive_data(b"".join(records_of(each) for each in messages))[-1]


def records_of(content: bytes) -> bytes:
    return b"".join(record(c.HANDSHAKE, content[at : at + 16384]) for at in range(0, len(content), 16384))


def deviations(conn: ClientHandshake) -> tuple[Deviation, ...]:
    return seen(conn).negotiation.deviations


def modern_with(*, encrypted: bytes | None = None, entry: bytes | None = None) -> ClientHandshake:
    """Return a client that has read a TLS 1.3 flight with other extensions."""
    flight = modern()
    inner = list(flight.inner[:2])
    if encrypted is not None:
        inner[0] = message(c.ENCRYPTED_EXTENSIONS, vector16(encrypted))
    if entry is not None:
        body = inner[1][4 + 1 + 3 :]
        size = int.from_bytes(body[:3], "big")
        inner[1] = message(c.CERTIFICATE, vector8(b"") + vector24(body[: 3 + size] + vector16(entry)))
    inner.append(flight.verify(inner))
    inner.append(flight.finished(inner))
    conn = new_client(flight)
    hello = b"".join(record(c.HANDSHAKE, each) for each in flight.clear)
    assert conn.receive_data(hello + flight.protection().encrypt(c.HANDSHAKE, b"".join(inner)))[-1] == FlightComplete()
    return conn


def test_flights_of_real_servers_have_none() -> None:
    for flight in flights():
        conn = new_client(flight)
        assert conn.receive_data(flight.records())[-1] == FlightComplete()
        assert deviations(conn) == (), flight.name


@pytest.mark.parametrize(
    ("extensions", "kind"),
    [
        (None, "no-renegotiation-info"),
        (b"", "no-renegotiation-info"),
        (extension(c.EXT_EXTENDED_MASTER_SECRET), "no-renegotiation-info"),
        (extension(c.EXT_RENEGOTIATION_INFO, b"\4abcd"), "wrong-renegotiation-info"),
        (extension(c.EXT_RENEGOTIATION_INFO), "wrong-renegotiation-info"),
    ],
)
def test_renegotiation_info_of_tls12(extensions: bytes | None, kind: str) -> None:
    for flight in (tls12(), tls12("ec")):
        conn, last = received(flight, with_hello(flight, extensions))
        assert last == FlightComplete()
        assert [each.kind for each in deviations(conn)] == [kind]


def test_ssl3_is_not_held_to_it() -> None:
    conn = client(offers.SSL3_ONLY)
    conn.receive_data(record(c.HANDSHAKE, message(2, u16(0x0300) + bytes(32) + b"\0" + u16(0x002F) + b"\0")))
    assert deviations(conn) == ()


@pytest.mark.parametrize("code", [1, 13, 15, 22, 43, 13172, 0x1234])
def test_an_extension_of_a_tls12_hello_that_was_not_offered(code: int) -> None:
    flight = tls12()
    conn, _ = received(flight, with_hello(flight, INFO + extension(code, b"\3\3" if code == 43 else b"")))
    assert deviations(conn) == (Deviation("extension", "ServerHello", code),)


def test_a_server_name_that_was_not_sent_is_not_acknowledged() -> None:
    flight = tls12()
    messages = with_hello(flight, INFO + extension(c.EXT_SERVER_NAME))
    assert deviations(received(flight, messages, client())[0]) == ()
    assert deviations(received(flight, messages, client(sni=None))[0]) == (Deviation("extension", "ServerHello", 0),)


def test_alpn_that_was_not_offered() -> None:
    flight = tls12()
    messages = with_hello(flight, INFO + extension(c.EXT_ALPN, vector16(vector8(b"h2"))))
    assert deviations(received(flight, messages, client())[0]) == ()
    conn, _ = received(flight, messages, client(alpn=(b"http/1.1",)))
    assert deviations(conn) == (Deviation("alpn", "ServerHello", name="h2"),)
    assert seen(conn).negotiation.alpn == "h2"
    conn, _ = received(flight, messages, client(alpn=()))
    assert deviations(conn) == (Deviation("extension", "ServerHello", c.EXT_ALPN),)
    strange = modern_with(encrypted=extension(c.EXT_ALPN, vector16(vector8(b"\xff"))))
    assert deviations(strange) == (Deviation("alpn", "EncryptedExtensions", name="\\xff"),)


@pytest.mark.parametrize("code", [1, 5, 11, 15, 23, 42, 51, 0x1234, 0xFF01])
def test_an_extension_that_does_not_belong_into_encrypted_extensions(code: int) -> None:
    conn = modern_with(encrypted=extension(code) + extension(c.EXT_SUPPORTED_GROUPS, b"\0\2\0\x1d"))
    assert deviations(conn) == (Deviation("extension", "EncryptedExtensions", code),)


@pytest.mark.parametrize("code", [1, 23, 0x1234])
def test_an_extension_that_does_not_belong_to_a_certificate(code: int) -> None:
    assert deviations(modern_with(entry=extension(code))) == (Deviation("extension", "Certificate", code),)


def test_extensions_of_a_tls13_hello_and_of_its_retry() -> None:
    for retry, name in ((False, "ServerHello"), (True, "HelloRetryRequest")):
        flight = modern(retry=retry)
        body = flight.clear[0][4:]
        at = 35 + body[34] + 3
        changed = message(
            c.SERVER_HELLO, body[:at] + vector16(body[at + 2 :] + extension(c.EXT_EXTENDED_MASTER_SECRET))
        )
        conn = new_client(flight)
        conn.receive_data(record(c.HANDSHAKE, changed))
        assert deviations(conn) == (Deviation("extension", name, c.EXT_EXTENDED_MASTER_SECRET),)


def test_a_scheme_that_was_not_offered() -> None:
    offer = offers.NO_SHA1
    flight = tls12()
    exchange = flight.clear[2]
    assert exchange[0] == c.SERVER_KEY_EXCHANGE
    at = 4 + 3 + 1 + exchange[7]
    changed = exchange[:at] + u16(0x0201) + exchange[at + 2 :]
    for chosen, expected in ((offers.MODERN, ()), (offer, (Deviation("scheme", "ServerKeyExchange", 0x0201),))):
        conn, last = received(flight, (*flight.clear[:2], changed, *flight.clear[3:]), client(chosen))
        assert last == FlightComplete()
        assert deviations(conn) == expected
        assert seen(conn).negotiation.signature_scheme == 0x0201


def test_a_flight_without_the_key_exchange_that_its_suite_needs() -> None:
    for name in ("tls12-rsa", "tls12-ec", "tls12-dhe", "tls11"):
        flight = next(each for each in flights() if each.name == name)
        left = tuple(each for each in flight.clear if each[0] != c.SERVER_KEY_EXCHANGE)
        assert len(left) == len(flight.clear) - 1
        conn, last = received(flight, left)
        assert last == FlightComplete()
        assert [each.kind for each in deviations(conn)] == ["no-key-exchange"]
        assert seen(conn).negotiation.signature_valid is None


def test_a_key_exchange_where_the_suite_has_none_breaks_the_flight() -> None:
    flight = next(each for each in flights() if each.name == "tls12-key-transport")
    exchange = message(
        c.SERVER_KEY_EXCHANGE, vector16(b"\3") + vector16(b"\1\0\1") + u16(0x0401) + vector16(bytes(256))
    )
    conn, last = received(flight, (*flight.clear[:2], exchange, *flight.clear[2:]))
    assert last == Broken("ServerKeyExchange: comes with TLS_RSA_WITH_AES_128_GCM_SHA256, which has none at byte 0")
    assert seen(conn).certificates != ()


@pytest.mark.parametrize(("share", "fault"), [(bytes(32), "order"), (b"\1" + bytes(31), "order"), (bytes(31), "form")])
def test_a_public_key_that_makes_no_secret(share: bytes, fault: str) -> None:
    flight = tls12()
    exchange = flight.clear[2]
    group = int.from_bytes(exchange[5:7], "big")
    assert group == offers.X25519
    body = exchange[4:7] + vector8(share) + exchange[8 + exchange[7] :]
    conn, last = received(flight, (*flight.clear[:2], message(c.SERVER_KEY_EXCHANGE, body), *flight.clear[3:]))
    assert last == FlightComplete()
    assert deviations(conn) == (Deviation("share", "ServerKeyExchange", group, name=fault),)


def test_a_share_of_zeros_breaks_a_tls13_flight() -> None:
    flight = modern()
    hello = flight.clear[0][:-32] + bytes(32)
    conn = new_client(flight)
    (last,) = conn.receive_data(record(c.HANDSHAKE, hello))
    assert isinstance(last, Broken) and last.detail.startswith("key_share: is not a share of its group")


@pytest.mark.parametrize("size", [MAX_FOR_ALL, MAX_FOR_ALL + 1])
def test_messages_that_are_longer_than_all_clients_take(size: int) -> None:
    flight = tls12()
    certificate = message(c.CERTIFICATE, vector24(vector24(bytes(size - 6))))
    conn, last = received(flight, (flight.clear[0], certificate, *flight.clear[2:]))
    expected = () if size == MAX_FOR_ALL else (Deviation("long-message", "Certificate", size=size),)
    assert (last, deviations(conn)) == (FlightComplete(), expected)
    names = vector16(
        b"".join(vector16(bytes(198)) for _ in range((size - 7) // 200)) + vector16(bytes((size - 7) % 200 - 2))
    )
    request = message(c.CERTIFICATE_REQUEST, b"\1\1" + vector16(u16(0x0401)) + names)
    conn, last = received(flight, (*flight.clear[:3], request, *flight.clear[3:]))
    size = len(request) - 4
    expected = () if size <= MAX_FOR_ALL else (Deviation("long-message", "CertificateRequest", size=size),)
    assert (last, deviations(conn)) == (FlightComplete(), expected)


def test_deviations_are_bounded_and_told_once() -> None:
    flight = tls12()
    conn, _ = received(flight, with_hello(flight, INFO + b"".join(extension(0x2000 + number) for number in range(100))))
    assert len(deviations(conn)) == MAX_DEVIATIONS == len(set(deviations(conn)))
