"""CA certificates that a browser's own list blocks, whatever their issuer still says of them (Mozilla's OneCRL).

The list holds truncated hashes of what it names, so it is small and says nothing by itself.
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
    """How the list names a certificate by its issuer (DER of the Name) and serial number (hex)."""
    return hashlib.sha256(b"serial\0" + issuer + b"\0" + serial.lower().lstrip("0").encode()).digest()[:DIGEST_BYTES]


def key_entry(subject: bytes, spki: bytes) -> bytes:
    """How the list names every certificate of one authority: its subject (DER of the Name), SHA-256 of its key (DER)."""
    return hashlib.sha256(b"key\0" + subject + b"\0" + spki).digest()[:DIGEST_BYTES]


class Blocklist:
    """A set of blocked CA certificates; ``name`` is whose list it is."""

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
    """The shipped copy of Mozilla's OneCRL."""
    data = shipped("onecrl.bin")
    body = data.removeprefix(MAGIC)
    return Blocklist("OneCRL", frozenset(body[at : at + DIGEST_BYTES] for at in range(0, len(body), DIGEST_BYTES)))
