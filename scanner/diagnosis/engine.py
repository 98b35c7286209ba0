"""From evidence and verdicts to a diagnosis: every rule asked, nothing said twice, in the order of a connection.

Pure: the same evidence, verdicts and context give the same diagnosis. A rule's word on one address is merged with the
same word on another; a certificate error on any address is an error of the target, since some clients meet it, while
addresses that cannot be reached count only where no other can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.diagnosis.case import Case, Context, flight_of
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.parts import ChainSetting, part_of
from scanner.diagnosis.rules.caa import caa_claims
from scanner.diagnosis.rules.certificate import certificate_claims
from scanner.diagnosis.rules.client_auth import client_auth_claims
from scanner.diagnosis.rules.clock import clock_claims
from scanner.diagnosis.rules.dane import dane_claims
from scanner.diagnosis.rules.dns import dns_claims
from scanner.diagnosis.rules.interception import interception_claims, path_claims
from scanner.diagnosis.rules.names import name_claims
from scanner.diagnosis.rules.negotiation import (
    comparison_claims,
    enumeration_claims,
    group_claims,
    key_claims,
    server_claims,
)
from scanner.diagnosis.rules.network import connect_claims, partly_unreachable, unreachable
from scanner.diagnosis.rules.reach import reach_claims
from scanner.diagnosis.rules.refusal import legacy_claims, refusal_claims
from scanner.diagnosis.rules.revocation import revocation_claims
from scanner.diagnosis.rules.transparency import transparency_claims
from scanner.diagnosis.wording import Wording
from scanner.errors import describe_caught, joined
from scanner.model.evidence import Evidence, Failure, Stage
from scanner.model.findings import Cause, DiagnosisRecord, Outcome, Severity
from scanner.tls.offers import RSA_KX
from scanner.trust.verdicts import ChainVerdict

__all__ = ["Context", "Diagnosis", "diagnose", "flight_of"]

# Further cases of one code (a second bad certificate, another address) that are told in its evidence.
MAX_FURTHER: Final = 16

_SEVERITY_RANK: Final = {"error": 0, "warning": 1, "note": 2}

Rule = Callable[[Case], Iterable[Claim]]

# Rules by what they look at; each set is asked where there is such a thing.
# What the server chose: asked once for each negotiation.
_OF_NEGOTIATION: Final = (group_claims,)
# The certificates that came, at a moment: asked once for each chain and second.
_OF_CHAIN: Final = (certificate_claims,)
# A first connection that came to nothing.
_OF_FAILURE: Final[tuple[Rule, ...]] = (connect_claims, refusal_claims)
# A flight, and the verdict on its certificates.
_OF_FLIGHT: Final[tuple[Rule, ...]] = (server_claims, key_claims, revocation_claims, transparency_claims)
# Certificates that no public CA vouches for, or that are not for the name.
_OF_STRANGERS: Final[tuple[Rule, ...]] = (interception_claims, name_claims)
# Further connections, and handshakes that were completed.
_OF_ANSWERS: Final[tuple[Rule, ...]] = (comparison_claims, enumeration_claims, client_auth_claims)
# What the fleet says of our clock.
_OF_CLOCK: Final[tuple[Rule, ...]] = (clock_claims,)
# What DNS says of the certificate.
_OF_DNS_RECORDS: Final[tuple[Rule, ...]] = (dane_claims, caa_claims)


class Diagnosis(Struct, frozen=True):
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


class _Entry(Struct):
    """One code as it will stand in the finding."""

    code: str
    severity: Severity
    evidence: dict[str, Any]
    endpoints: list[str]
    further: list[dict[str, Any]]


def diagnose(evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context) -> Diagnosis:
    """Judge one target. ``verdicts`` is parallel to ``evidence.endpoints``; a missing one counts as ``None``."""
    entries: dict[str, _Entry] = {}
    failed: list[str] = []
    believed = evidence.doubt is None  # else what failed may be this machine's doing; what was seen stands
    of_target: list[Claim] = []
    if believed:
        _ask(of_target, failed, dns_claims, evidence, context)
    if context.fleet.revocation_blocked is not None:
        _ask(of_target, failed, reach_claims, evidence, context)
    for claim in of_target:
        _add(entries, claim, None)
    cases = [
        Case(evidence, endpoint, verdicts[place] if place < len(verdicts) else None, context)
        for place, endpoint in enumerate(evidence.endpoints)
    ]
    claims_by_address = _claims_by_address(cases, failed)
    split = partly_unreachable(evidence.endpoints) if believed and len(cases) > 1 else None
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
        try:
            disagreement = _disagreement(evidence, claims_by_address)
        except BaseException as error:  # noqa: BLE001 - a bug in comparing them costs the comparison
            failed.append(describe_caught("endpoints-disagree", error))
    if disagreement is not None:
        _add(entries, disagreement, None)
        entries[disagreement.code].endpoints = [e.address for e in evidence.endpoints if not unreachable(e)]
    if not entries and not evidence.endpoints and evidence.bug is None and not failed and believed:
        return Diagnosis("warn", Stage.CONNECT, None, error=NOT_CONTACTED)
    if not entries:
        return _nothing_claimed(evidence, failed)
    return _conclude(evidence, entries, context.language, failed)


def diagnose_certificates(evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context) -> Diagnosis:
    """The diagnosis by the judges' verdicts on certificates and names alone, where ``diagnose`` itself has failed."""
    records: dict[str, DiagnosisRecord] = {}
    for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=False):
        for claim in [] if verdict is None else _plain_claims(verdict):
            record = _without_words(claim.code, claim.severity or CODES[claim.code].severity, dict(claim.evidence), [])
            records.setdefault(claim.code, record).setdefault("endpoints", []).append(endpoint.address)
    ordered = sorted(records.values(), key=lambda record: rank(record["code"]))
    first = next((record for record in ordered if record["severity"] == "error"), None)
    if first is None:
        return Diagnosis("warn", _reached(evidence), None, ordered)
    return Diagnosis("fail", CODES[first["code"]].stage, first["cause"], ordered)


