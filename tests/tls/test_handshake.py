"""The engine against the trace of RFC 8448, against OpenSSL in memory, and against scripted peers that no real server is.

Two invariants run through all of it: how the bytes are cut into chunks never changes what is learnt, and no bytes make it raise.
"""

from __future__ import annotations

import os
import random
import ssl
from collections.abc import Iterable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner.model.evidence import Deviation, Negotiation
from scanner.tls import offers
from scanner.tls.events import (
    TRANSITIONS,
    AlertReceived,
    Broken,
    FlightComplete,
    NotTls,
    PeerClosed,
    State,
)
from scanner.tls.handshake import MAX_MESSAGE, MAX_WARNING_ALERTS, ClientHandshake
from scanner.tls.hello import HelloTemplate
from scanner.tls.key_share import KeyMaterial
from tests.tls.peers import (
    client,
    converse,
    learnt,
    message,
    public_key_of,
    record,
    replay,
    seen,
    server_context,
    server_hello,
)
from tests.tls.rfc8448 import SIMPLE, shared_secret

# RFC 8449
RECORD_SIZE_LIMIT = 28

FLIGHT = {
    "tls13-ecdsa": (offers.MODERN, {}),
    "tls13-rsa": (offers.MODERN, {"kind": "rsa"}),
    "tls13-ed25519": (offers.MODERN, {"kind": "ed25519"}),
    "tls13-retry": (offers.MODERN, {"curve": "secp384r1"}),
    "tls13-client-auth": (offers.MODERN, {"ask_client": True}),
    "tls12-ecdsa": (offers.MODERN, {"version": ssl.TLSVersion.TLSv1_2}),
    "tls12-rsa": (offers.MODERN, {"kind": "rsa", "version": ssl.TLSVersion.TLSv1_2}),
    "tls12-rsa-key-transport": (
        offers.MODERN,
        {"kind": "rsa", "version": ssl.TLSVersion.TLSv1_2, "ciphers": "AES128-GCM-SHA256"},
    ),
    "tls12-client-auth": (offers.MODERN, {"version": ssl.TLSVersion.TLSv1_2, "ask_client": True}),
    "tls11": (offers.TLS11_ONLY, {"kind": "rsa", "version": ssl.TLSVersion.TLSv1_1}),
    "tls10-ecdsa": (offers.TLS10_ONLY, {"version": ssl.TLSVersion.TLSv1}),
    "refused": (offers.MODERN, {"version": ssl.TLSVersion.TLSv1_2, "ciphers": "ECDHE-RSA-AES128-GCM-SHA256"}),
}
_RECORDED: dict[str, list[bytes]] = {}


def recorded(name: str) -> list[bytes]:
    """What OpenSSL says to the hello of a case; recorded once, since the client's randomness is fixed."""
    if name not in _RECORDED:
        offer, settings_ = FLIGHT[name]
        context = server_context(alpn=["h2"], **settings_)  # type: ignore[arg-type]
        _RECORDED[name] = converse(client(offer), context).received
    return _RECORDED[name]


def handshake_of(name: str) -> ClientHandshake:
    return client(FLIGHT[name][0])


def whole(data: bytes) -> Iterable[bytes]:
    return [data]


# --- RFC 8448 ------------------------------------------------------------------------------------


class TraceTemplate(HelloTemplate):
    """The ClientHello of the trace in place of one of ours."""

    def __init__(self) -> None:
        offer = offers.Offer("trace", versions=(offers.TLS13,), suites=(0x1301,), key_shares=(offers.X25519,))
        super().__init__(offer, KeyMaterial(os.urandom))

    def message(self, *_: Any) -> bytes:
        return SIMPLE["client_hello"]


class TraceKeys:
    """The private key of the trace."""

    def shared_secret_untrusted(self, group: int, share: bytes) -> bytes:
        assert group == offers.X25519
        private = x25519.X25519PrivateKey.from_private_bytes(SIMPLE["client_private_key"])
        return private.exchange(x25519.X25519PublicKey.from_public_bytes(share))


def trace_client() -> ClientHandshake:
    conn = client(template=TraceTemplate(), keys=TraceKeys(), sni="server")
    conn._session_id = b""  # the trace sends none
    return conn


