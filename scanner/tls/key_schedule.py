"""The TLS 1.3 key schedule and record protection (RFC 8446 sections 5.2, 7.1 and 7.3), without PSK.

::

    shared secret -> Handshake Secret -> server traffic secret -> key, iv, finished key
                                      -> client traffic secret -> key, iv

Each arrow is one HKDF step (RFC 5869). All outputs fit into one block of the hash, so HKDF-Expand is a single HMAC, and
``Secret`` is the only place that computes one. It copies hash states of ``hashlib`` that have read the padded key: 0.4 us
with SHA-256 and 0.6 with SHA-384, where ``hmac.digest`` takes 1.2 and 1.6 since it has OpenSSL look the hash up each time.
A handshake computes nine. Tried and removed: all nine in one function, without calls in between (2 us less for a handshake).
Tried and slower: the HMAC of ``cryptography`` (0.5 us more for a handshake); several messages in one call is no faster.

The vectors of RFC 8448 (``tests/tls/test_key_schedule.py``) hold all of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from scanner.tls.wire import DecodeError, vector8

if TYPE_CHECKING:
    from hashlib import _Hash

Hash = Callable[..., "_Hash"]
IV_LENGTH: Final = 12

# HMAC's inner and outer padding (RFC 2104), as translations of a key's bytes
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_BLOCK_SIZES: Final[dict[Hash, int]] = {hashlib.sha256: 64, hashlib.sha384: 128}


class Secret:
    """A secret of the key schedule, as the state of both hashes of HMAC after the padded key (RFC 2104 section 4)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, hash: Hash) -> None:
        padded = key.ljust(_BLOCK_SIZES[hash], b"\x00")
        self._inner = hash(padded.translate(_INNER))
        self._outer = hash(padded.translate(_OUTER))

    def mac(self, message: bytes) -> bytes:
        """Return the HMAC of ``message``. With this secret as the salt, that is HKDF-Extract; of a ``hkdf_label``, HKDF-Expand."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()


def hkdf_label(name: str, length: int, context: bytes = b"") -> bytes:
    """Return an HkdfLabel (RFC 8446 section 7.1) and the counter of the first and only block: what HKDF-Expand-Label hashes."""
    full = b"tls13 " + name.encode()
    return length.to_bytes(2, "big") + vector8(full) + vector8(context) + b"\x01"


class Tls13Suite:
    """A cipher suite of TLS 1.3 (RFC 8446 appendix B.4), and all of the key schedule that depends on nothing else."""

    __slots__ = (
        "aead",
        "client_label",
        "finished_label",
        "hash",
        "iv_label",
        "key_label",
        "key_length",
        "salt",
        "server_label",
        "tag_length",
    )

    def __init__(self, hash: Hash, key_length: int, aead: Any, tag_length: int = 16) -> None:
        self.hash = hash
        self.key_length = key_length
        self.aead = aead
        self.tag_length = tag_length
        empty = hash().digest()
        size = len(empty)
        early = Secret(Secret(bytes(size), hash).mac(bytes(size)), hash)  # no PSK
        # of the Handshake Secret
        self.salt = Secret(early.mac(hkdf_label("derived", size, empty)), hash)
        # up to the context, the hash of the hellos, which the counter follows
        self.server_label = hkdf_label("s hs traffic", size, empty).removesuffix(empty + b"\x01")
        self.client_label = hkdf_label("c hs traffic", size, empty).removesuffix(empty + b"\x01")
        self.finished_label = hkdf_label("finished", size)
        self.key_label = hkdf_label("key", key_length)
        self.iv_label = hkdf_label("iv", IV_LENGTH)


SUITES: Final = {
    0x1301: Tls13Suite(hashlib.sha256, 16, AESGCM),
    0x1302: Tls13Suite(hashlib.sha384, 32, AESGCM),
    0x1303: Tls13Suite(hashlib.sha256, 32, ChaCha20Poly1305),
    0x1304: Tls13Suite(hashlib.sha256, 16, AESCCM),
    0x1305: Tls13Suite(hashlib.sha256, 16, partial(AESCCM, tag_length=8), tag_length=8),
}


class HandshakeKeys:
    """Keys of one handshake, from the shared secret and the hash of ClientHello..ServerHello."""

    __slots__ = ("_context", "_handshake", "_server", "_suite")

    def __init__(self, suite: int, shared_secret: bytes, hello_hash: bytes) -> None:
        self._suite = parts = SUITES[suite]
        self._context = hello_hash + b"\x01"
        self._handshake = Secret(parts.salt.mac(shared_secret), parts.hash)
        self._server = self._traffic_secret(parts.server_label)

    def _traffic_secret(self, label: bytes) -> Secret:
        return Secret(self._handshake.mac(label + self._context), self._suite.hash)

    def _protection(self, traffic: Secret) -> RecordProtection:
        parts = self._suite
        key = traffic.mac(parts.key_label)[: parts.key_length]
        return RecordProtection(parts.aead(key), traffic.mac(parts.iv_label)[:IV_LENGTH], parts.tag_length)

    def server_protection(self) -> RecordProtection:
        """Return the protection of what the server sends until its Finished."""
        return self._protection(self._server)

    def client_protection(self) -> RecordProtection:
        """Return the protection of what the client sends before the handshake is complete."""
        return self._protection(self._traffic_secret(self._suite.client_label))

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """Return the verify_data that the server's Finished must hold (RFC 8446 section 4.4.4)."""
        finished_key = self._server.mac(self._suite.finished_label)
        return Secret(finished_key, self._suite.hash).mac(transcript_hash)


class RecordProtection:
    """Protects the records of one direction (RFC 8446 section 5.2): the AEAD, its nonce base and the sequence number."""

    __slots__ = ("_aead", "_iv", "_sequence", "_tag_length")

    def __init__(self, aead: Any, iv: bytes, tag_length: int = 16) -> None:
        self._aead = aead
        self._tag_length = tag_length
        self._iv = int.from_bytes(iv, "big")
        self._sequence = 0

    def decrypt_untrusted(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Return (inner content type, content) of one record. Raises ``DecodeError``."""
        nonce = (self._iv ^ self._sequence).to_bytes(IV_LENGTH, "big")
        self._sequence += 1
        try:
            plain = self._aead.decrypt(nonce, body, header)
        except InvalidTag:
            raise DecodeError("record", "does not decrypt with the negotiated keys", 0) from None
        inner = plain.rstrip(b"\x00")
        if not inner:
            raise DecodeError("record", "holds only padding", 0)
        return inner[-1], inner[:-1]

    def encrypt(self, content_type: int, content: bytes) -> bytes:
        """Return one protected record, header included."""
        inner = content + bytes([content_type])
        header = b"\x17\x03\x03" + (len(inner) + self._tag_length).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(IV_LENGTH, "big")
        self._sequence += 1
        sealed: bytes = self._aead.encrypt(nonce, inner, header)
        return header + sealed
