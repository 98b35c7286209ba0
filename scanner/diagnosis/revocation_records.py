"""What a finding says of revocation, address by address: the staple, and every answer that was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.codec.encode import LONGEST_ANSWER, MAX_ANSWERS
from scanner.codec.json_safe import safe_text
from scanner.diagnosis.case import Case, Context, flight_of
from scanner.diagnosis.rules.revocation import staple_of
from scanner.model.evidence import EndpointEvidence, Evidence, RevocationAnswer
from scanner.model.findings import CrlRecord, OcspRecord, RevocationRecord
from scanner.times import moment
from scanner.trust.revocation import answer_bytes
from scanner.trust.verdicts import ChainVerdict

_TIMES: Final = ("this_update", "next_update", "produced_at", "revoked_at")


def revocation_records(
    evidence: Evidence, endpoint: EndpointEvidence, verdict: ChainVerdict | None, context: Context | None
) -> tuple[OcspRecord | None, CrlRecord | None]:
    """The fields ``ocsp`` and ``crl`` of one address; ``None`` where there is nothing to say.

    Without a context the staple is counted and not judged.
    """
    flight = flight_of(endpoint)
    answers: list[RevocationAnswer] = []
    if evidence.revocation and verdict is not None:
        path = {certificate.sha256 for certificate in verdict.path}
        answers = [answer for answer in evidence.revocation if answer.certificate in path]
    ocsp: OcspRecord | None = None
    if flight is not None and flight.ocsp_response is not None:
        ocsp = OcspRecord(stapled=True, bytes=len(flight.ocsp_response))
        if context is not None and context.revocation != "off" and verdict is not None:
            staple = staple_of(Case(evidence, endpoint, verdict, context), verdict)
            if staple is not None:
                ocsp["status"] = staple.status
                ocsp.update(_facts(staple))
    asked = _records(answer for answer in answers if answer.source == "ocsp")
    if asked:
        ocsp = ocsp or OcspRecord(stapled=False)
        ocsp["answers"] = asked
    listed = _records(answer for answer in answers if answer.source == "crl")
    return ocsp, CrlRecord(answers=listed) if listed else None


def _records(answers: Iterable[RevocationAnswer]) -> list[RevocationRecord]:
    return [_record(answer) for answer in answers]


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