def trace_flight() -> bytes:
    inner = b"".join(SIMPLE[name] for name in ("encrypted_extensions", "certificate", "certificate_verify", "finished"))
    header = b"\x17\x03\x03" + (len(inner) + 17).to_bytes(2, "big")
    sealed = AESGCM(SIMPLE["server_write_key"]).encrypt(SIMPLE["server_write_iv"], inner + b"\x16", header)
    return record(22, SIMPLE["server_hello"]) + header + sealed


def test_the_simple_handshake_of_rfc_8448() -> None:
    conn = trace_client()
    assert conn.data_to_send() == record(22, SIMPLE["client_hello"], 0x0301)
    assert conn.data_to_send() == b""
    assert conn.receive_data(trace_flight()) == [FlightComplete()]
    assert seen(conn).negotiation == Negotiation(
        version=0x0304,
        cipher=0x1301,
        group=offers.X25519,
        sni_acknowledged=True,
        signature_scheme=0x0804,
        signature_valid=True,
        finished_valid=True,
        complete=True,
        deviations=(
            Deviation("extension", "EncryptedExtensions", RECORD_SIZE_LIMIT),
        ),  # the client of the trace offered it
    )
    assert len(seen(conn).certificates) == 1
    assert shared_secret() == TraceKeys().shared_secret_untrusted(offers.X25519, SIMPLE["server_hello"][-38:-6])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_byte_of_the_trace_never_passes_as_valid(data: st.DataObject) -> None:
    flight = bytearray(trace_flight())
    place = data.draw(st.integers(0, len(flight) - 1))
    flight[place] ^= data.draw(st.integers(1, 255))
    conn = trace_client()
    conn.receive_data(bytes(flight))
    shown = conn.flight()
    good = (
        shown is not None
        and shown.negotiation.complete
        and shown.negotiation.finished_valid is True
        and shown.negotiation.signature_valid is True
    )
    # the legacy record versions are outside of every signature and MAC: only there may a change pass
    assert not good or place in (2,)


# --- OpenSSL in memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in FLIGHT if name != "refused"])
def test_openssl_flights_are_read_to_their_end(name: str) -> None:
    conn = handshake_of(name)
    events = replay(conn, recorded(name), whole)
    assert events[-1] == FlightComplete()
    assert conn.state is State.COMPLETE
    expected = {"tls13": 0x0304, "tls12": 0x0303, "tls11": 0x0302, "tls10": 0x0301}[name.partition("-")[0]]
    assert len(seen(conn).certificates) == 1
    chosen = seen(conn).negotiation
    assert (chosen.version, chosen.alpn, chosen.complete) == (expected, "h2", True)
    assert chosen.signature_valid is (None if "key-transport" in name else True)
    assert chosen.finished_valid is (True if expected == 0x0304 else None)
    assert chosen.hello_retry is (name == "tls13-retry")
    assert (chosen.client_auth is not None) is ("client-auth" in name)
    if chosen.client_auth is not None:
        assert chosen.client_auth.schemes


@pytest.mark.parametrize("name", FLIGHT)
def test_chunking_changes_nothing(name: str) -> None:
    expected = handshake_of(name)
    events = replay(expected, recorded(name), whole, close=True)
    generator = random.Random(name)

    def one_by_one(data: bytes) -> Iterable[bytes]:
        return (data[i : i + 1] for i in range(len(data)))

    def anyhow(data: bytes) -> Iterable[bytes]:
        while data:
            size = generator.randint(1, 200)
            yield data[:size]
            data = data[size:]

    for cut in (one_by_one, anyhow, anyhow):
        conn = handshake_of(name)
        assert replay(conn, recorded(name), cut, close=True) == events
        assert learnt(conn) == learnt(expected)


def test_records_can_be_refragmented_below_tls13() -> None:
    flight = b"".join(recorded("tls12-rsa"))
    plain, place = b"", 0
    while place < len(flight):
        length = int.from_bytes(flight[place + 3 : place + 5], "big")
        plain += flight[place + 5 : place + 5 + length]
        place += 5 + length
    for size in (1, 5, 100, 16384):
        conn = handshake_of("tls12-rsa")
        flight = b"".join(record(22, plain[i : i + size]) for i in range(0, len(plain), size))
        assert conn.receive_data(flight)[-1] == FlightComplete(), size
        assert seen(conn).negotiation.signature_valid is True


def test_a_refusal_is_reported_as_its_alert() -> None:
    conn = handshake_of("refused")
    assert replay(conn, recorded("refused"), whole) == [AlertReceived(2, 40)]
    assert conn.state is State.FAILED


