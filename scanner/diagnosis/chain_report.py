"""What the rules on certificates say of an address: asked once for each chain, second and setting, and kept with the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from scanner.diagnosis.case import BROWSER_PROTOCOLS, Case
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainReport, ChainSetting, part_of
from scanner.diagnosis.rules.certificate import certificate_claims
from scanner.diagnosis.rules.deviations import deviation_claims
from scanner.diagnosis.rules.negotiation import flight_claims, has_another_key, key_claims
from scanner.diagnosis.rules.revocation import revocation_claims, staple_of
from scanner.diagnosis.rules.transparency import transparency_claims, transparency_of
from scanner.errors import describe_caught
from scanner.model.evidence import Negotiation
from scanner.tls.offers import RSA_KX
from scanner.trust.verdicts import ChainVerdict

# Of a target without a flight.
NO_NEGOTIATION: Final = Negotiation()


def ask(claims: list[Claim], failed: list[str], rule: Callable[..., Iterable[Claim]], *about: Any) -> None:
    """Add what a rule answers to ``claims``; a bug in it costs the rest of its answers, and is noted in ``failed``."""
    try:
        claims.extend(rule(*about))
    except BaseException as error:  # noqa: BLE001 - our own bug costs one rule, never the judgement
        failed.append(describe_caught(rule.__name__, error))


def chain_report(case: Case, verdict: ChainVerdict) -> ChainReport:
    """Return what the rules say of the chain at an address, whose verdict this is."""
    setting = _setting(case)
    reports = (case.part or part_of(verdict)).reports
    report = reports.get(setting.browsers)
    if report is None or report.setting != setting:
        report = _report(verdict, setting)
        if report.failed:  # a bug may not come twice
            reports.pop(setting.browsers, None)
        else:
            reports[setting.browsers] = report
    return report


def report_of(case: Case) -> ChainReport | None:
    """Return the report on the chain at an address; ``None`` where no certificate came."""
    if case.report is None and case.verdict is not None:
        case.report = chain_report(case, case.verdict)
    return case.report


def _setting(case: Case) -> ChainSetting:
    context, endpoint, evidence, flight = case.context, case.endpoint, case.evidence, case.flight
    first = endpoint.probe.flight
    return ChainSetting(
        context.at // 1.0,
        NO_NEGOTIATION if flight is None else flight.negotiation,
        flight is not None and bool(flight.certificates),
        None if flight is None else flight.ocsp_response,
        () if flight is None else flight.scts,
        evidence.revocation,
        evidence.issuers,
        evidence.target.protocol in BROWSER_PROTOCOLS,
        endpoint.probe.failure is None and first is not None,
        first is not None and first.negotiation.cipher in RSA_KX,
        bool(endpoint.followups) and has_another_key(endpoint),
        context.fleet.clock,
        context.public,
        context.expiry_warning_days,
        context.revocation,
        None if flight is None else context.transparency,
    )


def _report(chain: ChainVerdict, setting: ChainSetting) -> ChainReport:
    claims, failed = list[Claim](), list[str]()
    if setting.sent:
        ask(claims, failed, flight_claims, setting.negotiation, chain)
        if setting.negotiation.deviations:
            ask(claims, failed, deviation_claims, setting.negotiation, setting.browsers)
    ask(claims, failed, key_claims, chain, setting)
    before = len(failed)
    of_certificates: list[Claim] = []
    ask(of_certificates, failed, certificate_claims, chain, setting)
    if len(failed) > before:  # then the verifier's own words count
        answered = {claim.code for claim in of_certificates}
        of_certificates += [claim for claim in plain_claims(chain) if claim.code not in answered]
    claims += of_certificates
    ask(claims, failed, revocation_claims, chain, setting)
    transparency = staple = None
    try:
        transparency = transparency_of(chain, setting)
        staple = None if setting.staple is None or setting.revocation == "off" else staple_of(chain, setting)
    except BaseException as error:  # noqa: BLE001 - our own bug costs their records
        failed.append(describe_caught("SCTs and staple", error))
    ask(claims, failed, transparency_claims, chain, setting, transparency)
    return ChainReport(setting, tuple(claims), tuple(failed), transparency, staple)


def plain_claims(verdict: ChainVerdict) -> list[Claim]:
    """Return what the verifier says of the leaf, of the paths where no store has one, and of the name, without further facts."""
    problems = list(verdict.leaf_problems)
    if not verdict.trusted:
        problems += [problem for store in verdict.stores.values() for problem in store.problems]
    claims = {problem.code: Claim(problem.code, problem.evidence) for problem in problems}
    if verdict.name is not None and verdict.name.code is not None:
        claims.setdefault(verdict.name.code, Claim(verdict.name.code, {"nearest": list(verdict.name.nearest)}))
    return list(claims.values())
