"""Whether a TLSA record matches what was sent (RFC 6698, RFC 7671); asked only where DNSSEC secures the records."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Final

from scanner.diagnosis.case import Case
from scanner.diagnosis.claim import Claim
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

PKIX_TA: Final = 0
PKIX_EE: Final = 1
DANE_TA: Final = 2
DANE_EE: Final = 3

_SELECT: Final[dict[int, Callable[[Certificate], bytes]]] = {
    0: lambda certificate: certificate.der,
    1: lambda certificate: certificate.spki_der,
}
_MATCH: Final[dict[int, Callable[[bytes], bytes]]] = {
    0: lambda data: data,
    1: lambda data: hashlib.sha256(data).digest(),
    2: lambda data: hashlib.sha512(data).digest(),
}


def dane_claims(case: Case) -> Iterator[Claim]:
    """Yield ``dane-mismatch`` if usable and secure records exist and none matches."""
    answer, verdict = case.evidence.dns, case.verdict
    if answer is None or not answer.authenticated or not answer.tlsa or verdict is None or not verdict.sent:
        return
    usable = [
        record
        for record in answer.tlsa
        if PKIX_TA <= record[0] <= DANE_EE and record[1] in _SELECT and record[2] in _MATCH and record[3]
    ]
    # Records that no client can use count as none (RFC 7671 section 4).
    if not usable or any(_matches(record, verdict) is not False for record in usable):
        return
    yield Claim(
        "dane-mismatch",
        {
            "owner": f"_{case.target.port}._tcp.{case.target.host}",
            "records_count": len(usable),
            "records": [
                {"usage": usage, "selector": selector, "matching_type": matching, "data": data.hex()}
                for usage, selector, matching, data in usable
            ],
            "spki_sha256": [
                hashlib.sha256(certificate.spki_der).hexdigest()
                for certificate in verdict.sent
                if certificate is not None
            ],
        },
    )


def _matches(record: tuple[int, int, int, bytes], verdict: ChainVerdict) -> bool | None:
    """Return whether a record matches; ``None`` if that cannot be decided, since an anchor is known by its hash alone."""
    usage, selector, matching, data = record
    if usage in (PKIX_EE, DANE_EE):
        return verdict.leaf is not None and _same(verdict.leaf, selector, matching, data)
    authorities = [certificate for certificate in verdict.sent[1:] if certificate is not None]
    if any(_same(certificate, selector, matching, data) for certificate in authorities):
        return True
    if usage == DANE_TA:
        # The anchor must be sent, or be in the record itself (RFC 7671 section 5.2.2).
        return None if matching == 0 else False
    sent = {certificate.sha256 for certificate in verdict.sent if certificate is not None}
    unseen = {sha256 for store in verdict.stores.values() for sha256 in store.path if sha256 not in sent}
    if selector == 0 and matching == 1:
        return data.hex() in unseen
    return None if unseen else False


def _same(certificate: Certificate, selector: int, matching: int, data: bytes) -> bool:
    return _MATCH[matching](_SELECT[selector](certificate)) == data