def test_openssl_understands_the_close_notify() -> None:
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        conn = client()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = server_context(version=version).wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(conn.data_to_send())
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        conn.receive_data(outgoing.read())
        incoming.write(conn.close_notify())
        with pytest.raises((ssl.SSLError, ssl.SSLZeroReturnError)) as caught:
            server.do_handshake()
        assert "MAC" not in str(caught.value)
        assert "DECRYPT" not in str(caught.value)


@pytest.mark.parametrize("name", ["tls13-ecdsa", "tls12-rsa", "tls13-client-auth"])
def test_a_prefix_with_a_random_tail_never_raises(name: str) -> None:
    flight = recorded(name)[0]
    generator = random.Random(name)
    for _ in range(300):
        keep = generator.randrange(len(flight))
        tail = generator.randbytes(generator.randrange(80))
        conn = handshake_of(name)
        replay(conn, [flight[:keep] + tail], whole, close=True)
        assert conn.state is State.FAILED


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8))
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_an_event_never_in_an_exception(chunks: list[bytes]) -> None:
    conn = client()
    events = replay(conn, chunks, whole, close=True)
    assert conn.state is State.FAILED
    assert isinstance(events[-1], NotTls | Broken | PeerClosed | AlertReceived)


# --- scripted peers ------------------------------------------------------------------------------


def played(
    *records: bytes, offer: offers.Offer = offers.MODERN, close: bool = False
) -> tuple[ClientHandshake, list[Any]]:
    """A handshake that received these records, and its events."""
    conn = client(offer)
    events = conn.receive_data(b"".join(records))
    if close:
        events += conn.receive_data(b"")
    return conn, events


def broken(*records: bytes, offer: offers.Offer = offers.MODERN) -> str:
    _, events = played(*records, offer=offer)
    assert len(events) == 1
    assert isinstance(events[0], Broken)
    return events[0].detail


def test_alerts_are_read_in_every_state() -> None:
    alert = record(21, b"\x02\x28")
    hello = record(22, server_hello())
    for before in ([], [hello], [hello, record(22, message(11, b"\x00\x00\x00"))]):
        assert played(*before, alert)[1] == [AlertReceived(2, 40)]


def test_a_warning_is_reported_and_the_handshake_goes_on() -> None:
    conn, events = played(record(21, b"\x01\x70"), record(22, server_hello()))
    assert events == [AlertReceived(1, 112)]
    assert conn.state is State.OLD_CERTIFICATE


def test_warnings_are_bounded() -> None:
    conn, events = played(*[record(21, b"\x01\x70")] * (MAX_WARNING_ALERTS + 1))
    assert events == [AlertReceived(1, 112)] * MAX_WARNING_ALERTS + [Broken("alert: more than 5 warnings at byte 0")]
    assert conn.state is State.FAILED


def test_a_close_notify_ends_the_handshake() -> None:
    assert played(record(21, b"\x01\x00"))[1] == [AlertReceived(1, 0)]


def test_plaintext_is_kept_for_recognition() -> None:
    conn = client()
    assert conn.receive_data(b"HTTP/1.1 400") == [NotTls()]
    assert conn.receive_data(b" Bad Request\r\n") == []
    assert conn.plaintext == b"HTTP/1.1 400 Bad Request\r\n"
    assert conn.flight() is None


def test_the_end_of_the_stream_is_an_event() -> None:
    assert played(close=True)[1] == [PeerClosed()]
    assert played(record(22, server_hello())[:9], close=True)[1] == [PeerClosed()]


def test_the_flight_of_an_older_version_is_read() -> None:
    """An old server answers a new hello with its own version: the certificate still tells who it is."""
    conn, events = played(record(22, server_hello(0x0301, 0xC013)), record(22, message(11, b"\x00\x00\x00")))
    assert (seen(conn).negotiation.version, events) == (0x0301, [])