def not_fully_judged(diagnosis: Diagnosis, failed: Sequence[str]) -> Diagnosis:
    """The same diagnosis, with what of the judgement has failed in its ``error``; it is not in order then."""
    error = diagnosis.error
    if error is None:
        error = OWN_FAULT + _judging(failed)
    else:
        error = f"{error}; {_judging(failed)}"
    return replace(diagnosis, error=error, outcome="warn" if diagnosis.outcome == "ok" else diagnosis.outcome)


NOT_CONTACTED: Final = "no address of this target was contacted, so it is not judged"
OWN_FAULT: Final = "tlsweep itself failed on this target, so it is not fully judged; please report this: "
NO_RULE: Final = "no rule for "
DOUBTFUL: Final = "what failed may not be the target's doing, so it is not judged: "
# Begins, in ``error``, each fault that another judgement of the same evidence may not have.
JUDGING: Final = "judging: "


def _judging(failed: Sequence[str]) -> str:
    return "; ".join(JUDGING + each for each in dict.fromkeys(failed))


def _ask(claims: list[Claim], failed: list[str], rule: Callable[..., Iterable[Claim]], *about: Any) -> None:
    """Add what a rule answers to ``claims``; a bug in it costs the rest of its answers, and is noted in ``failed``."""
    try:
        claims.extend(rule(*about))
    except BaseException as error:  # noqa: BLE001 - our own bug costs one rule, never the judgement
        failed.append(describe_caught(rule.__name__, error))


def _plain_claims(verdict: ChainVerdict) -> list[Claim]:
    """What the judges say of the leaf, of the paths where no store has one, and of the name, as it stands."""
    problems = list(verdict.leaf_problems)
    if not verdict.trusted:
        problems += [problem for store in verdict.stores.values() for problem in store.problems]
    claims = {problem.code: Claim(problem.code, problem.evidence) for problem in problems}
    if verdict.name is not None and verdict.name.code is not None:
        claims.setdefault(verdict.name.code, Claim(verdict.name.code, {"nearest": list(verdict.name.nearest)}))
    return list(claims.values())


def _claims_by_address(cases: Sequence[Case], failed: list[str]) -> list[list[Claim]]:
    found = [_claims_of_address(case, failed) for case in cases]
    if len(cases) > 1 or (cases and cases[0].evidence.elsewhere):
        try:
            for position, claim in path_claims(cases[0].evidence, [case.verdict for case in cases]):
                found[position].append(claim)
        except BaseException as error:  # noqa: BLE001 - a bug in comparing the paths costs the comparison
            failed.append(describe_caught("path_claims", error))
    return found


def _claims_of_address(case: Case, failed: list[str]) -> list[Claim]:
    evidence, endpoint, verdict, context = case.evidence, case.endpoint, case.verdict, case.context
    probe, claims = endpoint.probe, list[Claim]()
    if verdict is not None and verdict.error is not None:
        failed.append(verdict.error)
    legacy: list[Claim] = []
    _ask(legacy, failed, legacy_claims, case)
    if legacy:
        claims += legacy  # and that is why it came to nothing, if it did
    elif not probe.ok and evidence.doubt is None:
        for rule in _OF_FAILURE:
            _ask(claims, failed, rule, case)
    if unreachable(endpoint):
        return claims
    if probe.ok and probe.flight is not None:
        for of_negotiation in _OF_NEGOTIATION:
            _ask(claims, failed, of_negotiation, probe.flight.negotiation)
    for rule in _OF_FLIGHT:
        _ask(claims, failed, rule, case)
    if verdict is not None:
        claims += _claims_of_chain(case, verdict, failed)
        if not verdict.publicly_trusted or (verdict.name is not None and not verdict.name.matches):
            for rule in _OF_STRANGERS:
                _ask(claims, failed, rule, case)
    if endpoint.followups or endpoint.completions or endpoint.accepted is not None:
        for rule in _OF_ANSWERS:
            _ask(claims, failed, rule, case)
    if context.fleet.clock.state != "unknown":
        for rule in _OF_CLOCK:
            _ask(claims, failed, rule, case)
    if evidence.dns is not None and (evidence.dns.caa or evidence.dns.tlsa):
        for rule in _OF_DNS_RECORDS:
            _ask(claims, failed, rule, case)
    return claims


