"""The TLS 1.3 key schedule and record protection (RFC 8446 sections 5.2, 7.1 and 7.3), without PSK.

``hmac.digest`` is used rather than an HKDF object: every output here fits one block, and one call in C is the whole expansion.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from scanner.tls.wire import DecodeError

# suite -> (hash name, key length in bytes, AEAD)
SUITES: Final[dict[int, tuple[str, int, Any]]] = {
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}

IV_LENGTH: Final = 12


class Transcript(Protocol):
    """The running hash of handshake messages, as ``hashlib`` gives it."""

    def update(self, data: bytes, /) -> None: ...
    def digest(self) -> bytes: ...
    def copy(self) -> Transcript: ...


@cache
def _label(label: str, length: int, context: bytes) -> bytes:
    full = b"tls13 " + label.encode()
    return length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context + b"\x01"


def expand_label(secret: bytes, label: str, context: bytes, length: int, hash_name: str) -> bytes:
    """HKDF-Expand-Label for an output of at most one hash length (RFC 8446 section 7.1)."""
    if context:
        full = b"tls13 " + label.encode()
        info = length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context + b"\x01"
    else:
        info = _label(label, length, b"")
    return hmac.digest(secret, info, hash_name)[:length]


@cache
def _derived_early_secret(hash_name: str) -> bytes:
    """``Derive-Secret(Early Secret, "derived", "")`` with no PSK: the same for every handshake."""
    size = hashlib.new(hash_name).digest_size
    early = hmac.digest(bytes(size), bytes(size), hash_name)
    return expand_label(early, "derived", hashlib.new(hash_name).digest(), size, hash_name)


class HandshakeKeys:
    """Secrets of one handshake, from the shared secret and the hash of ClientHello..ServerHello."""

    __slots__ = ("_client_secret", "_hash", "_server_secret", "_size", "_suite")

    def __init__(self, suite: int, shared_secret: bytes, hello_hash: bytes) -> None:
        self._suite = suite
        self._hash = SUITES[suite][0]
        self._size = len(hello_hash)
        handshake_secret = hmac.digest(_derived_early_secret(self._hash), shared_secret, self._hash)
        self._server_secret = expand_label(handshake_secret, "s hs traffic", hello_hash, self._size, self._hash)
        self._client_secret = expand_label(handshake_secret, "c hs traffic", hello_hash, self._size, self._hash)

    def _protection(self, secret: bytes) -> Protection:
        _, key_length, aead = SUITES[self._suite]
        key = expand_label(secret, "key", b"", key_length, self._hash)
        return Protection(aead(key), expand_label(secret, "iv", b"", IV_LENGTH, self._hash))

    def server_protection(self) -> Protection:
        """For the records that the server sends until its Finished."""
        return self._protection(self._server_secret)

    def client_protection(self) -> Protection:
        """For what the client sends before the handshake is complete."""
        return self._protection(self._client_secret)

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """The verify_data that the server's Finished must hold (RFC 8446 section 4.4.4)."""
        key = expand_label(self._server_secret, "finished", b"", self._size, self._hash)
        return hmac.digest(key, transcript_hash, self._hash)


class Protection:
    """Record protection in one direction: the AEAD, its nonce base and the sequence number."""

    __slots__ = ("_aead", "_iv", "_sequence")

    def __init__(self, aead: Any, iv: bytes) -> None:
        self._aead = aead
        self._iv = int.from_bytes(iv, "big")
        self._sequence = 0

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._sequence).to_bytes(IV_LENGTH, "big")
        self._sequence += 1
        return nonce

    def decrypt_untrusted(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Open one record; returns (inner content type, content). Raises ``DecodeError``."""
        try:
            plain = self._aead.decrypt(self._nonce(), body, header)
        except InvalidTag:
            raise DecodeError("record", "does not decrypt with the negotiated keys", 0) from None
        inner = plain.rstrip(b"\x00")
        if not inner:
            raise DecodeError("record", "holds only padding", 0)
        return inner[-1], inner[:-1]

    def encrypt(self, content_type: int, content: bytes) -> bytes:
        """One whole record, header included."""
        inner = content + bytes([content_type])
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        sealed: bytes = self._aead.encrypt(self._nonce(), inner, header)
        return header + sealed
