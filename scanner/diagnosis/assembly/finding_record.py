"""A finding out of evidence, verdicts and diagnosis: plain dictionaries, ready for ``orjson``.

This is on the path of every target, so it copies numbers and strings and computes nothing. Text from outside stays
exact, but valid UTF-8: what no UTF-8 can hold (lone surrogates) is written as an escape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.codec.certificate_dedup import Certificates, Fragments
from scanner.codec.encode import (
    LONGEST_NEGOTIATION,
    MAX_NEGOTIATIONS,
    encode_record,
    facts_of_answer,
    facts_of_endpoint,
    facts_of_followup,
    facts_of_target,
    negotiation_bytes,
)
from scanner.codec.json_safe import safe_tags, safe_text, safe_value, timestamp
from scanner.diagnosis.assembly.application_fields import NOT_REQUESTED, application_record, client_auth_record
from scanner.diagnosis.assembly.revocation_fields import revocation_fields
from scanner.diagnosis.case import ENUMERATION, Case, accepted_of
from scanner.diagnosis.chain_report import NO_NEGOTIATION, report_of
from scanner.diagnosis.engine import Diagnosis
from scanner.diagnosis.parts import ChainReport
from scanner.errors import describe_caught
from scanner.model.evidence import (
    SETTLED_STATUSES,
    DnsAnswer,
    Evidence,
    InvalidRow,
    Negotiation,
    Probe,
    Target,
)
from scanner.model.findings import (
    SCHEMA,
    AlertRecord,
    CaaRecord,
    CertificateRecord,
    DnsRecord,
    EndpointRecord,
    ExtendedErrorRecord,
    Finding,
    FollowupRecord,
    TargetRecord,
    TlsaRecord,
)
from scanner.tls.registry_names import alert_name, cipher_name, group_name, scheme_name, version_name
from scanner.trust.transparency import unjudged


class SeenParts(Struct, frozen=True):
    """What a finding says of what was seen: everything of it but the row, the diagnosis and the times."""

    dns: DnsRecord | None = None
    endpoints: list[EndpointRecord] = []
    certificates: list[CertificateRecord] = []
    observed: dict[str, Any] = {}


NOTHING_SEEN: Final = SeenParts()


# What of the facts about an issuer that no store trusts is published with the address that showed it.
_UNTRUSTED_ISSUER: Final = (
    "key", "leaf_key", "keyed", "named", "own_key", "operated", "on_the_spot", "elsewhere", "product",
)  # fmt: skip


def seen(
    evidence: Evidence,
    cases: Sequence[Case],
    failed: list[str],
    fragments: Fragments | None = None,
    facts: Struct | None = None,
) -> SeenParts:
    """Describe what was seen of a target, whose addresses are ``cases``. Bugs of ours are added to ``failed``.

    Without ``fragments`` the description is complete by itself. ``facts`` is what the target tells the fleet, if anything.
    """
    certificates = Certificates(fragments)
    # certificates that were sent come before those that follow-ups and paths add
    chains = [_chain(case, certificates) for case in cases]
    endpoints = []
    facts_record = None if facts is None else _facts_record(facts, cases)
    sightings = () if facts_record is None else facts_record.get("sightings", ())
    issuers = {sighting["place"]: sighting for sighting in sightings} if sightings else {}
    for case, chain in zip(cases, chains, strict=True):
        record = endpoint_record(case, chain, certificates)
        endpoints.append(record)
        if issuers and (issuer := issuers.get(f"{case.endpoint.address} {evidence.target.port}")) is not None:
            record["untrusted_issuer"] = {name: issuer[name] for name in _UNTRUSTED_ISSUER if name in issuer}
        record.update(_chain_fields(case, failed))
    observed = facts_of_target(evidence, certificates)
    if facts_record is not None:
        observed = {**observed, "facts": facts_record}
    dns = None if evidence.dns is None else dns_record(evidence.dns)
    return SeenParts(dns, endpoints, certificates.records(), observed)


def _facts_record(facts: Struct, cases: Sequence[Case]) -> dict[str, Any]:
    """Return facts as a finding holds them: encoded once where targets with one chain share them."""
    part = cases[0].part if len(cases) == 1 else None
    if part is None:
        return encode_record(facts)
    if part.facts_record is None or part.facts_record[0] is not facts:
        part.facts_record = facts, encode_record(facts)
    return part.facts_record[1]


def finding(
    evidence: Evidence,
    diagnosis: Diagnosis,
    run_id: str,
    seen: SeenParts,
    *,
    judged_with: Mapping[str, Any] | None = None,
    run_warnings: Sequence[str] = (),
) -> Finding:
    """Return the finding of one target. ``judged_with`` are the options that are not the default, ``run_warnings`` concern the run."""
    record: Finding = {
        "schema": SCHEMA,
        "run": run_id,
        "target": target_record(evidence.target),
        "started": timestamp(evidence.started),
        "duration_ms": round(evidence.duration * 1000, 3),
        "attempts": evidence.attempts,
        "outcome": diagnosis.outcome,
        "stage": diagnosis.stage.value,
        "cause": diagnosis.cause,
        "diagnoses": diagnosis.diagnoses,
        "clients": diagnosis.clients,
        "dns": seen.dns,
        "endpoints": seen.endpoints,
        "certificates": seen.certificates,
    }
    if seen.observed:
        record["observed"] = seen.observed
    if judged_with:
        record["judged_with"] = cast("dict[str, Any]", judged_with)
    if run_warnings:
        record["run_warnings"] = [safe_text(text) for text in run_warnings]
    if diagnosis.error is not None:
        record["error"] = safe_text(diagnosis.error)
    return record


def without_der(record: Finding) -> Finding:
    """Return a finding as it may be written for another row that names its target: it comes after the first in the same output,
    so it does not hold the certificates again."""
    kept: list[Any] = [*record["certificates"]]
    for place, entry in enumerate(kept):
        if isinstance(entry, dict) and "der" in entry:  # else written already, or a fragment
            kept[place] = entry.copy()
            del kept[place]["der"]
    return {**record, "certificates": kept}


def for_another_row(record: Finding, target: Target) -> Finding:
    """Return a finding ``without_der`` for another row that names its target: what was seen once answers both."""
    found = target_record(target)
    if target.auto:
        found["protocol"] = record["target"]["protocol"]
    return {**record, "target": found}


def invalid_finding(row: InvalidRow, run_id: str, *, started: float = 0.0, run_warnings: Sequence[str] = ()) -> Finding:
    """Return the finding of a row that cannot be probed; ``error`` says what is wrong with it."""
    record: Finding = {
        "schema": SCHEMA,
        "run": run_id,
        "target": {
            "row": row.row,
            "id": safe_value(row.id),
            "host": None if row.host is None else safe_text(row.host),
            "port": row.port,
            "protocol": None if row.protocol is None else safe_text(row.protocol),
            "sni": None,
            "address": None,
            "tags": safe_value(dict(row.tags)),
        },
        "started": timestamp(started),
        "duration_ms": 0.0,
        "attempts": 0,
        "outcome": "invalid",
        "stage": "inventory",
        "cause": None,
        "diagnoses": [],
        "clients": {},
        "dns": None,
        "endpoints": [],
        "certificates": [],
        "error": safe_text(row.reason),
    }
    if run_warnings:
        record["run_warnings"] = [safe_text(text) for text in run_warnings]
    return record


# --- parts -----------------------------------------------------------------------------------------


def target_record(target: Target) -> TargetRecord:
    """Return the row that a finding answers."""
    host, sni, protocol = target.host, target.sni, target.protocol
    shown = host if host.isascii() else safe_text(host)
    record: TargetRecord = {
        "row": target.row,
        "id": safe_value(target.id) if target.id is not None else None,
        "host": shown,
        "port": target.port,
        "protocol": protocol if protocol.isascii() else safe_text(protocol),
        "sni": None if sni is None else shown if sni == host else safe_text(sni),
        "address": target.address,
        "tags": cast(dict[str, Any], safe_tags(target.tags)) if target.tags else {},
    }
    if target.auto:
        record["auto"] = True
    return record


def dns_record(answer: DnsAnswer) -> DnsRecord:
    record: DnsRecord = {
        "status": f"{answer.status}",  # plain text, without the two calls of ``value``
        "cname": [safe_text(name) for name in answer.cname] if answer.cname else [],
        "addresses": list(answer.addresses),
        "dnssec": "bogus"
        if answer.bogus
        else "secure"
        if answer.authenticated
        else "insecure"
        if answer.status in SETTLED_STATUSES and answer.source == "dns"
        else "indeterminate",
        "resolver": None if answer.resolver is None else safe_text(answer.resolver),
        "source": answer.source,
    }
    if answer.extended_errors:
        record["extended_errors"] = [
            ExtendedErrorRecord(code=code, text=safe_text(words)) for code, words in answer.extended_errors
        ]
    if answer.caa is not None:
        record["caa"] = [
            CaaRecord(flags=flags, tag=safe_text(tag), value=safe_text(value)) for flags, tag, value in answer.caa
        ]
    if answer.tlsa is not None:
        record["tlsa"] = [
            TlsaRecord(usage=usage, selector=selector, matching_type=matching, data=data.hex())
            for usage, selector, matching, data in answer.tlsa
        ]
    observed = facts_of_answer(answer)
    if observed:
        record["observed"] = observed
    return record


def _chain(case: Case, certificates: Certificates) -> list[str]:
    """Return fingerprints of what was sent; each certificate not met before on this target is added to ``certificates``."""
    flight, part = case.flight, case.part
    if flight is None or not flight.certificates:
        return []
    if part is not None and part.sent == flight.certificates:
        certificates.all_sent(part.certificates)
        return part.chain
    return [certificates.sent_bytes(data) for data in flight.certificates]


def timing_record(probe: Probe) -> dict[str, float]:
    """Return the milliseconds of each stage that a connection came to."""
    timing: dict[str, float] = {}
    if probe.connect_seconds is not None:
        timing["connect"] = round(probe.connect_seconds * 1000, 3)
    if probe.starttls_seconds is not None:
        timing["starttls"] = round(probe.starttls_seconds * 1000, 3)
    if probe.handshake_seconds is not None:
        timing["handshake"] = round(probe.handshake_seconds * 1000, 3)
    return timing


def endpoint_record(case: Case, chain: list[str], certificates: Certificates) -> EndpointRecord:
    """Return the record of one address; what further connections showed is added to ``certificates``."""
    endpoint, flight, part = case.endpoint, case.flight, case.part
    probe = endpoint.probe
    record: EndpointRecord = {
        **negotiation_record(NO_NEGOTIATION if flight is None else flight.negotiation),
        "address": endpoint.address,
        "stage": probe.stage.value,
        "error": None if probe.failure is None else probe.failure.value,
        "alert": None if probe.alert is None else _alert(probe.alert),
        "chain": chain,
        "trust": {} if part is None else part.trust,
        "timing_ms": timing_record(probe),
    }
    if flight is not None and flight.negotiation.client_auth is not None and flight.negotiation.complete:
        record["client_auth"] = client_auth_record(endpoint, flight, case.target.protocol)
    if endpoint.completions and (application := application_record(endpoint)) is not None:
        record["application"] = application
    found = accepted_of(endpoint)
    if found is not None:
        accepted = {version: suites for version, suites in found.items() if suites}
        record["versions"] = [version_name(version) for version in sorted(accepted, reverse=True)]
        record["ciphers"] = list(
            dict.fromkeys(cipher_name(code) for version in sorted(accepted, reverse=True) for code in accepted[version])
        )
    if endpoint.followups:
        # What --enumerate asked is summed up in versions and ciphers, but for the one whose flight counts for the address.
        further = [
            _followup(name, answer, certificates)
            for name, answer in endpoint.followups.items()
            if not name.startswith(ENUMERATION) or (flight is not None and answer.flight is flight)
        ]
        if further:
            record["followups"] = further
    if part is not None:
        # what closed a path and was not sent: this target alone would not show it again
        for certificate, source in part.completing:
            certificates.further(certificate, source)
    observed = facts_of_endpoint(case.evidence.target, endpoint, found, certificates)
    if observed:
        record["observed"] = observed
    return record


@bounded_memo(MAX_NEGOTIATIONS, LONGEST_NEGOTIATION, negotiation_bytes)
def negotiation_record(negotiation: Negotiation) -> EndpointRecord:
    """Return an endpoint's record with what a negotiation decides; the other fields are there, in their places, for others to set."""
    record: EndpointRecord = {
        "address": "",
        "stage": "done",
        "error": None,
        "alert": None,
        "version": None if negotiation.version is None else version_name(negotiation.version),
        "cipher": None if negotiation.cipher is None else cipher_name(negotiation.cipher),
        "group": None if negotiation.group is None else group_name(negotiation.group),
        "alpn": None if negotiation.alpn is None else safe_text(negotiation.alpn),
        "sni_accepted": negotiation.sni_acknowledged,
        "client_auth": NOT_REQUESTED if negotiation.complete else None,
        "chain": [],
        "trust": {},
        "timing_ms": {},
    }
    if negotiation.signature_scheme is not None:
        record["signature_scheme"] = scheme_name(negotiation.signature_scheme)
    if negotiation.hello_retry:
        record["hello_retry"] = True
    return record


