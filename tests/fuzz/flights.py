"""Server flights as lists of messages, to be changed before they are put into records and encrypted.

The TLS 1.3 flights come from a tiny server with ``scanner.tls.key_schedule``'s keys; older ones are recorded from OpenSSL. The
client's randomness is fixed, so that a flight answers the hello of every ``new_client()``.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, x25519

from scanner.tls import constants as c
from scanner.tls import offers
from scanner.tls.handshake import ClientHandshake
from scanner.tls.key_schedule import SUITES, HandshakeKeys, RecordProtection
from scanner.tls.key_share import ffdhe_prime
from scanner.tls.signatures import VERIFY_CONTEXT
from scanner.tls.wire import u16, vector8, vector16, vector24
from tests.helpers import pki
from tests.tls.peers import KEYS, RANDOM, certificate_files, client, converse, message, record, server_context

SESSION_ID: Final = RANDOM[32:64]


def new_client(flight: Flight, public_key_of: Callable[[bytes], Any] | None = None) -> ClientHandshake:
    """Return a client that has sent the hello that the flight answers."""
    conn = client(flight.offer)
    if public_key_of is not None:
        conn._public_key_of = public_key_of
    conn.data_to_send()
    return conn


@dataclass(frozen=True)
class Flight:
    """A flight; ``clear`` are the messages in the clear, all of them before TLS 1.3, ``inner`` those that TLS 1.3 encrypts."""

    name: str
    offer: offers.Offer
    clear: tuple[bytes, ...]
    inner: tuple[bytes, ...] = ()
    keys: HandshakeKeys | None = None
    suite: int = 0
    before: bytes = field(default=b"", repr=False)  # the transcript before ``inner``
    sign: Callable[[bytes], tuple[int, bytes]] | None = None

    def hash(self, messages: Sequence[bytes]) -> bytes:
        """Return the transcript hash after these inner messages."""
        return SUITES[self.suite].hash(self.before + b"".join(messages)).digest()

    def finished(self, messages: Sequence[bytes]) -> bytes:
        """Return a valid Finished after these inner messages."""
        assert self.keys is not None
        return message(c.FINISHED, self.keys.server_finished(self.hash(messages)))

    def verify(self, messages: Sequence[bytes]) -> bytes:
        """Return a valid CertificateVerify after these inner messages, signed with the leaf's key."""
        assert self.sign is not None
        scheme, signature = self.sign(VERIFY_CONTEXT + self.hash(messages))
        return message(c.CERTIFICATE_VERIFY, u16(scheme) + vector16(signature))

    def protection(self) -> RecordProtection:
        """Return the protection for a first encrypted record."""
        assert self.keys is not None
        return self.keys.server_protection()

    def records(self) -> bytes:
        """Return the records of an ordinary server."""
        sent = b"".join(record(c.HANDSHAKE, each) for each in self.clear)
        if self.keys is not None:
            sent += record(c.CHANGE_CIPHER_SPEC, b"\x01")
            sent += self.protection().encrypt(c.HANDSHAKE, b"".join(self.inner))
        return sent


# --- TLS 1.3 ---------------------------------------------------------------------------------------


def _signer(kind: str) -> Callable[[bytes], tuple[int, bytes]]:
    with open(certificate_files(kind)[1], "rb") as file:
        key = serialization.load_pem_private_key(file.read(), None)

    def sign(content: bytes) -> tuple[int, bytes]:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return 0x0403, key.sign(content, ec.ECDSA(hashes.SHA256()))
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return 0x0807, key.sign(content)
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        return 0x0804, key.sign(content, pss, hashes.SHA256())  # type: ignore[union-attr, call-arg, arg-type]

    return sign


def _leaf(kind: str) -> bytes:
    with open(certificate_files(kind)[0], encoding="ascii") as file:
        return ssl.PEM_cert_to_DER_cert(file.read())


def _extension(kind: int, body: bytes) -> bytes:
    return u16(kind) + vector16(body)


def _hello(suite: int, group: int, share: bytes, random: bytes = b"\x07" * 32) -> bytes:
    extensions = _extension(c.EXT_SUPPORTED_VERSIONS, u16(offers.TLS13))
    extensions += _extension(c.EXT_KEY_SHARE, u16(group) + (vector16(share) if share else b""))
    return message(
        c.SERVER_HELLO, u16(offers.TLS12) + random + vector8(SESSION_ID) + u16(suite) + b"\0" + vector16(extensions)
    )


