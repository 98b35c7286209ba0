"""A finding out of evidence, verdicts and diagnosis: plain dictionaries, ready for ``orjson``.

This is on the path of every target, so it copies numbers and strings and computes nothing. Text from outside stays
exact, but valid UTF-8: what no UTF-8 can hold (lone surrogates) is written as an escape.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import floor, isfinite
from typing import Any, Final, cast

import orjson

from scanner.diagnosis.case import ENUMERATION, accepted_of, flight_of
from scanner.diagnosis.engine import Diagnosis
from scanner.evidence import DnsAnswer, DnsStatus, EndpointEvidence, Evidence, InvalidRow, Probe, ServerFlight, Target
from scanner.findings import (
    SCHEMA,
    AlertRecord,
    CaaRecord,
    CertificateRecord,
    ClientAuthRecord,
    DnsRecord,
    EndpointRecord,
    ExtendedErrorRecord,
    Finding,
    FollowupRecord,
    OcspRecord,
    TargetRecord,
    TlsaRecord,
    TrustRecord,
)
from scanner.pki.cache import ShyCache
from scanner.pki.certificate import Certificate, CertificateError, describe, describe_malformed
from scanner.pki.distinguished import name_text
from scanner.pki.verdicts import ChainVerdict
from scanner.tls.names import alert_name, cipher_name, group_name, scheme_name, version_name

# Issuers repeat on every host, leaves do not: enough for all the intermediates there are, and some shared leaves.
FRAGMENTS_KEPT: Final = 4096
# Values nested deeper than this in a row's own columns are no inventory; they are written as text.
MAX_TAG_DEPTH: Final = 16
# What JSON readers take for a number without loss, and what orjson writes.
_INTEGERS: Final = range(-(2**63), 2**63)


class Fragments:
    """Certificate records already written as JSON, by fingerprint: most of a chain was met before.

    The findings made with it hold ``orjson.Fragment``s where ``certificates`` has records, so they are for writing.
    """

    __slots__ = ("_kept",)

    def __init__(self, limit: int = FRAGMENTS_KEPT) -> None:
        self._kept: ShyCache[str, orjson.Fragment] = ShyCache(limit)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, certificate: Certificate) -> orjson.Fragment | CertificateRecord:
        """The record of ``certificate``, as JSON if it was met before."""
        fragment = self._kept.get(certificate.sha256)
        if fragment is not None:
            return fragment
        record = describe(certificate)
        self._kept.offer(certificate.sha256, lambda: orjson.Fragment(orjson.dumps(record)))
        return record


def finding(
    evidence: Evidence,
    verdicts: Sequence[ChainVerdict | None],
    diagnosis: Diagnosis,
    run_id: str,
    *,
    fragments: Fragments | None = None,
) -> Finding:
    """The finding of one target. ``verdicts`` is parallel to ``evidence.endpoints``."""
    endpoints: list[EndpointRecord] = []
    certificates: dict[str, CertificateRecord] = {}
    for position, endpoint in enumerate(evidence.endpoints):
        verdict = verdicts[position] if position < len(verdicts) else None
        flight = flight_of(endpoint)
        chain = _chain(flight, verdict, certificates, fragments)
        endpoints.append(_endpoint(endpoint, flight, verdict, chain))
    record: Finding = {
        "schema": SCHEMA,
        "run": run_id,
        "target": _target(evidence.target),
        "started": timestamp(evidence.started),
        "duration_ms": _milliseconds(evidence.duration),
        "attempts": evidence.attempts,
        "outcome": diagnosis.outcome,
        "stage": diagnosis.stage.value,
        "cause": diagnosis.cause,
        "diagnoses": cast(Any, clean(diagnosis.diagnoses)) if diagnosis.diagnoses else [],
        "clients": diagnosis.clients,
        "dns": None if evidence.dns is None else _dns(evidence.dns),
        "endpoints": endpoints,
        "certificates": list(certificates.values()),
    }
    if diagnosis.error is not None:
        record["error"] = text(diagnosis.error)
    return record


def for_another_row(record: Finding, target: Target) -> Finding:
    """The same finding for another row that names the same target: what was seen once answers both."""
    return {**record, "target": _target(target)}


def invalid_finding(row: InvalidRow, run_id: str, *, started: float = 0.0) -> Finding:
    """The finding of a row that cannot be probed; ``error`` says what is wrong with it."""
    return {
        "schema": SCHEMA,
        "run": run_id,
        "target": {
            "row": row.row,
            "id": clean(row.id),
            "host": None if row.host is None else text(row.host),
            "port": row.port,
            "protocol": None if row.protocol is None else text(row.protocol),
            "sni": None,
            "address": None,
            "tags": clean(dict(row.tags)),
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
        "error": text(row.reason),
    }


# --- text and numbers ------------------------------------------------------------------------------


def text(value: str) -> str:
    """``value``, with lone surrogates, which UTF-8 cannot hold, written as escapes."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def clean(value: Any, depth: int = MAX_TAG_DEPTH) -> Any:
    """``value`` as JSON can hold it: valid text, integers of 64 bits, text for what is anything else."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else str(value)
    if depth > 0:
        if isinstance(value, Mapping):
            return {text(str(key)): clean(item, depth - 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(item, depth - 1) for item in value]
    return text(str(value))


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 text with milliseconds, in UTC."""
    whole = floor(seconds) if isfinite(seconds) else 0
    return f"{_second(whole)}.{int((seconds - whole) * 1000) if isfinite(seconds) else 0:03d}Z"


