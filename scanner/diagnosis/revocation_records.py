"""What a finding says of revocation, address by address: the staple, and every answer that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.codec.encode import LONGEST_ANSWER, MAX_ANSWERS
from scanner.codec.json_safe import safe_text
from scanner.diagnosis.case import Case
from scanner.diagnosis.chain_report import report_of
from scanner.diagnosis.parts import part_of
from scanner.model.evidence import RevocationAnswer
from scanner.model.findings import CrlRecord, OcspRecord, RevocationRecord
from scanner.times import moment
from scanner.trust.revocation import answer_bytes
from scanner.trust.verdicts import ChainVerdict

_TIMES: Final = ("this_update", "next_update", "produced_at", "revoked_at")


def revocation_records(case: Case) -> tuple[OcspRecord | None, CrlRecord | None]:
    """Return the fields ``ocsp`` and ``crl`` of one address; ``None`` where there is nothing to say."""
    verdict, flight, answers = case.verdict, case.flight, case.evidence.revocation
    asked = (
        None if verdict is None or not answers else part_of(verdict).revocation.get(answers, _records, verdict, answers)
    )
    ocsp, crl = asked or (None, None)
    if flight is not None and flight.ocsp_response is not None:
        stapled = OcspRecord(stapled=True, bytes=len(flight.ocsp_response))
        report = report_of(case)
        staple = None if report is None else report.staple
        if staple is not None:
            stapled["status"] = staple.status
            stapled.update(_facts(staple))
        if ocsp is not None:
            stapled["answers"] = ocsp["answers"]
        ocsp = stapled
    return ocsp, crl


def _records(verdict: ChainVerdict, answers: Sequence[RevocationAnswer]) -> tuple[OcspRecord | None, CrlRecord | None]:
    """Return what responders and lists said of the certificates of a path."""
    path = {certificate.sha256 for certificate in verdict.path}
    by_source: dict[str, list[RevocationRecord]] = {"ocsp": [], "crl": []}
    for answer in answers:
        if answer.certificate in path:
            by_source[answer.source].append(_record(answer))
    ocsp, crl = by_source["ocsp"], by_source["crl"]
    return OcspRecord(stapled=False, answers=ocsp) if ocsp else None, CrlRecord(answers=crl) if crl else None


@bounded_memo(MAX_ANSWERS, LONGEST_ANSWER, answer_bytes)
def _record(answer: RevocationAnswer) -> RevocationRecord:
    """One answer; nobody changes what is shared by all findings that have it."""
    record = RevocationRecord(certificate=answer.certificate, url=safe_text(answer.url), status=answer.status)
    record.update(_facts(answer))
    if answer.blocked:
        record["blocked"] = True
    return record


def _facts(answer: RevocationAnswer) -> Any:
    """All but what names it: the fields that both records have."""
    facts: dict[str, str] = {}
    for name in _TIMES:
        seconds = getattr(answer, name)
        if seconds is not None:
            facts[name] = moment(seconds)
    for name in ("reason", "responder", "error"):
        words = getattr(answer, name)
        if words is not None:
            facts[name] = safe_text(words)
    return facts