BROKEN = {
    "a version from the future": ([record(22, server_hello(0x0305))], "selects version"),
    "a version before SSL 3.0": ([record(22, server_hello(0x0002))], "selects version SSLv2"),
    "a suite that was not offered": ([record(22, server_hello(suite=0x0005))], "which was not offered"),
    "a TLS 1.3 suite in TLS 1.2": ([record(22, server_hello(suite=0x1301))], "for another version"),
    "compression": ([record(22, server_hello(compression=1))], "selects compression 1"),
    "a long session id": ([record(22, server_hello(session_id=bytes(33)))], "more than 32 bytes"),
    "an alert of three bytes": ([record(21, b"\x02\x28\x00")], "3 bytes instead of 2"),
    "application data": ([record(23, b"hi")], "content type 23"),
    "an empty handshake record": ([record(22, b"")], "empty handshake record"),
    "an oversized message, at its header": (
        [record(22, b"\x02" + (MAX_MESSAGE + 1).to_bytes(3, "big"))],
        "message of 262145 bytes",
    ),
    "an oversized message after a good one": (
        [record(22, server_hello() + b"\x0b" + (MAX_MESSAGE + 1).to_bytes(3, "big"))],
        "message of 262145 bytes",
    ),
    "change_cipher_spec first": ([record(20, b"\x01")], "before the server's flight"),
    "change_cipher_spec of two bytes": ([record(20, b"\x01\x01")], "is not the one byte"),
    "a certificate first": ([record(22, message(11, b"\x00\x00\x00"))], "awaiting SERVER_HELLO"),
    "two ServerHellos": ([record(22, server_hello() * 2)], "awaiting OLD_CERTIFICATE"),
    "a Finished in the clear": ([record(22, server_hello() + message(20, bytes(12)))], "message of type 20"),
    "ServerHelloDone with content": ([record(22, server_hello() + message(14, b"x"))], "left over"),
    "a TLS 1.3 hello without a share": (
        [
            record(
                22,
                server_hello(suite=0x1301, extensions=bytes.fromhex("002b00020304"), session_id=bytes(range(32, 64))),
            )
        ],
        "has no key_share",
    ),
    "a TLS 1.3 hello for another session": (
        [record(22, server_hello(suite=0x1301, extensions=bytes.fromhex("002b00020304")))],
        "does not echo the session id",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_violations_name_what_is_wrong(case: str) -> None:
    records, words = BROKEN[case]
    assert words in broken(*records)


def test_tls13_is_refused_where_it_was_not_offered() -> None:
    hello = server_hello(suite=0x1301, extensions=bytes.fromhex("002b00020304"))
    assert "was not offered" in broken(record(22, hello), offer=offers.TLS12_ONLY)


def test_a_downgrade_is_detected_by_the_servers_mark() -> None:
    marked = bytearray(server_hello())
    marked[4 + 2 + 24 : 4 + 2 + 32] = b"DOWNGRD\x01"
    assert "says that it knows TLS 1.3" in broken(record(22, bytes(marked)))
    assert played(record(22, bytes(marked)), offer=offers.TLS12_ONLY)[1] == []


def test_a_version_above_the_offer_is_refused() -> None:
    assert "above the offer" in broken(record(22, server_hello(0x0303, 0xC013)), offer=offers.TLS10_ONLY)


def _retry(extensions: str) -> bytes:
    block = bytes.fromhex("002b00020304" + extensions)
    body = b"\x03\x03" + bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
    body += b"\x20" + bytes(range(32, 64)) + b"\x13\x01\x00" + len(block).to_bytes(2, "big") + block
    return record(22, message(2, body))


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ("", "asks for no change"),
        ("00330002001d", "which makes no sense"),  # a share of it was sent
        ("003300020100", "which makes no sense"),  # not offered
        ("00330003001700", "left over"),
    ],
)
def test_a_useless_retry_request_is_refused(extensions: str, words: str) -> None:
    assert words in broken(_retry(extensions))


def test_a_second_retry_request_is_refused() -> None:
    assert "second time" in broken(_retry("003300020017"), _retry("003300020018"))


def test_a_retry_may_ask_for_a_cookie_alone() -> None:
    conn, events = played(_retry("002c00050003616263"))
    assert events == []
    conn.data_to_send()  # the first hello was never taken, so both are here
    assert seen(conn).negotiation.hello_retry


def _asking_back(cookie: bytes) -> list[bytes]:
    """A retry request with a cookie, in as many records as it takes."""
    size = len(cookie)
    body = _retry(f"002c{size + 2:04x}{size:04x}" + cookie.hex())[5:] if size < 1 << 14 else b""
    if not body:
        block = bytes.fromhex("002b00020304002c") + (size + 2).to_bytes(2, "big") + size.to_bytes(2, "big") + cookie
        head = _retry("002c00050003616263")[9:]
        body = message(2, head[: 2 + 32 + 33 + 3] + len(block).to_bytes(2, "big") + block)
    return [record(22, body[at : at + (1 << 14)]) for at in range(0, len(body), 1 << 14)]


