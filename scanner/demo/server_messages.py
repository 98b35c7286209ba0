"""Encoders of server messages of SSL 3.0 to TLS 1.2 (RFC 6101, RFC 2246, RFC 4346, RFC 5246, RFC 8422).

OpenSSL no longer supports the old versions and suites, and never sends malformed messages. The messages go up to
ServerHelloDone, which is all that a scanner reads.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from scanner.demo.client_hello import RENEGOTIATION_INFO, STATUS_REQUEST, ClientHello
from scanner.demo.pki import Credential, PrivateKey

SSL30: Final = 0x0300
TLS10: Final = 0x0301
TLS11: Final = 0x0302
TLS12: Final = 0x0303

MAX_FRAGMENT: Final = 1 << 14  # RFC 5246 section 6.2.1
SECP256R1: Final = 0x0017
ECDSA_SECP256R1_SHA256: Final = 0x0403
RSA_PKCS1_SHA256: Final = 0x0401
RSA_PKCS1_SHA1: Final = 0x0201


class ServerSuite(IntEnum):
    """The suites that the scripted servers speak."""

    TLS_RSA_WITH_RC4_128_SHA = 0x0005
    TLS_RSA_WITH_3DES_EDE_CBC_SHA = 0x000A
    TLS_RSA_WITH_AES_128_CBC_SHA = 0x002F
    TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA = 0xC009
    TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 = 0xC02B
    TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA = 0xC013
    TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 = 0xC02F

    @property
    def signs(self) -> bool:
        """Whether the suite has a signed ServerKeyExchange."""
        return self >= 0xC000


class Alert(IntEnum):
    """Alert descriptions (RFC 8446 section 6)."""

    HANDSHAKE_FAILURE = 40
    ACCESS_DENIED = 49
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    UNRECOGNIZED_NAME = 112
    NO_APPLICATION_PROTOCOL = 120


def records(kind: int, version: int, payload: bytes) -> bytes:
    """Return ``payload`` in as few records as possible."""
    parts = [payload[i : i + MAX_FRAGMENT] for i in range(0, len(payload), MAX_FRAGMENT)]
    return b"".join(struct.pack(">BHH", kind, version, len(part)) + part for part in parts)


def alert(description: Alert, version: int = TLS12) -> bytes:
    """Return a fatal alert in a record."""
    return records(21, version, bytes([2, description]))


def handshake(kind: int, body: bytes) -> bytes:
    """Return a handshake message with its header."""
    return bytes([kind]) + len(body).to_bytes(3) + body


def server_hello(
    hello: ClientHello, version: int, suite: ServerSuite, server_random: bytes, *, stapling: bool = False
) -> bytes:
    """Return a ServerHello without a session id.

    Its only extensions are renegotiation_info, if the client supports it, and status_request, if a staple follows.
    """
    body = struct.pack(">H", version) + server_random + b"\x00" + struct.pack(">HB", suite, 0)
    extensions = b""
    if hello.secure_renegotiation and version > SSL30:
        extensions += struct.pack(">HHB", RENEGOTIATION_INFO, 1, 0)
    if stapling:
        extensions += struct.pack(">HH", STATUS_REQUEST, 0)
    if extensions:
        body += struct.pack(">H", len(extensions)) + extensions
    return handshake(2, body)


def certificate(chain: Sequence[bytes]) -> bytes:
    """Return a Certificate message (RFC 5246 section 7.4.2) with any number of certificates."""
    entries = b"".join(len(entry).to_bytes(3) + entry for entry in chain)
    return handshake(11, len(entries).to_bytes(3) + entries)


def server_key_exchange(
    key: PrivateKey, version: int, hello: ClientHello, server_random: bytes, scheme: int | None = None
) -> bytes:
    """Return a ServerKeyExchange with an ephemeral P-256 share, signed with ``key`` (RFC 8422 section 5.4).

    ``scheme`` is the TLS 1.2 signature scheme; ``None`` means SHA-256 with the key's algorithm.
    """
    share = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = share.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    parameters = struct.pack(">BHB", 3, SECP256R1, len(point)) + point
    if version != TLS12:
        scheme = None
    elif scheme is None:
        scheme = RSA_PKCS1_SHA256 if isinstance(key, rsa.RSAPrivateKey) else ECDSA_SECP256R1_SHA256
    signature = _sign(key, scheme, hello.random + server_random + parameters)
    named = b"" if scheme is None else struct.pack(">H", scheme)
    return handshake(12, parameters + named + struct.pack(">H", len(signature)) + signature)


def _sign(key: PrivateKey, scheme: int | None, content: bytes) -> bytes:
    algorithm = hashes.SHA1() if scheme in (None, RSA_PKCS1_SHA1) else hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(algorithm))
    if isinstance(key, rsa.RSAPrivateKey):
        return _sign_md5_sha1(key, content) if scheme is None else key.sign(content, padding.PKCS1v15(), algorithm)
    raise ValueError("the scripted servers sign with ECDSA and RSA keys only")


def _sign_md5_sha1(key: rsa.RSAPrivateKey, content: bytes) -> bytes:
    """Sign with RSA over MD5 and SHA-1 without a DigestInfo (RFC 4346 section 7.4.3), which libraries do not offer."""
    digest = b"".join(hashlib.new(name, content, usedforsecurity=False).digest() for name in ("md5", "sha1"))
    size = key.key_size // 8
    block = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    numbers = key.private_numbers()
    return pow(int.from_bytes(block), numbers.d, numbers.public_numbers.n).to_bytes(size)


def server_flight(
    hello: ClientHello,
    version: int,
    suite: ServerSuite,
    credential: Credential,
    scheme: int | None = None,
    staple: bytes | None = None,
) -> bytes:
    """Return ServerHello to ServerHelloDone, each message in a record of its own, as most servers do.

    ``staple`` is sent to clients that ask for one.
    """
    server_random = os.urandom(32)
    stapling = staple is not None and STATUS_REQUEST in hello.extensions
    messages = [
        server_hello(hello, version, suite, server_random, stapling=stapling),
        certificate(credential.chain),
    ]
    if staple is not None and stapling:
        # CertificateStatus (RFC 6066 section 8)
        messages.append(handshake(22, b"\x01" + len(staple).to_bytes(3) + staple))
    if suite.signs:
        messages.append(server_key_exchange(credential.key, version, hello, server_random, scheme))
    messages.append(handshake(14, b""))  # ServerHelloDone
    return b"".join(records(22, version, message) for message in messages)
