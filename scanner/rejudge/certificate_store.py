"""Certificates by fingerprint: in memory up to a limit, in a temporary SQLite database beyond it."""

from __future__ import annotations

import hashlib
import sqlite3
from typing import Final

from scanner.errors import TlsweepError

# Some 50,000 certificates; a larger fleet's go to disk.
MEMORY_BYTES: Final = 64 << 20


class CertificateStoreError(TlsweepError):
    """The temporary database cannot be written or read."""


class CertificateStore:
    """DER by SHA-256, as a context that removes what is on disk at its end."""

    def __init__(self, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._left = memory_bytes
        self._kept: dict[bytes, bytes] = {}
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> CertificateStore:
        return self

    def __exit__(self, *_: object) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def put(self, der: bytes) -> None:
        """Store a certificate. Raises ``CertificateStoreError``."""
        digest = hashlib.sha256(der).digest()
        if digest in self._kept:
            return
        if len(der) <= self._left:
            self._left -= len(der)
            self._kept[digest] = der
            return
        self._left = 0  # so that small certificates are not kept while large ones are not
        try:
            if self._database is None:
                self._database = _temporary()
            self._database.execute("INSERT OR IGNORE INTO certificates VALUES (?, ?)", (digest, der))
        except sqlite3.Error as error:
            raise CertificateStoreError(
                f"cannot keep certificates in the directory for temporary files: {error}"
            ) from None

    def get(self, sha256: str) -> bytes | None:
        """Return the certificate with this SHA-256 (hex), if it is stored."""
        try:
            digest = bytes.fromhex(sha256)
        except ValueError:
            return None
        der = self._kept.get(digest)
        if der is not None or self._database is None:
            return der
        try:
            row = self._database.execute("SELECT der FROM certificates WHERE sha256 = ?", (digest,)).fetchone()
        except sqlite3.Error as error:
            raise CertificateStoreError(f"cannot read back certificates that were kept: {error}") from None
        return None if row is None else bytes(row[0])


def _temporary() -> sqlite3.Connection:
    # without a name SQLite makes a file that is deleted when it is closed or the process ends
    database = sqlite3.connect("", isolation_level=None)
    database.executescript(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
        "CREATE TABLE certificates (sha256 BLOB PRIMARY KEY, der BLOB NOT NULL) WITHOUT ROWID; BEGIN;"
    )
    return database