@lru_cache(maxsize=16)
def _second(whole: int) -> str:
    """The second as text; thousands of findings begin within the same one."""
    try:
        moment = datetime.fromtimestamp(whole, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat()[:-6]


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


# --- parts -----------------------------------------------------------------------------------------


def _target(target: Target) -> TargetRecord:
    return {
        "row": target.row,
        "id": clean(target.id) if target.id is not None else None,
        "host": text(target.host),
        "port": target.port,
        "protocol": text(target.protocol),
        "sni": None if target.sni is None else text(target.sni),
        "address": target.address,
        "tags": clean(target.tags) if target.tags else {},
    }


def _dns(answer: DnsAnswer) -> DnsRecord:
    record: DnsRecord = {
        "status": answer.status.value,
        "cname": [text(name) for name in answer.cname],
        "addresses": list(answer.addresses),
        "dnssec": "bogus"
        if answer.bogus
        else "secure"
        if answer.authenticated
        else "insecure"
        if answer.status in _ANSWERED and answer.source == "dns"
        else "indeterminate",
        "resolver": None if answer.resolver is None else text(answer.resolver),
        "source": answer.source,
    }
    if answer.extended_errors:
        record["extended_errors"] = [
            ExtendedErrorRecord(code=code, text=text(words)) for code, words in answer.extended_errors
        ]
    if answer.caa is not None:
        record["caa"] = [CaaRecord(flags=flags, tag=text(tag), value=text(value)) for flags, tag, value in answer.caa]
    if answer.tlsa is not None:
        record["tlsa"] = [
            TlsaRecord(usage=usage, selector=selector, matching_type=matching, data=data.hex())
            for usage, selector, matching, data in answer.tlsa
        ]
    return record


_ANSWERED: Final = frozenset({DnsStatus.NOERROR, DnsStatus.NODATA, DnsStatus.NXDOMAIN})


def _chain(
    flight: ServerFlight | None,
    verdict: ChainVerdict | None,
    certificates: dict[str, CertificateRecord],
    fragments: Fragments | None,
) -> list[str]:
    """Fingerprints of what was sent; each certificate not met before on this target is added to ``certificates``."""
    if flight is None or not flight.certificates:
        return []
    sent = verdict.sent if verdict is not None and len(verdict.sent) == len(flight.certificates) else None
    chain = []
    for position, data in enumerate(flight.certificates):
        certificate = sent[position] if sent is not None else None
        if certificate is None or certificate.der != data:
            try:
                certificate = Certificate.parse_untrusted(data)
            except CertificateError as error:
                malformed = describe_malformed(data, text(str(error)))
                chain.append(malformed["sha256"])
                certificates.setdefault(malformed["sha256"], malformed)
                continue
        sha256 = certificate.sha256
        chain.append(sha256)
        if sha256 not in certificates:
            if fragments is not None:
                certificates[sha256] = cast(CertificateRecord, fragments.of(certificate))
            else:
                certificates[sha256] = describe(certificate)
    return chain


def _endpoint(
    endpoint: EndpointEvidence, flight: ServerFlight | None, verdict: ChainVerdict | None, chain: list[str]
) -> EndpointRecord:
    probe = endpoint.probe
    timing: dict[str, float] = {}
    if probe.connect_seconds is not None:
        timing["connect"] = round(probe.connect_seconds * 1000, 3)
    if probe.starttls_seconds is not None:
        timing["starttls"] = round(probe.starttls_seconds * 1000, 3)
    if probe.handshake_seconds is not None:
        timing["handshake"] = round(probe.handshake_seconds * 1000, 3)
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
        "trust": _trust(verdict) if verdict is not None else {},
        "timing_ms": timing,
    }
    if flight is not None:
        _negotiated(record, flight)
    found = accepted_of(endpoint)
    if found is not None:
        accepted = {version: suites for version, suites in found.items() if suites}
        record["versions"] = [version_name(version) for version in sorted(accepted, reverse=True)]
        record["ciphers"] = list(
            dict.fromkeys(cipher_name(code) for version in sorted(accepted, reverse=True) for code in accepted[version])
        )
    if endpoint.followups:
        # What --enumerate asked is summed up in versions and ciphers.
        record["followups"] = [
            _followup(name, answer) for name, answer in endpoint.followups.items() if not name.startswith(ENUMERATION)
        ]
    return record