def _chain_fields(case: Case, failed: list[str]) -> EndpointRecord:
    """Return the fields of an endpoint's record on revocation and SCTs: made once for a report on a chain."""
    report = report_of(case)
    if report is not None and report.fields is not None:
        return report.fields
    before, fields = len(failed), cast(EndpointRecord, {})
    for what, add in (("revocation", _add_revocation), ("SCTs", _add_scts)):
        try:
            add(fields, case, report)
        except BaseException as error:  # noqa: BLE001 - our own bug costs these fields
            failed.append(describe_caught(f"record of {what}", error))
    if report is not None and len(failed) == before:
        report.fields = fields
    return fields


def _add_revocation(fields: EndpointRecord, case: Case, report: ChainReport | None) -> None:
    stapled = None if case.flight is None else case.flight.ocsp_response
    staple = None if report is None else report.staple
    fields.update(revocation_fields(case.verdict, case.evidence.revocation, stapled, staple))


def _add_scts(fields: EndpointRecord, case: Case, report: ChainReport | None) -> None:
    judged = None if report is None else report.transparency
    scts = judged.records if judged is not None else unjudged(case.flight.scts) if case.flight is not None else []
    if scts:
        fields["scts"] = scts


def _alert(alert: tuple[int, int]) -> AlertRecord:
    return {"level": alert[0], "code": alert[1], "name": alert_name(alert[1])}


def _followup(name: str, answer: Probe, certificates: Certificates) -> FollowupRecord:
    record: FollowupRecord = {
        "question": name,
        "offer": answer.offer,
        "sni": None if answer.sni is None else safe_text(answer.sni),
        "result": "ok" if answer.failure is None else answer.failure.value,
    }
    flight = answer.flight
    if flight is not None and flight.negotiation.version is not None:
        record["version"] = version_name(flight.negotiation.version)
    if flight is not None and flight.negotiation.cipher is not None:
        record["cipher"] = cipher_name(flight.negotiation.cipher)
    if answer.alert is not None:
        record["alert"] = alert_name(answer.alert[1])
    record["observed"] = facts_of_followup(answer, certificates)
    return record
