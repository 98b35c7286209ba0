"""Certificates of findings, deduplicated: described once in each finding, and with their DER once in each output."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterable
from typing import Any, Final

import orjson

from scanner.caching import Cache, given_size
from scanner.codec.json_safe import safe_text
from scanner.errors import describe_caught
from scanner.model.findings import CertificateRecord, CertificateSource
from scanner.x509.certificate import Certificate, CertificateError, describe, describe_malformed

# Enough for all intermediates in use and some shared leaves: issuers repeat on every host, leaves do not.
FRAGMENTS_KEPT: Final = 4096
MAX_FRAGMENTS_BYTES: Final = 16 << 20
# Of one entry, beside its JSON
FRAGMENT_BYTES: Final = 250


class Fragments:
    """The certificates that one output has already: their first record has the DER, later ones are JSON kept without it.

    Findings made with it have ``orjson.Fragment``s among their ``certificates``, so they can only be written, and must be
    written in the order in which they were made. It is bounded: a certificate not met for very long is written with its DER
    once more.
    """

    __slots__ = ("_kept",)

    def __init__(self, limit: int = FRAGMENTS_KEPT) -> None:
        # with the estimated size of each
        self._kept: Cache[str, tuple[orjson.Fragment, int]] = Cache(
            limit, MAX_FRAGMENTS_BYTES, given_size, on_second_put=True
        )

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, certificate: Certificate) -> orjson.Fragment | CertificateRecord:
        """Return the record of ``certificate``: JSON without its DER if it was met before."""
        known = self._kept.get(certificate.sha256)
        if known is not None:
            return known[0]
        met = self._kept.put_lazy(certificate.sha256, lambda: _fragment(certificate))
        return describe(certificate, with_der=not met)


def _fragment(certificate: Certificate) -> tuple[orjson.Fragment, int]:
    written = orjson.dumps(describe(certificate))
    return orjson.Fragment(written), len(written) + FRAGMENT_BYTES


class Certificates:
    """The certificates of one finding. Add those that a server sent first: they get no ``source``."""

    __slots__ = ("_fragments", "_records")

    def __init__(self, fragments: Fragments | None) -> None:
        self._fragments = fragments
        self._records: dict[str, CertificateRecord] = {}

    def records(self) -> list[CertificateRecord]:
        """Return all records in the order in which they were added."""
        return list(self._records.values())

    def sent(self, certificate: Certificate) -> str:
        """Add a certificate that was sent. Return its SHA-256."""
        self.all_sent((certificate,))
        return certificate.sha256

    def all_sent(self, certificates: Iterable[Certificate]) -> None:
        """Add certificates that were sent."""
        records, fragments = self._records, self._fragments
        for certificate in certificates:
            if certificate.sha256 not in records:
                record: Any = describe(certificate, with_der=True) if fragments is None else fragments.of(certificate)
                records[certificate.sha256] = record

    def sent_bytes(self, data: bytes) -> str:
        """Add what was sent as a certificate, whether or not it is one. Return its SHA-256."""
        try:
            return self.sent(Certificate.parse_untrusted(data))
        except CertificateError as error:
            why = str(error)
        except BaseException as error:  # noqa: BLE001 - our own bug costs the description, not the certificate
            why = f"tlsweep cannot read it; {describe_caught('a bug', error)}"
        malformed = describe_malformed(data, safe_text(why))
        malformed["der"] = b2a_base64(data, newline=False).decode("ascii")
        return self._records.setdefault(malformed["sha256"], malformed)["sha256"]

    def further(self, certificate: Certificate, source: CertificateSource) -> str:
        """Add a certificate that no server sent in its first flight, but that this finding needs. Return its SHA-256."""
        sha256 = certificate.sha256
        if sha256 not in self._records:
            met: Any = None if self._fragments is None else self._fragments.of(certificate)
            record = describe(certificate, with_der=met is None or (isinstance(met, dict) and "der" in met)).copy()
            record["source"] = source
            self._records[sha256] = record
        return sha256

    def further_bytes(self, data: bytes, source: CertificateSource) -> str:
        """Add bytes, which need not be a certificate, that no server sent in its first flight. Return their SHA-256."""
        try:
            return self.further(Certificate.parse_untrusted(data), source)
        except BaseException as error:  # noqa: BLE001 - as above, which says why
            describe_caught("certificate", error)
            return self.sent_bytes(data)
