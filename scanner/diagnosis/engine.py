"""From evidence and verdicts to a diagnosis: every rule asked, nothing said twice, in the order of a connection.

Problem: some forty rules know one part of a connection each. A healthy target, which most are, gives each of them nothing to
look at; a broken one gives it the same chain as its five thousand neighbours.

Design: rules say by their signature what they look at, and are asked where there is such a thing.

- Of the negotiation alone (``group_claims(negotiation)``): memoised functions of it.
- Of the chain and what comes with it (``certificate_claims(chain, setting)``): asked once for a chain, a setting and a
  second, and kept with the chain (``chain_report``). So a fleet under one expired intermediate costs little more than a healthy
  one.
- Of one address (``refusal_claims(case)``) or of the target (``dns_claims(evidence, context)``): called.

Claims are merged by code. A certificate error on any address is an error of the target, since some clients meet it, while
addresses that cannot be reached count only where no other can. Then they are put into words (``conclusion``).

Pure: the same evidence, verdicts and context give the same diagnosis. Each rule is called under a guard of its own: a bug in it
costs its answers, and is named in the finding's ``error``.

What breaks if touched: a rule of the second kind may look at nothing beside its two arguments, or targets get claims that
were made for others. That a target is healthy is told in one place, by the absence of claims: its outcome.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from scanner.diagnosis.case import Case, Context, cases_of, flight_of
from scanner.diagnosis.catalogue import CODES, rank
from scanner.diagnosis.chain_report import ask, chain_report, plain_claims
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.conclusion import Conclusion, Entry, conclude, conclude_chain, merge, without_words
from scanner.diagnosis.parts import part_of
from scanner.diagnosis.rules.caa import caa_claims
from scanner.diagnosis.rules.client_auth import client_auth_claims
from scanner.diagnosis.rules.clock import clock_claims
from scanner.diagnosis.rules.dane import dane_claims
from scanner.diagnosis.rules.deviations import deviation_claims, warning_claims
from scanner.diagnosis.rules.dns import dns_claims
from scanner.diagnosis.rules.files import file_claims
from scanner.diagnosis.rules.interception import interception_claims, path_claims
from scanner.diagnosis.rules.names import name_claims
from scanner.diagnosis.rules.negotiation import (
    bare_flight_claims,
    comparison_claims,
    enumeration_claims,
    flight_claims,
    group_claims,
)
from scanner.diagnosis.rules.network import connect_claims, partly_unreachable, unreachable
from scanner.diagnosis.rules.reach import reach_claims
from scanner.diagnosis.rules.refusal import finish_claims, legacy_claims, refusal_claims
from scanner.errors import describe_caught, joined
from scanner.model.evidence import Evidence, Failure, Stage
from scanner.model.findings import Cause, DiagnosisRecord, Outcome
from scanner.tls.offers import TLS12
from scanner.trust.verdicts import ChainVerdict

Rule = Callable[[Case], Iterable[Claim]]

# Rules on one address, by what they look at.
# A first connection that came to nothing.
OF_FAILURE: Final[tuple[Rule, ...]] = (connect_claims, refusal_claims)
# Certificates that something in between may have made, or that are not for the name.
OF_STRANGERS: Final[tuple[Rule, ...]] = (interception_claims, name_claims)
# Further connections, and handshakes that were completed.
OF_ANSWERS: Final[tuple[Rule, ...]] = (comparison_claims, enumeration_claims, finish_claims, client_auth_claims)
# What the fleet says of our clock.
OF_CLOCK: Final[tuple[Rule, ...]] = (clock_claims,)
# What DNS says of the certificate.
OF_DNS_RECORDS: Final[tuple[Rule, ...]] = (dane_claims, caa_claims)


class Diagnosis(Struct, frozen=True):
    """What is wrong with one target; ``diagnoses`` are in order of precedence.

    ``error`` says why there is no verdict: tlsweep's own failure, or that no address was contacted. The outcome then is
    at least "warn", since a target that was never judged must not count as healthy, and no cause of the target's
    is invented for it.
    """

    outcome: Outcome
    stage: Stage
    cause: Cause | None
    diagnoses: list[DiagnosisRecord] = field(default_factory=list)
    clients: dict[str, str] = field(default_factory=dict)
    error: str | None = None


HEALTHY: Final = Diagnosis("ok", Stage.DONE, None)


def diagnose(evidence: Evidence, verdicts: Sequence[ChainVerdict | None], context: Context) -> Diagnosis:
    """Judge one target. ``verdicts`` is parallel to ``evidence.endpoints``; a missing one counts as ``None``."""
    return diagnose_cases(evidence, cases_of(evidence, verdicts, context), context)


def diagnose_cases(evidence: Evidence, cases: Sequence[Case], context: Context) -> Diagnosis:
    """Judge one target, whose addresses are ``cases``. What the rules say of a chain is left in its case."""
    failed: list[str] = []
    believed = evidence.doubt is None  # else what failed may be this machine's doing; what was seen counts
    of_target: list[Claim] = []
    if believed and evidence.dns is not None:
        ask(of_target, failed, dns_claims, evidence, context)
    if context.fleet.revocation_blocked is not None:
        ask(of_target, failed, reach_claims, evidence, context)
    by_address = [_claims_of_address(case, failed) for case in cases]
    if len(cases) > 1 or (cases and evidence.elsewhere):
        try:
            for position, claim in path_claims(evidence, [case.verdict for case in cases]):
                by_address[position].append(claim)
        except BaseException as error:  # noqa: BLE001 - a bug in comparing the paths costs the comparison
            failed.append(describe_caught("path_claims", error))
    if len(cases) < 2 and not of_target and not any(by_address):
        return _nothing_claimed(evidence, failed)
    resolver = None if evidence.dns is None else evidence.dns.resolver
    if len(cases) == 1 and not of_target and (report := cases[0].report) is not None:
        if len(by_address[0]) == len(report.claims):  # nothing but what the chain gives rise to
            address = cases[0].endpoint.address
            return _diagnosis(
                evidence, conclude_chain(report, evidence.target, address, resolver, context.language), failed
            )
    entries: dict[str, Entry] = {}
    merge(entries, of_target, None)
    split = partly_unreachable(evidence.endpoints) if believed and len(cases) > 1 else None
    if split is not None:
        merge(entries, [split], None)
        entries[split.code].endpoints = [e.address for e in evidence.endpoints if unreachable(e)]
    for case, claims in zip(cases, by_address, strict=True):
        if split is None or not unreachable(case.endpoint):
            merge(entries, claims, case.endpoint.address)
    disagreement = None
    if len(cases) > 1:
        try:
            disagreement = _disagreement(evidence, by_address)
        except BaseException as error:  # noqa: BLE001 - a bug in comparing them costs the comparison
            failed.append(describe_caught("endpoints-disagree", error))
    if disagreement is not None:
        merge(entries, [disagreement], None)
        entries[disagreement.code].endpoints = [e.address for e in evidence.endpoints if not unreachable(e)]
    if not entries:
        return _nothing_claimed(evidence, failed)
    return _diagnosis(evidence, conclude(evidence.target, entries.values(), resolver, context.language), failed)


def diagnose_certificates(evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Diagnosis:
    """Return the diagnosis by the verdicts on certificates and names alone, where ``diagnose`` itself has failed."""
    records: dict[str, DiagnosisRecord] = {}
    for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=False):
        for claim in [] if verdict is None else plain_claims(verdict):
            entry = Entry(claim.code, claim.severity or CODES[claim.code].severity, dict(claim.evidence))
            records.setdefault(claim.code, without_words(entry)).setdefault("endpoints", []).append(endpoint.address)
    ordered = sorted(records.values(), key=lambda record: rank(record["code"]))
    first = next((record for record in ordered if record["severity"] == "error"), None)
    if first is None:
        return Diagnosis("warn", _reached(evidence), None, ordered)
    return Diagnosis("fail", CODES[first["code"]].stage, first["cause"], ordered)


def not_fully_judged(diagnosis: Diagnosis, failed: Sequence[str]) -> Diagnosis:
    """Return the diagnosis with what of the judgement has failed in its ``error``; it is not "ok" then."""
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
    return "; ".join([JUDGING + each for each in dict.fromkeys(failed)])


# --- claims ----------------------------------------------------------------------------------------


def _claims_of_address(case: Case, failed: list[str]) -> list[Claim]:
    endpoint, verdict, flight = case.endpoint, case.verdict, case.flight
    probe, dns, claims = endpoint.probe, case.evidence.dns, list[Claim]()
    first = probe.flight
    if first is not None and first.negotiation.version is not None and first.negotiation.version < TLS12:
        ask(claims, failed, legacy_claims, case)  # and that is why it came to nothing, if it did
    if probe.failure is not None and not claims and case.evidence.doubt is None:
        for rule in OF_FAILURE:
            ask(claims, failed, rule, case)
    if probe.failure is not None and unreachable(endpoint):
        return claims
    if probe.detail is not None and probe.failure is None:
        ask(claims, failed, file_claims, case)
    if first is not None and probe.failure is None and first.negotiation.dh_bits is not None:
        ask(claims, failed, group_claims, first.negotiation)
    if flight is not None and not flight.certificates:
        ask(claims, failed, bare_flight_claims, flight.negotiation)
    elif flight is not None and verdict is None:
        ask(claims, failed, flight_claims, flight.negotiation, None)
    if flight is not None and verdict is None and flight.negotiation.deviations:
        ask(claims, failed, deviation_claims, flight.negotiation, case.browsers)
    if probe.alert is not None and probe.failure is None:
        ask(claims, failed, warning_claims, probe.alert)
    if verdict is not None:
        if verdict.error is not None:
            failed.append(verdict.error)
        report = case.report = chain_report(case, verdict)
        claims += report.claims
        failed += report.failed
        if (case.part or part_of(verdict)).is_strange or (verdict.name is not None and verdict.name.code is not None):
            for rule in OF_STRANGERS:
                ask(claims, failed, rule, case)
    if endpoint.followups or endpoint.completions or endpoint.accepted is not None:
        for rule in OF_ANSWERS:
            ask(claims, failed, rule, case)
    if case.context.fleet.clock.state != "unknown":
        for rule in OF_CLOCK:
            ask(claims, failed, rule, case)
    if dns is not None and (dns.caa or dns.tlsa):
        for rule in OF_DNS_RECORDS:
            ask(claims, failed, rule, case)
    return claims


def _disagreement(evidence: Evidence, claims: list[list[Claim]]) -> Claim | None:
    """Return ``endpoints-disagree`` if addresses that could be reached differ in their certificate or in what is wrong."""
    views: dict[tuple[str | None, tuple[str, ...]], list[str]] = {}
    for endpoint, found in zip(evidence.endpoints, claims, strict=True):
        if unreachable(endpoint) or endpoint.probe.failure is Failure.BUG:
            continue
        flight = flight_of(endpoint)
        leaf = _fingerprint(flight.leaf_first[0]) if flight is not None and flight.certificates else None
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


# --- the outcome -----------------------------------------------------------------------------------


def _diagnosis(evidence: Evidence, concluded: Conclusion, failed: list[str]) -> Diagnosis:
    failed += concluded.failed
    error = _error(evidence, failed)
    first = concluded.first
    if first is not None:
        entry = CODES[first]
        return Diagnosis("fail", entry.stage, entry.cause, concluded.records, concluded.clients, error)
    outcome: Outcome = "ok" if concluded.healthy and error is None else "warn"
    stage = Stage.DONE if error is None else _reached(evidence)
    return Diagnosis(outcome, stage, None, concluded.records, concluded.clients, error)


def _nothing_claimed(evidence: Evidence, failed: Sequence[str]) -> Diagnosis:
    error, unfinished = _error(evidence, failed), None
    for endpoint in evidence.endpoints:
        if endpoint.probe.failure is not None:
            unfinished = endpoint.probe
            break
    if error is None and not evidence.endpoints:
        return Diagnosis("warn", Stage.CONNECT, None, error=NOT_CONTACTED)
    if error is None and unfinished is None:
        return HEALTHY
    stage = _reached(evidence) if unfinished is None else unfinished.stage
    return Diagnosis("warn", stage, None, error=error or f"{OWN_FAULT}{NO_RULE}{unfinished and unfinished.failure}")


def _error(evidence: Evidence, failed: Sequence[str]) -> str | None:
    """Return why the target is not fully judged: our own exceptions (its own, of its first address that has one, of the
    judgement), else what is in doubt."""
    bug = evidence.bug
    for endpoint in evidence.endpoints:
        if endpoint.probe.failure is Failure.BUG:
            bug = joined(bug, endpoint.probe.detail or "no details")
            break
    if failed:
        bug = joined(bug, _judging(failed))
    if bug is not None:
        return OWN_FAULT + bug
    return None if evidence.doubt is None else DOUBTFUL + evidence.doubt


def _reached(evidence: Evidence) -> Stage:
    if evidence.endpoints:
        return evidence.endpoints[-1].probe.stage
    return Stage.DNS if evidence.dns is None else Stage.CONNECT