def _alert(alert: tuple[int, int]) -> AlertRecord:
    return {"level": alert[0], "code": alert[1], "name": alert_name(alert[1])}


def _negotiated(record: EndpointRecord, flight: ServerFlight) -> None:
    if flight.version is not None:
        record["version"] = version_name(flight.version)
    if flight.cipher is not None:
        record["cipher"] = cipher_name(flight.cipher)
    if flight.group is not None:
        record["group"] = group_name(flight.group)
    if flight.alpn is not None:
        record["alpn"] = text(flight.alpn)
    record["sni_accepted"] = flight.sni_acknowledged
    if flight.complete:
        record["client_auth"] = _client_auth(flight)
    if flight.signature_scheme is not None:
        record["signature_scheme"] = scheme_name(flight.signature_scheme)
    if flight.hello_retry:
        record["hello_retry"] = True
    if flight.ocsp_response is not None:
        record["ocsp"] = OcspRecord(stapled=True, bytes=len(flight.ocsp_response))
    if flight.scts:
        record["scts"] = [base64.b64encode(sct).decode("ascii") for sct in flight.scts]


def _client_auth(flight: ServerFlight) -> ClientAuthRecord:
    request = flight.client_auth
    if request is None:
        return {"requested": False, "required": False, "authorities": []}
    return {
        "requested": True,
        "required": None,
        "authorities": [text(name_text(name).text) for name in request.authorities],
    }


def _trust(verdict: ChainVerdict) -> dict[str, TrustRecord]:
    trust: dict[str, TrustRecord] = {}
    for name, store in verdict.stores.items():
        record: TrustRecord = {"trusted": store.trusted, "anchor": store.anchor, "path": list(store.path)}
        if store.problems:
            record["error"] = store.problems[0].code
        trust[text(name)] = record
    return trust


def _followup(name: str, answer: Probe) -> FollowupRecord:
    record: FollowupRecord = {
        "question": name,
        "offer": answer.offer,
        "sni": None if answer.sni is None else text(answer.sni),
        "result": "ok" if answer.failure is None else answer.failure.value,
    }
    flight = answer.flight
    if flight is not None and flight.version is not None:
        record["version"] = version_name(flight.version)
    if flight is not None and flight.cipher is not None:
        record["cipher"] = cipher_name(flight.cipher)
    if answer.alert is not None:
        record["alert"] = alert_name(answer.alert[1])
    return record
