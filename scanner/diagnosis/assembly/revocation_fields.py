"""What a finding says of revocation, address by address: the staple, and every answer that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from scanner.caching import bounded_memo
from scanner.codec.encode import LONGEST_ANSWER, MAX_ANSWERS
from scanner.codec.json_safe import safe_text
from scanner.model.evidence import RevocationAnswer
from scanner.model.findings import CrlRecord, EndpointRecord, OcspRecord, RevocationRecord
from scanner.times import moment
from scanner.trust.revocation import answer_bytes
from scanner.trust.verdicts import ChainVerdict

_TIMES: Final = ("this_update", "next_update", "produced_at", "revoked_at")


def revocation_fields(
    verdict: ChainVerdict | None,
    answers: Sequence[RevocationAnswer],
    stapled: bytes | None,
    staple: RevocationAnswer | None,
) -> EndpointRecord:
    """Return the fields ``ocsp`` and ``crl`` of an address, as far as there is something to say: what was ``stapled``, what the
    ``staple`` is worth, what ``answers`` say of the certificates of the path."""
    path = set() if verdict is None or not answers else {certificate.sha256 for certificate in verdict.path}
    by_source: dict[str, list[RevocationRecord]] = {"ocsp": [], "crl": []}
    for answer in answers:
        if answer.certificate in path:
            by_source[answer.source].append(_record(answer))
    fields = cast(EndpointRecord, {})
    if stapled is not None:
        fields["ocsp"] = OcspRecord(stapled=True, bytes=len(stapled))
        if staple is not None:
            fields["ocsp"]["status"] = staple.status
            fields["ocsp"].update(_facts(staple))
    if by_source["ocsp"]:
        fields.setdefault("ocsp", OcspRecord(stapled=False))["answers"] = by_source["ocsp"]
    if by_source["crl"]:
        fields["crl"] = CrlRecord(answers=by_source["crl"])
    return fields


@bounded_memo(MAX_ANSWERS, LONGEST_ANSWER, answer_bytes)
def _record(answer: RevocationAnswer) -> RevocationRecord:
    """Return the record of one answer. It is in all findings that have the answer, and not to be changed."""
    record = RevocationRecord(certificate=answer.certificate, url=safe_text(answer.url), status=answer.status)
    record.update(_facts(answer))
    if answer.blocked:
        record["blocked"] = True
    return record


def _facts(answer: RevocationAnswer) -> Any:
    """Return the fields that the records of staples and of answers have in common."""
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