@pytest.mark.parametrize("size", [1, 4096, 16_000, 16_384, 40_000, 60_000])
def test_a_cookie_comes_back_in_as_many_records_as_it_takes(size: int) -> None:
    cookie = bytes(range(256)) * (size // 256) + bytes(size % 256)
    conn = client(offers.MODERN)
    conn.data_to_send()
    for each in _asking_back(cookie):
        conn.receive_data(each)
    sent, hello = conn.data_to_send(), b""
    while sent:
        length = int.from_bytes(sent[3:5], "big")
        assert sent[0] == 22 and 0 < length <= 1 << 14
        hello, sent = hello + sent[5 : 5 + length], sent[5 + length :]
    assert len(hello) == 4 + int.from_bytes(hello[1:4], "big")
    assert cookie in hello
    assert not conn.ended and seen(conn).negotiation.hello_retry


@pytest.mark.parametrize("size", [64_500, 65_000, 65_521])
def test_a_cookie_too_long_for_a_hello_is_refused(size: int) -> None:
    words = broken(*_asking_back(bytes(size)))
    assert f"asks for a cookie of {size} bytes back, and a ClientHello has room for" in words


def test_falling_back_after_a_retry_is_refused() -> None:
    assert "falls back" in broken(_retry("003300020017"), record(22, server_hello()))


def test_a_second_certificate_status_is_refused() -> None:
    status = message(22, b"\x01\x00\x00\x04ocsp")
    certificate = message(11, b"\x00\x00\x04\x00\x00\x01x")
    conn, _ = played(record(22, server_hello() + certificate + status + message(14, b"")))
    assert (seen(conn).ocsp_response, conn.state) == (b"ocsp", State.COMPLETE)
    assert "second time" in broken(record(22, server_hello() + certificate + status * 2))


def test_a_flight_without_a_certificate_is_complete() -> None:
    conn, events = played(record(22, server_hello() + message(14, b"")))
    assert events == [FlightComplete()]
    assert seen(conn).certificates == ()


def test_a_signature_is_not_judged_without_a_readable_leaf() -> None:
    assert public_key_of(b"x") is None
    certificate = message(11, b"\x00\x00\x04\x00\x00\x01x")
    exchange = message(12, b"\x03\x00\x17\x01\x04" + b"\x04\x03\x00\x03sig")
    conn, events = played(record(22, server_hello() + certificate + exchange + message(14, b"")))
    assert events == [FlightComplete()]
    assert seen(conn).negotiation.signature_valid is None
    assert seen(conn).negotiation.group == 0x17


def test_a_group_that_was_not_offered_is_refused() -> None:
    exchange = message(12, b"\x03\x00\x19\x01\x04" + b"\x04\x03\x00\x03sig")
    assert "group 25, which was not offered" in broken(
        record(22, server_hello() + message(11, b"\x00\x00\x04\x00\x00\x01x") + exchange)
    )


def test_nothing_more_is_learnt_after_the_end() -> None:
    conn, _ = played(record(22, server_hello() + message(14, b"")), record(21, b"\x02\x28"))
    before = learnt(conn)
    assert conn.receive_data(b"more") == conn.receive_data(b"") == []
    assert learnt(conn) == before


def test_every_transition_of_real_flights_is_in_the_table() -> None:
    """Message by message, where the record layer lets them be told apart: below TLS 1.3, and ServerHellos of TLS 1.3."""
    followed = set()
    for name in FLIGHT:
        conn = handshake_of(name)
        conn.data_to_send()
        for byte in b"".join(recorded(name)):
            before = conn.state
            conn.receive_data(bytes([byte]))
            if conn.state is not before:
                followed.add((before, conn.state))
    allowed = {(before, after) for (before, _), following in TRANSITIONS.items() for after in following}
    assert followed - allowed == {(State.SERVER_HELLO, State.FAILED)}  # that is the one which refuses
    assert len(followed) > 12


def test_the_repr_names_the_state() -> None:
    assert repr(client()) == "<ClientHandshake modern awaiting SERVER_HELLO>"
