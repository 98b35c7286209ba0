"""The TLS 1.3 key schedule and record protection (RFC 8446 sections 5.2, 7.1 and 7.3), without PSK.

Every output here fits one block of the hash, so one HMAC is the whole HKDF expansion.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

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


# HMAC's inner and outer padding (RFC 2104), as translations of a key's bytes
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
# (hash, its block size in bytes)
_HASHES: Final = {"sha256": (hashlib.sha256, 64), "sha384": (hashlib.sha384, 128)}


class Secret:
    """A secret as HMAC key. The padded keys are kept, since one secret is expanded up to three times.

    Two calls of ``hashlib`` are faster than ``hmac.digest``, which has OpenSSL look the algorithm up each time.
    """

    __slots__ = ("_hash", "_inner", "_outer")

    def __init__(self, key: bytes, hash_name: str) -> None:
        self._hash, block = _HASHES[hash_name]
        padded = key.ljust(block, b"\x00")
        self._inner = padded.translate(_INNER)
        self._outer = padded.translate(_OUTER)

    def mac(self, message: bytes) -> bytes:
        """HMAC of ``message``; also HKDF-Extract with this secret as the salt (RFC 5869)."""
        digest = self._hash
        return digest(self._outer + digest(self._inner + message).digest()).digest()

    def expand(self, info: bytes, length: int) -> bytes:
        """HKDF-Expand for an output of at most one hash length; ``info`` as ``label`` makes it."""
        return self.mac(info)[:length]


def label(name: str, length: int, context: bytes = b"") -> bytes:
    """The HkdfLabel of RFC 8446 section 7.1, and the counter of the first and only block."""
    full = b"tls13 " + name.encode()
    return length.to_bytes(2, "big") + bytes([len(full)]) + full + bytes([len(context)]) + context + b"\x01"


def expand_label(secret: bytes, name: str, context: bytes, length: int, hash_name: str) -> bytes:
    """HKDF-Expand-Label for an output of at most one hash length (RFC 8446 section 7.1)."""
    return Secret(secret, hash_name).expand(label(name, length, context), length)


class _Suite:
    """What is the same in every handshake with one suite."""

    __slots__ = ("aead", "early", "finished", "hash_name", "iv", "key", "key_length", "size")

    def __init__(self, hash_name: str, key_length: int, aead: Any) -> None:
        self.hash_name = hash_name
        self.key_length = key_length
        self.aead = aead
        self.size = size = hashlib.new(hash_name).digest_size
        early = Secret(bytes(size), hash_name).mac(bytes(size))  # no PSK
        # ``Derive-Secret(Early Secret, "derived", "")``: the salt of the handshake secret
        self.early = Secret(expand_label(early, "derived", hashlib.new(hash_name).digest(), size, hash_name), hash_name)
        self.key = label("key", key_length)
        self.iv = label("iv", IV_LENGTH)
        self.finished = label("finished", size)


_SUITES: Final = {suite: _Suite(*parts) for suite, parts in SUITES.items()}


class HandshakeKeys:
    """Secrets of one handshake, from the shared secret and the hash of ClientHello..ServerHello."""

    __slots__ = ("_handshake", "_hello_hash", "_server", "_suite")

    def __init__(self, suite: int, shared_secret: bytes, hello_hash: bytes) -> None:
        self._suite = parts = _SUITES[suite]
        self._hello_hash = hello_hash
        self._handshake = Secret(parts.early.mac(shared_secret), parts.hash_name)
        self._server = self._traffic("s hs traffic")

    def _traffic(self, name: str) -> Secret:
        parts = self._suite
        info = label(name, parts.size, self._hello_hash)
        return Secret(self._handshake.expand(info, parts.size), parts.hash_name)

    def _protection(self, secret: Secret) -> Protection:
        parts = self._suite
        return Protection(parts.aead(secret.expand(parts.key, parts.key_length)), secret.expand(parts.iv, IV_LENGTH))

    def server_protection(self) -> Protection:
        """For the records that the server sends until its Finished."""
        return self._protection(self._server)

    def client_protection(self) -> Protection:
        """For what the client sends before the handshake is complete."""
        return self._protection(self._traffic("c hs traffic"))

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """The verify_data that the server's Finished must hold (RFC 8446 section 4.4.4)."""
        parts = self._suite
        key = self._server.expand(parts.finished, parts.size)
        return Secret(key, parts.hash_name).mac(transcript_hash)


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
