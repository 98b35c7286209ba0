"""A finding out of evidence, verdicts and diagnosis: plain dictionaries, ready for ``orjson``.

This is on the path of every target, so it copies numbers and strings and computes nothing. Text from outside stays
exact, but valid UTF-8: what no UTF-8 can hold (lone surrogates) is written as an escape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct

from scanner.codec.certificate_dedup import Certificates, Fragments
from scanner.codec.encode import encode_record, facts_of_answer, facts_of_endpoint, facts_of_followup, facts_of_target
from scanner.codec.json_safe import safe_tags, safe_text, safe_value, timestamp
from scanner.diagnosis.application_records import application_record, client_auth_record
from scanner.diagnosis.case import ENUMERATION, Case, Context, accepted_of, flight_of
from scanner.diagnosis.engine import Diagnosis, not_fully_judged
from scanner.diagnosis.revocation_records import revocation_records
from scanner.diagnosis.rules.transparency import sct_records
from scanner.errors import describe_caught
from scanner.model.evidence import (
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    InvalidRow,
    Probe,
    ServerFlight,
    Target,
)
from scanner.model.findings import (
    SCHEMA,
    AlertRecord,
    CaaRecord,
    CertificateSource,
    DnsRecord,
    EndpointRecord,
    ExtendedErrorRecord,
    Finding,
    FollowupRecord,
    TargetRecord,
    TlsaRecord,
    TrustRecord,
)
from scanner.tls.registry_names import alert_name, cipher_name, group_name, scheme_name, version_name
from scanner.trust.verdicts import ChainVerdict


def finding(
    evidence: Evidence,
    verdicts: Sequence[ChainVerdict | None],
    diagnosis: Diagnosis,
    run_id: str,
    *,
    facts: Struct | None = None,
    fragments: Fragments | None = None,
    judged_with: Mapping[str, Any] | None = None,
    context: Context | None = None,
) -> Finding:
    """The finding of one target. ``verdicts`` is parallel to ``evidence.endpoints``.

    ``facts`` is what the target tells the fleet, if anything; ``judged_with`` are the options that are not the default; without
    ``fragments`` the finding is complete by itself; ``context`` is what it was judged in.
    """
    certificates = Certificates(fragments)
    seen = []
    for position, endpoint in enumerate(evidence.endpoints):
        verdict = verdicts[position] if position < len(verdicts) else None
        flight = flight_of(endpoint)
        seen.append((endpoint, flight, verdict, _chain(flight, verdict, certificates)))
    endpoints = [endpoint_record(evidence.target, *parts, certificates) for parts in seen]
    failed: list[str] = []
    told = None if facts is None else encode_record(facts)
    issuers = {} if told is None else {sighting["place"]: sighting for sighting in told.get("sightings", ())}
    for made, (endpoint, flight, verdict, _) in zip(endpoints, seen, strict=True):
        if (issuer := issuers.get(f"{endpoint.address} {evidence.target.port}")) is not None:
            made["untrusted_issuer"] = {name: issuer[name] for name in _UNTRUSTED_ISSUER if name in issuer}
        if evidence.revocation or (flight is not None and flight.ocsp_response is not None):
            _add(failed, "revocation", _add_revocation, made, evidence, endpoint, verdict, context)
        if (verdict is not None and verdict.publicly_trusted) or (flight is not None and flight.scts):
            _add(
                failed,
                "SCTs",
                _add_scts,
                made,
                Case(evidence, endpoint, verdict, context or Context(at=evidence.started)),
            )
    observed = facts_of_target(evidence, certificates)
    if told is not None:
        observed = {**observed, "facts": told}
    if failed:
        diagnosis = not_fully_judged(diagnosis, failed)
    record: Finding = {
        "schema": SCHEMA,
        "run": run_id,
        "target": target_record(evidence.target),
        "started": timestamp(evidence.started),
        "duration_ms": _milliseconds(evidence.duration),
        "attempts": evidence.attempts,
        "outcome": diagnosis.outcome,
        "stage": diagnosis.stage.value,
        "cause": diagnosis.cause,
        "diagnoses": cast(Any, safe_value(diagnosis.diagnoses)) if diagnosis.diagnoses else [],
        "clients": diagnosis.clients,
        "dns": None if evidence.dns is None else dns_record(evidence.dns),
        "endpoints": endpoints,
        "certificates": certificates.records(),
    }
    if observed:
        record["observed"] = observed
    if judged_with:
        record["judged_with"] = dict(judged_with)
    if diagnosis.error is not None:
        record["error"] = safe_text(diagnosis.error)
    return record


# What of the facts about an issuer that no store trusts is published with the address that showed it.
_UNTRUSTED_ISSUER: Final = (
    "key", "leaf_key", "keyed", "named", "own_key", "operated", "on_the_spot", "elsewhere", "product",
)  # fmt: skip


def bare_finding(evidence: Evidence, diagnosis: Diagnosis, run_id: str) -> Finding:
    """A finding with the diagnosis and without what was seen, where that cannot be put together by a fault of ours."""
    record: Finding = {
        "schema": SCHEMA,
        "run": run_id,
        "target": target_record(evidence.target),
        "started": timestamp(evidence.started),
        "duration_ms": _milliseconds(evidence.duration),
        "attempts": evidence.attempts,
        "outcome": diagnosis.outcome,
        "stage": diagnosis.stage.value,
        "cause": diagnosis.cause,
        "diagnoses": cast(Any, safe_value(diagnosis.diagnoses)),
        "clients": diagnosis.clients,
        "dns": None,
        "endpoints": [],
        "certificates": [],
    }
    if diagnosis.error is not None:
        record["error"] = safe_text(diagnosis.error)
    return record


def for_another_row(record: Finding, target: Target) -> Finding:
    """The same finding for another row that names the same target: what was seen once answers both.

    It comes after the first in the same output, so it does not hold the certificates again.
    """
    kept: list[Any] = [*record["certificates"]]
    for place, entry in enumerate(kept):
        if isinstance(entry, dict) and "der" in entry:  # else written already, or a fragment
            kept[place] = {key: value for key, value in entry.items() if key != "der"}
    return {**record, "target": target_record(target), "certificates": kept}


def invalid_finding(row: InvalidRow, run_id: str, *, started: float = 0.0) -> Finding:
    """The finding of a row that cannot be probed; ``error`` says what is wrong with it."""
    return {
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


# --- parts -----------------------------------------------------------------------------------------


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def target_record(target: Target) -> TargetRecord:
    """The row that a finding answers. Nearly all of it is plain text, which is told at a glance."""
    host, sni, protocol = target.host, target.sni, target.protocol
    shown = host if host.isascii() else safe_text(host)
    return {
        "row": target.row,
        "id": safe_value(target.id) if target.id is not None else None,
        "host": shown,
        "port": target.port,
        "protocol": protocol if protocol.isascii() else safe_text(protocol),
        "sni": None if sni is None else shown if sni == host else safe_text(sni),
        "address": target.address,
        "tags": cast(dict[str, Any], safe_tags(target.tags)) if target.tags else {},
    }


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
        if answer.status in _ANSWERED and answer.source == "dns"
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


_ANSWERED: Final = frozenset({DnsStatus.NOERROR, DnsStatus.NODATA, DnsStatus.NXDOMAIN})


def _chain(flight: ServerFlight | None, verdict: ChainVerdict | None, certificates: Certificates) -> list[str]:
    """Fingerprints of what was sent; each certificate not met before on this target is added to ``certificates``."""
    if flight is None or not flight.certificates:
        return []
    sent = verdict.sent if verdict is not None and len(verdict.sent) == len(flight.certificates) else None
    chain = []
    for position, data in enumerate(flight.certificates):
        certificate = sent[position] if sent is not None else None
        if certificate is None or certificate.der != data:
            chain.append(certificates.sent_bytes(data))
        else:
            chain.append(certificates.sent(certificate))
    return chain


def timing_record(probe: Probe) -> dict[str, float]:
    """Milliseconds of each stage that a connection came to."""
    timing: dict[str, float] = {}
    if probe.connect_seconds is not None:
        timing["connect"] = round(probe.connect_seconds * 1000, 3)
    if probe.starttls_seconds is not None:
        timing["starttls"] = round(probe.starttls_seconds * 1000, 3)
    if probe.handshake_seconds is not None:
        timing["handshake"] = round(probe.handshake_seconds * 1000, 3)
    return timing


def endpoint_record(
    target: Target,
    endpoint: EndpointEvidence,
    flight: ServerFlight | None,
    verdict: ChainVerdict | None,
    chain: list[str],
    certificates: Certificates,
) -> EndpointRecord:
    probe = endpoint.probe
    record: EndpointRecord = {
        "address": endpoint.address,
        "stage": probe.stage.value,
        "error": None if probe.failure is None else probe.failure.value,
        "alert": None if probe.alert is None else _alert(probe.alert),
        "version": None,
        "cipher": None,
        "group": None,
        "alpn": None,
        "sni_accepted": None,
        "client_auth": None,
        "chain": chain,
        "trust": trust_records(verdict) if verdict is not None else {},
        "timing_ms": timing_record(probe),
    }
    if flight is not None:
        _negotiated(record, flight)
        if flight.negotiation.complete:
            record["client_auth"] = client_auth_record(endpoint, flight, target.protocol)
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
        # What --enumerate asked is summed up in versions and ciphers, but for the one whose flight stands for the address.
        further = [
            _followup(name, answer, certificates)
            for name, answer in endpoint.followups.items()
            if not name.startswith(ENUMERATION) or (flight is not None and answer.flight is flight)
        ]
        if further:
            record["followups"] = further
    if verdict is not None and not verdict.trusted:
        _completing(verdict, certificates)
    observed = facts_of_endpoint(target, endpoint, found, certificates)
    if observed:
        record["observed"] = observed
    return record


def _completing(verdict: ChainVerdict, certificates: Certificates) -> None:
    """Keep what closed a path and was not sent: this target alone would not show it again."""
    source = {sha256: source for store in verdict.stores.values() for sha256, source in store.completed_from.items()}
    for certificate in verdict.path if source else ():
        if certificate.sha256 in source:
            certificates.further(certificate, cast(CertificateSource, source[certificate.sha256]))


def _add(failed: list[str], what: str, add: Callable[..., None], *about: Any) -> None:
    """Add a part to a record; a bug in it costs the part, and is noted in ``failed``."""
    try:
        add(*about)
    except BaseException as error:  # noqa: BLE001 - the rest of the finding stands without it
        failed.append(describe_caught(f"record of {what}", error))


def _add_scts(record: EndpointRecord, case: Case) -> None:
    scts = sct_records(case)
    if scts:
        record["scts"] = scts


def _add_revocation(
    record: EndpointRecord,
    evidence: Evidence,
    endpoint: EndpointEvidence,
    verdict: ChainVerdict | None,
    context: Context | None,
) -> None:
    ocsp, crl = revocation_records(evidence, endpoint, verdict, context)
    if ocsp is not None:
        record["ocsp"] = ocsp
    if crl is not None:
        record["crl"] = crl


def _alert(alert: tuple[int, int]) -> AlertRecord:
    return {"level": alert[0], "code": alert[1], "name": alert_name(alert[1])}


def _negotiated(record: EndpointRecord, flight: ServerFlight) -> None:
    if flight.negotiation.version is not None:
        record["version"] = version_name(flight.negotiation.version)
    if flight.negotiation.cipher is not None:
        record["cipher"] = cipher_name(flight.negotiation.cipher)
    if flight.negotiation.group is not None:
        record["group"] = group_name(flight.negotiation.group)
    if flight.negotiation.alpn is not None:
        record["alpn"] = safe_text(flight.negotiation.alpn)
    record["sni_accepted"] = flight.negotiation.sni_acknowledged
    if flight.negotiation.signature_scheme is not None:
        record["signature_scheme"] = scheme_name(flight.negotiation.signature_scheme)
    if flight.negotiation.hello_retry:
        record["hello_retry"] = True


def trust_records(verdict: ChainVerdict) -> dict[str, TrustRecord]:
    trust: dict[str, TrustRecord] = {}
    for name, store in verdict.stores.items():
        record: TrustRecord = {"trusted": store.trusted, "anchor": store.anchor, "path": list(store.path)}
        if store.problems:
            record["error"] = store.problems[0].code
            if len(store.problems) > 1:
                record["errors"] = list(dict.fromkeys(problem.code for problem in store.problems))
        trust[safe_text(name)] = record
    return trust


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
