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

# suite -> its hash
HASHES: Final = {suite: getattr(hashlib, name) for suite, (name, _, _) in SUITES.items()}

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

    @property
    def padded(self) -> tuple[bytes, bytes]:
        """The key with HMAC's inner and outer padding."""
        return self._inner, self._outer

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
    """What is the same in every handshake with one suite: hash, AEAD, and the labels of what is derived."""

    __slots__ = (
        "aead", "block", "client", "digest", "early_inner", "early_outer", "finished", "iv", "key", "key_length", "server",
    )  # fmt: skip

    def __init__(self, hash_name: str, key_length: int, aead: Any) -> None:
        self.digest, self.block = _HASHES[hash_name]
        self.key_length = key_length
        self.aead = aead
        size = self.digest().digest_size
        early = Secret(bytes(size), hash_name).mac(bytes(size))  # no PSK
        # ``Derive-Secret(Early Secret, "derived", "")``: the salt of the handshake secret
        salt = Secret(expand_label(early, "derived", self.digest().digest(), size, hash_name), hash_name)
        self.early_inner, self.early_outer = salt.padded
        # up to the transcript's hash, which is the end of the context; the counter follows it
        self.server = label("s hs traffic", size, bytes(size))[: -size - 1]
        self.client = label("c hs traffic", size, bytes(size))[: -size - 1]
        self.key = label("key", key_length)
        self.iv = label("iv", IV_LENGTH)
        self.finished = label("finished", size)


_SUITES: Final = {suite: _Suite(*parts) for suite, parts in SUITES.items()}


class HandshakeKeys:
    """Secrets of one handshake, from the shared secret and the hash of ClientHello..ServerHello.

    HKDF stands here in full (each ``digest(outer + digest(inner + info).digest()).digest()`` is one HKDF-Expand, see
    ``Secret``), since nine calls for each of them would be a tenth of what a target costs.
    """

    __slots__ = ("_client_info", "_finished", "_inner", "_iv", "_key", "_outer", "_suite")

    def __init__(self, suite: int, shared_secret: bytes, hello_hash: bytes) -> None:
        self._suite = parts = _SUITES[suite]
        digest, block = parts.digest, parts.block
        hello_hash += b"\x01"
        secret = digest(parts.early_outer + digest(parts.early_inner + shared_secret).digest()).digest()
        padded = secret.ljust(block, b"\x00")
        self._inner = inner = padded.translate(_INNER)
        self._outer = outer = padded.translate(_OUTER)
        self._client_info = parts.client + hello_hash
        secret = digest(outer + digest(inner + parts.server + hello_hash).digest()).digest()
        padded = secret.ljust(block, b"\x00")
        inner, outer = padded.translate(_INNER), padded.translate(_OUTER)
        self._key = digest(outer + digest(inner + parts.key).digest()).digest()[: parts.key_length]
        self._iv = digest(outer + digest(inner + parts.iv).digest()).digest()[:IV_LENGTH]
        self._finished = digest(outer + digest(inner + parts.finished).digest()).digest()

    def server_protection(self) -> Protection:
        """For the records that the server sends until its Finished."""
        return Protection(self._suite.aead(self._key), self._iv)

    def client_protection(self) -> Protection:
        """For what the client sends before the handshake is complete."""
        parts, digest = self._suite, self._suite.digest
        secret = digest(self._outer + digest(self._inner + self._client_info).digest()).digest()
        padded = secret.ljust(parts.block, b"\x00")
        inner, outer = padded.translate(_INNER), padded.translate(_OUTER)
        key = digest(outer + digest(inner + parts.key).digest()).digest()[: parts.key_length]
        iv = digest(outer + digest(inner + parts.iv).digest()).digest()[:IV_LENGTH]
        return Protection(parts.aead(key), iv)

    def server_finished(self, transcript_hash: bytes) -> bytes:
        """The verify_data that the server's Finished must hold (RFC 8446 section 4.4.4)."""
        parts, digest = self._suite, self._suite.digest
        padded = self._finished.ljust(parts.block, b"\x00")
        return digest(padded.translate(_OUTER) + digest(padded.translate(_INNER) + transcript_hash).digest()).digest()


class Protection:
    """Record protection in one direction: the AEAD, its nonce base and the sequence number."""

    __slots__ = ("_aead", "_iv", "_sequence")

    def __init__(self, aead: Any, iv: bytes) -> None:
        self._aead = aead
        self._iv = int.from_bytes(iv, "big")
        self._sequence = 0

    def decrypt_untrusted(self, header: bytes, body: bytes) -> tuple[int, bytes]:
        """Open one record; returns (inner content type, content). Raises ``DecodeError``."""
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
        """One whole record, header included."""
        inner = content + bytes([content_type])
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self._iv ^ self._sequence).to_bytes(IV_LENGTH, "big")
        self._sequence += 1
        sealed: bytes = self._aead.encrypt(nonce, inner, header)
        return header + sealed