def _claims_of_chain(case: Case, verdict: ChainVerdict, failed: list[str]) -> Sequence[Claim]:
    """Return what the chain's rules answer, once for each second; without them the verifier's own words count."""
    context, flight = case.context, case.probe.flight
    setting = ChainSetting(
        at=context.at // 1.0,
        browsers=case.browsers,
        transports_key=flight is not None and flight.negotiation.cipher in RSA_KX,
        issuers=case.evidence.issuers,
        clock=context.fleet.clock,
        public=context.public,
        expiry_warning_days=context.expiry_warning_days,
    )
    faults: list[str] = []

    def ask() -> tuple[Claim, ...]:
        claims: list[Claim] = []
        for rule in _OF_CHAIN:
            _ask(claims, faults, rule, verdict, setting)
        if faults:
            answered = {claim.code for claim in claims}
            claims += [claim for claim in _plain_claims(verdict) if claim.code not in answered]
        return tuple(claims)

    last = part_of(verdict).claims[setting.browsers]
    claims = last.get(setting, ask)
    if faults:
        last.forget()
        failed += faults
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


def _error(evidence: Evidence, failed: Sequence[str]) -> str | None:
    """Why the target is not fully judged: our own exceptions (its own, of its first address that has one, of the judgement),
    else what is in doubt."""
    bug = evidence.bug
    for endpoint in evidence.endpoints:
        if endpoint.probe.failure is Failure.BUG:
            bug = joined(bug, endpoint.probe.detail or "no details")
            break
    bug = joined(bug, _judging(failed))
    if bug is not None:
        return OWN_FAULT + bug
    return None if evidence.doubt is None else DOUBTFUL + evidence.doubt


def _nothing_claimed(evidence: Evidence, failed: Sequence[str]) -> Diagnosis:
    error = _error(evidence, failed)
    unfinished = next((endpoint.probe for endpoint in evidence.endpoints if not endpoint.probe.ok), None)
    if error is None and unfinished is None:
        return Diagnosis("ok", Stage.DONE, None)
    stage = _reached(evidence) if unfinished is None else unfinished.stage
    return Diagnosis("warn", stage, None, error=error or f"{OWN_FAULT}{NO_RULE}{unfinished and unfinished.failure}")


def _reached(evidence: Evidence) -> Stage:
    if evidence.endpoints:
        return evidence.endpoints[-1].probe.stage
    return Stage.DNS if evidence.dns is None else Stage.CONNECT


def _conclude(evidence: Evidence, entries: dict[str, _Entry], language: str, failed: list[str]) -> Diagnosis:
    ordered = sorted(entries.values(), key=lambda entry: rank(entry.code))
    first = next((entry for entry in ordered if entry.severity == "error"), None)
    records = [_record(evidence, entry, language, failed) for entry in ordered]
    outcome: Outcome = "ok"
    clients: dict[str, str] = {}
    if first is not None or any(entry.severity == "warning" for entry in ordered):
        outcome = "warn" if first is None else "fail"
        try:
            clients = predict(evidence.target, records)
        except BaseException as problem:  # noqa: BLE001 - a bug costs what clients would say
            failed.append(describe_caught("clients", problem))
    error = _error(evidence, failed)
    if error is not None and outcome == "ok":
        outcome = "warn"
    stage = Stage.DONE
    if first is not None:
        stage = CODES[first.code].stage
    elif error is not None:
        stage = _reached(evidence)
    cause = None if first is None else CODES[first.code].cause
    return Diagnosis(outcome, stage, cause, records, clients, error)


def _record(evidence: Evidence, entry: _Entry, language: str, failed: list[str]) -> DiagnosisRecord:
    try:
        return _worded(evidence, entry, language)
    except BaseException as error:  # noqa: BLE001 - a bug in the words costs the words
        failed.append(describe_caught(f"words on {entry.code}", error))
        return _without_words(entry.code, entry.severity, entry.evidence, entry.endpoints)


def _without_words(code: str, severity: Severity, evidence: dict[str, Any], endpoints: list[str]) -> DiagnosisRecord:
    """A diagnosis with the catalogue's title in place of a sentence on this host."""
    return DiagnosisRecord(
        code=code,
        cause=CODES[code].cause,
        severity=severity,
        summary=CODES[code].title,
        evidence=evidence,
        endpoints=endpoints,
    )


def _worded(evidence: Evidence, entry: _Entry, language: str) -> DiagnosisRecord:
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
