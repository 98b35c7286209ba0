"""From evidence and verdicts to a diagnosis: every rule asked, nothing said twice, in the order of a connection.

Pure: the same evidence, verdicts and context give the same diagnosis. A rule's word on one address is merged with the
same word on another; a certificate error on any address is an error of the target, since some clients meet it, while
addresses that cannot be reached count only where no other can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import field
from typing import Any, Final

from scanner.diagnosis.case import Case, Claim, Context, flight_of
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.clients import predict
from scanner.diagnosis.healthy import plainly_healthy
from scanner.diagnosis.rules.caa import caa_claims
from scanner.diagnosis.rules.certificate import certificate_claims, expires_soon
from scanner.diagnosis.rules.client_auth import client_auth_claims
from scanner.diagnosis.rules.clock import clock_claims
from scanner.diagnosis.rules.dane import dane_claims
from scanner.diagnosis.rules.dns import dns_claims
from scanner.diagnosis.rules.interception import interception_claims, path_claims
from scanner.diagnosis.rules.names import name_claims
from scanner.diagnosis.rules.negotiation import enumeration_claims, negotiation_claims, server_claims
from scanner.diagnosis.rules.network import connect_claims, partly_unreachable, unreachable
from scanner.diagnosis.rules.reach import reach_claims
from scanner.diagnosis.rules.refusal import legacy_negotiated, refusal_claims
from scanner.diagnosis.rules.revocation import revocation_claims
from scanner.diagnosis.rules.transparency import transparency_claims
from scanner.diagnosis.wording import Wording
from scanner.evidence import Evidence, Failure, Stage, record
from scanner.findings import Cause, DiagnosisRecord, Outcome, Severity
from scanner.pki.certificate import Certificate
from scanner.pki.verdicts import ChainVerdict
from scanner.records import dataclass

__all__ = ["Context", "Diagnosis", "diagnose", "flight_of"]

# Further cases of one code (a second bad certificate, another address) that are told in its evidence.
MAX_FURTHER: Final = 16

_SEVERITY_RANK: Final = {"error": 0, "warning": 1, "note": 2}

# Asked where the first probe came to nothing
_FAILURE_RULES: Final[tuple[Callable[[Case], Iterator[Claim]], ...]] = (connect_claims, refusal_claims)
# What DNS says of the certificate
_DNS_RULES: Final[tuple[Callable[[Case], Iterator[Claim]], ...]] = (dane_claims, caa_claims)
# Asked of every address that said anything
_RULES: Final[tuple[Callable[[Case], Iterator[Claim]], ...]] = (
    server_claims,
    negotiation_claims,
    enumeration_claims,
    client_auth_claims,
    interception_claims,
    clock_claims,
    certificate_claims,
    name_claims,
    revocation_claims,
    transparency_claims,
    *_DNS_RULES,
)


@record
class Diagnosis:
    """The judgement on one target; ``diagnoses`` are in order of precedence.

    ``error`` says why there is no verdict: tlsweep's own failure, or that no address was contacted. The outcome then is
    at least "warn", since a target that was never judged must not count as in order, and no cause of the target's
    is invented for it.
    """

    outcome: Outcome
    stage: Stage
    cause: Cause | None
    diagnoses: list[DiagnosisRecord] = field(default_factory=list)
    clients: dict[str, str] = field(default_factory=dict)
    error: str | None = None


@dataclass(slots=True)
class _Entry:
    """One code as it will stand in the finding."""

    code: str
    severity: Severity
    evidence: dict[str, Any]
    endpoints: list[str]
    further: list[dict[str, Any]]


def diagnose(evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context) -> Diagnosis:
    """Judge one target. ``verdicts`` is parallel to ``evidence.endpoints``; a missing one counts as ``None``."""
    entries: dict[str, _Entry] = {}
    believed = evidence.doubt is None  # else what failed may be this machine's doing; what was seen stands
    for claim in dns_claims(evidence, context) if believed else ():
        _add(entries, claim, None)
    for claim in reach_claims(evidence, context):
        _add(entries, claim, None)
    claims_by_address = _endpoint_claims(evidence, verdicts, context)
    split = partly_unreachable(evidence.endpoints) if believed else None
    if split is not None:
        _add(entries, split, None)
        entries[split.code].endpoints = [e.address for e in evidence.endpoints if unreachable(e)]
    for endpoint, claims in zip(evidence.endpoints, claims_by_address, strict=True):
        if split is not None and unreachable(endpoint):
            continue
        for claim in claims:
            _add(entries, claim, endpoint.address)
    disagreement = None
    if len(evidence.endpoints) > 1:
        disagreement = _disagreement(evidence, claims_by_address)
    if disagreement is not None:
        _add(entries, disagreement, None)
        entries[disagreement.code].endpoints = [e.address for e in evidence.endpoints if not unreachable(e)]
    if not entries and not evidence.endpoints and evidence.bug is None and believed:
        return Diagnosis("warn", Stage.CONNECT, None, error=NOT_CONTACTED)
    if not entries:
        return _nothing_claimed(evidence)
    return _conclude(evidence, entries, context.language)


NOT_CONTACTED: Final = "no address of this target was contacted, so it is not judged"
OWN_FAULT: Final = "tlsweep itself failed on this target, so it is not fully judged; please report this: "
NO_RULE: Final = "no rule for "
DOUBTFUL: Final = "what failed may not be the target's doing, so it is not judged: "


def _endpoint_claims(
    evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context
) -> list[list[Claim]]:
    found = []
    for position, endpoint in enumerate(evidence.endpoints):
        verdict = verdicts[position] if position < len(verdicts) else None
        case = Case(evidence, endpoint, verdict, context)
        claims: list[Claim] = []
        # under a wrong clock even a certificate that is in order is worth a word
        glance = context.fleet.clock.state != "wrong"
        if glance and verdict is not None and verdict.leaf is not None and plainly_healthy(endpoint, verdict):
            found.append(_at_a_glance(case, verdict, verdict.leaf))
            continue
        legacy = legacy_negotiated(case)
        if legacy is not None:
            claims.append(legacy)  # and that is why it came to nothing, if it did
        elif not endpoint.probe.ok and evidence.doubt is None:
            for rule in _FAILURE_RULES:
                claims.extend(rule(case))
        if not unreachable(endpoint):
            for rule in _RULES:
                claims.extend(rule(case))
        found.append(claims)
    if len(found) > 1 or evidence.elsewhere:
        for position, claim in path_claims(evidence, verdicts[: len(found)]):
            found[position].append(claim)
    return found


def _at_a_glance(case: Case, verdict: ChainVerdict, leaf: Certificate) -> list[Claim]:
    """What can be worth a word about an address that is plainly healthy. Rules that have nothing to look at are not asked:
    most of a fleet comes this way."""
    evidence, flight = case.evidence, case.endpoint.probe.flight
    claims = list(expires_soon(case, leaf))
    if evidence.revocation or leaf.must_staple or (flight is not None and flight.ocsp_response is not None):
        claims.extend(revocation_claims(case))
    claims.extend(transparency_claims(case) if verdict.publicly_trusted else interception_claims(case))
    if evidence.dns is not None:
        for rule in _DNS_RULES:
            claims.extend(rule(case))
    return claims


def _add(entries: dict[str, _Entry], claim: Claim, address: str | None) -> None:
    severity = claim.severity or CODES[claim.code].severity
    evidence = dict(claim.evidence)
    entry = entries.get(claim.code)
    if entry is None:
        entries[claim.code] = _Entry(claim.code, severity, evidence, [] if address is None else [address], [])
        return
    if _SEVERITY_RANK[severity] < _SEVERITY_RANK[entry.severity]:
        entry.severity = severity
    if address is not None and address not in entry.endpoints:
        entry.endpoints.append(address)
    if evidence != entry.evidence and len(entry.further) < MAX_FURTHER:
        if address is not None and len(entry.endpoints) > 1:
            evidence = {"address": address, **evidence}
        if evidence not in entry.further:
            entry.further.append(evidence)


def _disagreement(evidence: Evidence, claims: list[list[Claim]]) -> Claim | None:
    """``endpoints-disagree``: addresses that could be reached differ in their certificate or in what is wrong."""
    views: dict[tuple[str | None, tuple[str, ...]], list[str]] = {}
    for endpoint, found in zip(evidence.endpoints, claims, strict=True):
        if unreachable(endpoint) or endpoint.probe.failure is Failure.BUG:
            continue
        flight = flight_of(endpoint)
        leaf = _fingerprint(flight.certificates[0]) if flight is not None and flight.certificates else None
        wrong = sorted({c.code for c in found if (c.severity or CODES[c.code].severity) != "note"})
        views.setdefault((leaf, tuple(wrong)), []).append(endpoint.address)
    if len(views) < 2:
        return None
    views_listed = [
        {"addresses": addresses, "certificate": leaf, "codes": list(codes)}
        for (leaf, codes), addresses in views.items()
    ]
    differences = {
        " and ".join(addresses): (", ".join(codes) or "in order") + (f" (certificate {leaf[:8]})" if leaf else "")
        for (leaf, codes), addresses in views.items()
    }
    total = sum(len(addresses) for addresses in views.values())
    return Claim("endpoints-disagree", {"total": total, "views": views_listed, "differences": differences})


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


def _error(evidence: Evidence) -> str | None:
    if evidence.bug is not None:
        return OWN_FAULT + evidence.bug
    if evidence.doubt is not None:
        return DOUBTFUL + evidence.doubt
    for endpoint in evidence.endpoints:
        if endpoint.probe.failure is Failure.BUG:
            return OWN_FAULT + (endpoint.probe.detail or "no details")
    return None


def _nothing_claimed(evidence: Evidence) -> Diagnosis:
    error = _error(evidence)
    unfinished = next((endpoint.probe for endpoint in evidence.endpoints if not endpoint.probe.ok), None)
    if error is None and unfinished is None:
        return Diagnosis("ok", Stage.DONE, None)
    stage = _reached(evidence) if unfinished is None else unfinished.stage
    return Diagnosis("warn", stage, None, error=error or f"{OWN_FAULT}{NO_RULE}{unfinished and unfinished.failure}")


def _reached(evidence: Evidence) -> Stage:
    if evidence.endpoints:
        return evidence.endpoints[-1].probe.stage
    return Stage.DNS if evidence.dns is None else Stage.CONNECT


def _conclude(evidence: Evidence, entries: dict[str, _Entry], language: str) -> Diagnosis:
    ordered = sorted(entries.values(), key=lambda entry: rank(entry.code))
    first = next((entry for entry in ordered if entry.severity == "error"), None)
    error = _error(evidence)
    outcome: Outcome = "ok"
    if first is not None:
        outcome = "fail"
    elif error is not None or any(entry.severity == "warning" for entry in ordered):
        outcome = "warn"
    stage = Stage.DONE
    if first is not None:
        stage = CODES[first.code].stage
    elif error is not None:
        stage = _reached(evidence)
    records = [_record(evidence, entry, language) for entry in ordered]
    clients = {} if outcome == "ok" else predict(evidence.target, records)
    cause = None if first is None else CODES[first.code].cause
    return Diagnosis(outcome, stage, cause, records, clients, error)


def _record(evidence: Evidence, entry: _Entry, language: str) -> DiagnosisRecord:
    proof = entry.evidence
    resolver = None if evidence.dns is None else evidence.dns.resolver
    words = Wording(evidence.target, entry.endpoints[0] if entry.endpoints else None, resolver, language=language)
    if entry.further:
        proof = {**proof, "also": entry.further}
    record = DiagnosisRecord(
        code=entry.code,
        cause=CODES[entry.code].cause,
        severity=entry.severity,
        summary=words.summary(entry.code, entry.evidence),
        evidence=proof,
        remedy=words.remedy(entry.code, entry.evidence),
    )
    confirm = words.confirm(entry.code, entry.evidence)
    if confirm is not None:
        record["confirm"] = confirm
    if entry.endpoints:
        record["endpoints"] = entry.endpoints
    return record
