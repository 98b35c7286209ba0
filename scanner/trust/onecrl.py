"""CA certificates that a browser's own list blocks, whether or not their issuer has revoked them (Mozilla's OneCRL).

The list has truncated hashes, so it is small, and certificates can be checked against it but not read from it.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Final

from scanner.shipped import shipped
from scanner.x509.certificate import Certificate

MAGIC: Final = b"tlsweep-blocked/1\n"
# Bytes of each hash: at 2,000 entries a chance of one in 10^28 that an innocent certificate is hit.
DIGEST_BYTES: Final = 16


def serial_entry(issuer: bytes, serial: str) -> bytes:
    """Return the entry of a certificate by its issuer (DER of the Name) and serial number (hex)."""
    return hashlib.sha256(b"serial\0" + issuer + b"\0" + serial.lower().lstrip("0").encode()).digest()[:DIGEST_BYTES]


def key_entry(subject: bytes, spki: bytes) -> bytes:
    """Return the entry of all certificates of an authority: by its subject (DER) and the SHA-256 of its key (DER)."""
    return hashlib.sha256(b"key\0" + subject + b"\0" + spki).digest()[:DIGEST_BYTES]


class Blocklist:
    """A set of blocked CA certificates; ``name`` is the name of the list."""

    def __init__(self, name: str, entries: frozenset[bytes]) -> None:
        self.name = name
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, certificate: Certificate) -> bool:
        return (
            serial_entry(certificate.issuer_der, certificate.serial) in self._entries
            or key_entry(certificate.subject_der, hashlib.sha256(certificate.spki_der).digest()) in self._entries
        )


@cache
def onecrl() -> Blocklist:
    """Return the shipped copy of Mozilla's OneCRL."""
    data = shipped("onecrl.bin")
    body = data.removeprefix(MAGIC)
    return Blocklist("OneCRL", frozenset(body[at : at + DIGEST_BYTES] for at in range(0, len(body), DIGEST_BYTES)))
