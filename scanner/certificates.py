"""Each distinct certificate of a run, described once: what the ``--certificates`` file holds."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from scanner.diagnosis.case import flight_of
from scanner.evidence import Evidence
from scanner.findings import CertificateRecord
from scanner.pki.certificate import Certificate, CertificateError, describe, describe_malformed
from scanner.pki.verdicts import ChainVerdict
from scanner.text import printable


def not_met_before(
    evidence: Evidence, verdicts: Sequence[ChainVerdict | None], known: set[bytes]
) -> Iterator[tuple[bytes, CertificateRecord]]:
    """(SHA-256, description with DER) of each certificate that was sent and is not in ``known``, which then holds it.

    ``verdicts`` is parallel to ``evidence.endpoints``.
    """
    for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=True):
        flight = flight_of(endpoint)
        if flight is None or verdict is None:
            continue
        for der, certificate in zip(flight.certificates, verdict.sent, strict=True):
            digest = hashlib.sha256(der).digest()
            if digest not in known:
                known.add(digest)
                if certificate is not None:
                    yield digest, describe(certificate, with_der=True)
                else:
                    yield digest, _malformed(der)


def _malformed(der: bytes) -> CertificateRecord:
    try:
        Certificate.parse_untrusted(der)
    except CertificateError as error:
        record = describe_malformed(der, printable(str(error)))
    else:
        record = describe_malformed(der, "cannot be used")
    record["der"] = base64.b64encode(der).decode()
    return record
