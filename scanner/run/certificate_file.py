"""The records of the ``--certificates`` file: each distinct certificate of a run, once, with its DER."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence

from scanner.diagnosis.case import flight_of
from scanner.errors import describe_caught
from scanner.model.evidence import Evidence
from scanner.model.findings import CertificateRecord
from scanner.text import printable
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate, CertificateError, describe, describe_malformed


def new_certificates(
    evidence: Evidence, verdicts: Sequence[ChainVerdict | None], known: set[bytes]
) -> Iterator[tuple[bytes, CertificateRecord]]:
    """Yield (SHA-256, record) of each certificate that was sent and is not in ``known``, and add it there.

    ``verdicts`` is parallel to ``evidence.endpoints``.
    """
    for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=False):
        flight = flight_of(endpoint)
        if flight is None or verdict is None:
            continue
        for der, certificate in zip(flight.leaf_first, verdict.sent, strict=False):
            digest = hashlib.sha256(der).digest()
            if digest not in known:
                known.add(digest)
                yield digest, _described(der, certificate)


def _described(der: bytes, certificate: Certificate | None) -> CertificateRecord:
    try:
        if certificate is not None:
            return describe(certificate, with_der=True)
        Certificate.parse_untrusted(der)
    except CertificateError as error:
        record = describe_malformed(der, printable(str(error)))
    except BaseException as error:  # noqa: BLE001 - our own bug costs the description, never the run
        record = describe_malformed(der, f"tlsweep cannot describe it: {printable(describe_caught('bug', error))}")
    else:
        record = describe_malformed(der, "cannot be used")
    record["der"] = base64.b64encode(der).decode()
    return record
