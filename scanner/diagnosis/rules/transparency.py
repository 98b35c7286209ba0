"""Rules on Certificate Transparency: what Chrome and Apple make of a publicly trusted certificate's SCTs.

Only browsers ask for SCTs, so to other protocols it is a note. What hangs on the moment, on logs and policies, is said of a
certificate that is valid then: an expired one's logs are closed, which is no fault of anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scanner.diagnosis.case import Case, Claim, flight_of
from scanner.model.findings import SctRecord, Severity
from scanner.times import DAY, moment
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import JudgedSct, TransparencyVerdict, sct_record, unjudged


def transparency_of(case: Case) -> TransparencyVerdict | None:
    """The judgement on this address's certificate; ``None`` where it is not held to public rules."""
    verdict, transparency = case.verdict, case.context.transparency
    if verdict is None or transparency is None or not verdict.publicly_trusted:
        return None
    leaf, flight = verdict.leaf, flight_of(case.endpoint)
    if leaf is None or flight is None or len(verdict.path) < 2:
        return None
    # without an issuer whose signature verifies nothing inside the certificate can be verified either
    issuer = issuer_of_leaf(verdict)
    return transparency.evaluate(leaf, issuer, at=case.context.at, tls=flight.scts, staple=flight.ocsp_response)


def sct_records(case: Case) -> list[SctRecord]:
    """The SCTs of this address as its finding shows them."""
    judged = transparency_of(case)
    if judged is not None:
        return judged.records
    flight = flight_of(case.endpoint)
    return unjudged(flight.scts) if flight is not None and flight.scts else []


def transparency_claims(case: Case) -> Iterator[Claim]:
    """``no-scts``, ``too-few-scts``, ``unknown-log``, ``log-retired`` and ``sct-invalid``."""
    if not case.context.public:
        return
    judged = transparency_of(case)
    if judged is None or case.verdict is None or case.verdict.leaf is None:
        return
    leaf, at = case.verdict.leaf, case.context.at
    current = leaf.not_before <= at <= leaf.not_after
    if current and judged.satisfied and all(item.status == "valid" for item in judged.scts):
        return  # as most are
    common = _common(case, judged)
    if not judged.scts:
        yield Claim("no-scts", common, _severity(case, judged, "error"))
        return
    if any(item.status == "unverified" for item in judged.scts):
        return  # nobody knows who issued it, which is said elsewhere
    refused = not judged.satisfied
    if current and refused:
        yield Claim("too-few-scts", {**_shortage(judged), **common}, _severity(case, judged, "error"))
    if current:
        unknown = [item for item in judged.scts if item.status == "unknown-log"]
        if unknown:
            yield Claim("unknown-log", {**_logs(unknown), **common}, _severity(case, judged, "warning"))
        out_of_use = [item for item in judged.scts if not _counts(item, judged)]
        if out_of_use:
            # an SCT more, of a log that is not in use yet, does no harm
            early = all(item.log is None or item.log.state in (None, "pending") for item in out_of_use)
            worst: Severity = "note" if early and judged.satisfied else "warning"
            yield Claim("log-retired", {**_logs(out_of_use), **common}, _severity(case, judged, worst))
    invalid = [
        item
        for item in judged.scts
        if item.status == "unreadable" or (item.status == "invalid" and (current or not item.verified))
    ]
    if invalid:
        # browsers pass over what they cannot verify, and count the rest
        worst = "error" if refused else "warning"
        yield Claim("sct-invalid", {**_logs(invalid), **common}, _severity(case, judged, worst))


def _counts(item: JudgedSct, judged: TransparencyVerdict) -> bool:
    """Nothing is to be said about its log: it is in use, or was when it signed, or another code tells of it."""
    if item.status == "not-accepted" or item.status == "outside":
        return False
    if item.status != "retired" or item.log is None or item.sct is None:
        return True
    if judged.satisfied and item.log.since is not None and item.source == "certificate":
        return item.sct.time < item.log.since
    return False


def _severity(case: Case, judged: TransparencyVerdict, worst: Severity) -> Severity:
    if not case.browsers:
        return "note"
    return "warning" if worst == "error" and (judged.damaged or not judged.certain) else worst


def _shortage(judged: TransparencyVerdict) -> dict[str, Any]:
    refusing = []
    if judged.chrome.complies is False:
        refusing.append("Chrome")
        # Firefox counts as Chrome does; that it takes none from staples is not known
        if not any(item.source == "staple" and item.verified for item in judged.scts):
            refusing.append("Firefox")
    if judged.apple.complies is False:
        refusing.append("Safari")
    policy = judged.chrome if judged.chrome.complies is False else judged.apple
    reason = policy.reason
    if "Chrome" in refusing and "Safari" in refusing and judged.apple.reason != reason:
        reason = f"Chrome: {reason}; Safari: {judged.apple.reason}"
    return {"refused_by": refusing, "count": policy.count, "needed": policy.needed, "reason": reason}


def _logs(items: Sequence[JudgedSct]) -> dict[str, Any]:
    """The first of some SCTs in fields of its own, for the sentence; all of them stand in ``scts``."""
    first = sct_record(items[0])
    names = [shown["log"] or shown["log_id"] for shown in map(sct_record, items)]
    return {
        "log": first["log"],
        "log_id": first["log_id"],
        "reason": items[0].why,
        "logs": [name for name in names if name is not None],
    }


def _common(case: Case, judged: TransparencyVerdict) -> dict[str, Any]:
    verdict = case.verdict
    assert verdict is not None and verdict.leaf is not None
    leaf = verdict.leaf
    facts: dict[str, Any] = {
        "certificate": leaf.sha256,
        "subject": leaf.subject or "(empty subject)",
        "issuer": leaf.issuer or "(empty issuer)",
        "lifetime_days": round((leaf.not_after - leaf.not_before) / DAY, 1),
        "scts": [{key: value for key, value in record.items() if key != "raw"} for record in judged.records],
        "chrome": judged.chrome.as_json(),
        "apple": judged.apple.as_json(),
        "log_list": None if judged.list_made is None else moment(judged.list_made),
    }
    if not judged.certain:
        facts["log_list_too_old"] = True
    if judged.damaged:
        facts["log_list_damaged"] = True
    return facts