@cache
def modern(kind: str = "ec", suite: int = 0x1301, *, asks: bool = False, retry: bool = False) -> Flight:
    """Return a TLS 1.3 flight with staple, SCTs and two certificates, and optionally CertificateRequest or HelloRetryRequest."""
    offer = offers.MODERN
    conn = client(offer)
    first = conn.data_to_send()[5:]
    clear: list[bytes] = []
    if retry:
        clear.append(_hello(suite, offers.SECP256R1, b"", c.HELLO_RETRY_RANDOM))
        conn.receive_data(record(c.HANDSHAKE, clear[0]))
        digest = SUITES[suite].hash(first).digest()
        before = bytes([c.MESSAGE_HASH]) + vector24(digest) + clear[0] + conn.data_to_send()[5:]
        own = ec.generate_private_key(ec.SECP256R1())
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), KEYS.share(offers.SECP256R1))
        shared = own.exchange(ec.ECDH(), point)
        numbers = own.public_key()
        share = numbers.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        clear.append(_hello(suite, offers.SECP256R1, share))
    else:
        before = first
        private = x25519.X25519PrivateKey.generate()
        shared = private.exchange(x25519.X25519PublicKey.from_public_bytes(KEYS.share(offers.X25519)))
        clear.append(_hello(suite, offers.X25519, private.public_key().public_bytes_raw()))
    before += clear[-1]
    keys = HandshakeKeys(suite, shared, SUITES[suite].hash(before).digest())
    staple = _extension(c.EXT_STATUS_REQUEST, b"\x01" + vector24(b"staple"))
    scts = _extension(c.EXT_SCT, vector16(vector16(b"one") + vector16(b"two")))
    entries = vector24(_leaf(kind)) + vector16(staple + scts) + vector24(_leaf("rsa")) + vector16(b"")
    alpn = _extension(c.EXT_ALPN, vector16(vector8(b"h2"))) + _extension(c.EXT_SERVER_NAME, b"")
    inner = [message(c.ENCRYPTED_EXTENSIONS, vector16(alpn))]
    if asks:
        wanted = _extension(c.EXT_SIGNATURE_ALGORITHMS, vector16(u16(0x0403) + u16(0x0804)))
        wanted += _extension(c.EXT_CERTIFICATE_AUTHORITIES, vector16(vector16(b"\x30\x00") + vector16(b"\x30\x01\x00")))
        inner.append(message(c.CERTIFICATE_REQUEST, vector8(b"") + vector16(wanted)))
    inner.append(message(c.CERTIFICATE, vector8(b"") + vector24(entries)))
    name = f"tls13-{kind}-{suite:04x}{'-asks' if asks else ''}{'-retry' if retry else ''}"
    flight = Flight(name, offer, tuple(clear), (), keys, suite, before, _signer(kind))
    inner.append(flight.verify(inner))
    inner.append(flight.finished(inner))
    return Flight(name, offer, tuple(clear), tuple(inner), keys, suite, before, flight.sign)


# --- TLS 1.2 and before ----------------------------------------------------------------------------


def messages_of(stream: bytes) -> tuple[bytes, ...]:
    """Return the handshake messages in plaintext records."""
    content = b""
    while stream:
        length = int.from_bytes(stream[3:5], "big")
        content += stream[5 : 5 + length]
        stream = stream[5 + length :]
    messages = []
    while content:
        length = 4 + int.from_bytes(content[1:4], "big")
        messages.append(content[:length])
        content = content[length:]
    return tuple(messages)


@cache
def older(name: str, offer: offers.Offer = offers.MODERN, **settings: Any) -> Flight:
    """Return OpenSSL's flight with these settings."""
    return Flight(name, offer, messages_of(b"".join(converse(client(offer), server_context(**settings)).received)))


def _finite_field() -> Flight:
    context = server_context("rsa", version=ssl.TLSVersion.TLSv1_2, ciphers="DHE-RSA-AES128-SHA:@SECLEVEL=0")
    group = pki.sequence(pki.integer(ffdhe_prime(offers.FFDHE2048)), pki.integer(2))
    pem = ssl.DER_cert_to_PEM_cert(group).replace("CERTIFICATE", "DH PARAMETERS").encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        context.load_dh_params(file.name)
    offer = offers.TLS12_EVERYTHING
    return Flight("tls12-dhe", offer, messages_of(b"".join(converse(client(offer), context).received)))


@cache
def flights() -> tuple[Flight, ...]:
    """Return all kinds of flights."""
    v12 = ssl.TLSVersion.TLSv1_2
    return (
        modern(),
        modern("rsa", 0x1302),
        modern("ed25519", 0x1303),
        modern(asks=True),
        modern(retry=True),
        older("tls12-ec", version=v12),
        older("tls12-rsa", kind="rsa", version=v12),
        _finite_field(),
        older("tls12-anonymous", offers.TLS12_EVERYTHING, version=v12, ciphers="AECDH-AES128-SHA:@SECLEVEL=0"),
        older("tls12-key-transport", kind="rsa", version=v12, ciphers="AES128-GCM-SHA256"),
        older("tls12-asks", version=v12, ask_client=True),
        older("tls11", offers.TLS11_ONLY, kind="rsa", version=ssl.TLSVersion.TLSv1_1),
        older("tls10", offers.TLS10_ONLY, version=ssl.TLSVersion.TLSv1),
    )
