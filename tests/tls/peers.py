"""Peers for the engine without a socket: OpenSSL behind ``ssl.MemoryBIO``, and a conversation that can be replayed in any chunks."""

from __future__ import annotations

import datetime
import ssl
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from msgspec import structs

from scanner.model.evidence import ServerFlight
from scanner.tls import offers
from scanner.tls.events import Event
from scanner.tls.handshake import ClientHandshake
from scanner.tls.hello import HelloTemplate
from scanner.tls.key_share import KeyMaterial

KEYS = KeyMaterial(lambda count: bytes(range(1, count + 1)))
RANDOM = bytes(range(64))


def public_key_of(der: bytes) -> Any:
    """The leaf's key, or ``None`` where it does not parse."""
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except ValueError:
        return None


@cache
def certificate_files(kind: str) -> tuple[str, str]:
    """Paths of a self-signed certificate and its key: "rsa", "ec" or "ed25519"."""
    key: Any = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }[kind]()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind}.test")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None if kind == "ed25519" else hashes.SHA256())
    )
    folder = Path(tempfile.mkdtemp(prefix="tlsweep-tests-"))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


def server_context(
    kind: str = "ec",
    *,
    version: ssl.TLSVersion | None = None,
    curve: str | None = None,
    alpn: list[str] | None = None,
    ask_client: bool = False,
    ciphers: str = "ALL:@SECLEVEL=0",
) -> ssl.SSLContext:
    """An OpenSSL server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, key = certificate_files(kind)
    context.load_cert_chain(certificate, key)
    context.set_ciphers(ciphers)
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
    if curve is not None:
        context.set_ecdh_curve(curve)
    if alpn is not None:
        context.set_alpn_protocols(alpn)
    if ask_client:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(certificate_files("rsa")[0])
    return context


def client(
    offer: offers.Offer = offers.MODERN,
    *,
    sni: str | None = "a.test",
    alpn: tuple[bytes, ...] = (b"h2", b"http/1.1"),
    template: Any = None,
    keys: Any = KEYS,
) -> ClientHandshake:
    """A handshake with fixed randomness: the same server bytes always mean the same."""
    return ClientHandshake(
        template or HelloTemplate(offer, KEYS, alpn), keys, sni=sni, random=RANDOM, public_key_of=public_key_of
    )


@dataclass
class Conversation:
    """What the engine received in answer to each of its messages, and the events that it returned."""

    received: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def converse(conn: ClientHandshake, context: ssl.SSLContext) -> Conversation:
    """Run ``conn`` against OpenSSL in memory until neither has more to send."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    conversation = Conversation()
    while data := conn.data_to_send():
        incoming.write(data)
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            pass  # its alert is in ``outgoing``
        answer = outgoing.read()
        conversation.received.append(answer)
        conversation.events += conn.receive_data(answer)
    return conversation


def replay(
    conn: ClientHandshake, received: Iterable[bytes], cut: Callable[[bytes], Iterable[bytes]], *, close: bool = False
) -> list[Event]:
    """Give ``conn`` the same bytes again, each part cut into pieces by ``cut``."""
    events: list[Event] = []
    conn.data_to_send()
    for part in received:
        for piece in cut(part):
            events += conn.receive_data(piece)
        conn.data_to_send()
    if close:
        events += conn.receive_data(b"")
    return events


def seen(conn: ClientHandshake) -> ServerFlight:
    """What the server has shown; there must be something."""
    flight = conn.flight()
    assert flight is not None
    return flight


def learnt(conn: ClientHandshake) -> dict[str, Any]:
    """All that a handshake knows, by name."""
    flight = conn.flight() or ServerFlight()
    fields = {**structs.asdict(flight), **structs.asdict(flight.negotiation)}
    return {**fields, "state": conn.state, "plaintext": conn.plaintext}


def record(content_type: int, body: bytes, version: int = 0x0303) -> bytes:
    """One record in the clear."""
    return bytes([content_type]) + version.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def message(kind: int, body: bytes) -> bytes:
    """One handshake message."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def server_hello(version: int = 0x0303, suite: int = 0xC02F, extensions: bytes | None = b"", **changes: Any) -> bytes:
    """A ServerHello message of TLS <= 1.2."""
    session_id = changes.get("session_id", b"")
    body = version.to_bytes(2, "big") + bytes(32) + bytes([len(session_id)]) + session_id
    body += suite.to_bytes(2, "big") + bytes([changes.get("compression", 0)])
    if extensions is not None:
        body += len(extensions).to_bytes(2, "big") + extensions
    return message(2, body)
