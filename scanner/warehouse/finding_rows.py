"""A finding as rows of the warehouse's tables. Pure; of foreign files what is not as it should be becomes null.

``run_date`` is not among them: it is known when all of a run was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from scanner.fleet.keys import domain_of, leaf_of
from scanner.model.findings import (
    AlertRecord,
    CertificateRecord,
    ClientAuthRecord,
    DiagnosisRecord,
    EndpointRecord,
    Finding,
    TargetRecord,
)

Row = dict[str, Any]

_FINDING: Final = Finding.__annotations__.keys()
_TARGET: Final = TargetRecord.__annotations__.keys()
_DIAGNOSIS: Final = DiagnosisRecord.__annotations__.keys()
_ENDPOINT: Final = EndpointRecord.__annotations__.keys()
_ALERT: Final = AlertRecord.__annotations__.keys()
_CLIENT_AUTH: Final = ClientAuthRecord.__annotations__.keys()
_TIMING: Final = {"connect": None, "starttls": None, "handshake": None}.keys()
_CERTIFICATE: Final = CertificateRecord.__annotations__.keys()

_INTEGERS: Final = range(-(2**63), 2**63)
_SHA256_DIGITS: Final = 64
# DuckDB reads JSON of 128 levels; what is deeper was not written by us.
MAX_DEPTH: Final = 100


def finding_row(finding: Mapping[str, Any], run: str, row: int) -> Row:
    """The row of ``findings``."""
    target = _mapping(finding.get("target"))
    leaf = leaf_of(finding)
    more = _rest(finding, _FINDING)
    if other := _rest(target, _TARGET):
        more = {**(more or {}), "target": other}
    return {
        "run": run,
        "row": row,
        "id": None if target.get("id") is None else str(target["id"]),
        "host": _text(target.get("host")),
        "port": _integer(target.get("port")),
        "protocol": _text(target.get("protocol")),
        "sni": _text(target.get("sni")),
        "address": _text(target.get("address")),
        "domain": domain_of(finding),
        "outcome": finding["outcome"],
        "stage": _text(finding.get("stage")),
        "cause": _text(finding.get("cause")),
        "started": moment(finding.get("started")),
        "duration_ms": _number(finding.get("duration_ms")),
        "attempts": _integer(finding.get("attempts")),
        "tags": target.get("tags"),
        "clients": finding.get("clients"),
        "dns": finding.get("dns"),
        "leaf": None if leaf is None else _text(leaf.get("sha256")),
        "error": _text(finding.get("error")),
        "judged_with": finding.get("judged_with"),
        "observed": finding.get("observed"),
        "more": more,
    }


def diagnosis_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """The rows of ``diagnoses``."""
    for place, diagnosis in enumerate(_mappings(finding.get("diagnoses"))):
        yield {
            "run": run,
            "row": row,
            "position": place,
            "code": _text(diagnosis.get("code")),
            "cause": _text(diagnosis.get("cause")),
            "severity": _text(diagnosis.get("severity")),
            "summary": _text(diagnosis.get("summary")),
            "evidence": diagnosis.get("evidence"),
            "remedy": _text(diagnosis.get("remedy")),
            "confirm": _text(diagnosis.get("confirm")),
            "endpoints": _texts(diagnosis.get("endpoints")),
            "more": _rest(diagnosis, _DIAGNOSIS),
        }


def endpoint_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """The rows of ``endpoints``."""
    for place, endpoint in enumerate(_mappings(finding.get("endpoints"))):
        alert, auth = _mapping(endpoint.get("alert")), _mapping(endpoint.get("client_auth"))
        timing, trust = _mapping(endpoint.get("timing_ms")), _mapping(endpoint.get("trust"))
        more = _rest(endpoint, _ENDPOINT)
        for name, part, known in (
            ("alert", alert, _ALERT),
            ("client_auth", auth, _CLIENT_AUTH),
            ("timing_ms", timing, _TIMING),
        ):
            if other := _rest(part, known):
                more = {**(more or {}), name: other}
        yield {
            "run": run,
            "row": row,
            "position": place,
            "address": _text(endpoint.get("address")),
            "stage": _text(endpoint.get("stage")),
            "error": _text(endpoint.get("error")),
            "alert_level": _integer(alert.get("level")),
            "alert_code": _integer(alert.get("code")),
            "alert_name": _text(alert.get("name")),
            "version": _text(endpoint.get("version")),
            "cipher": _text(endpoint.get("cipher")),
            "named_group": _text(endpoint.get("group")),
            "alpn": _text(endpoint.get("alpn")),
            "sni_accepted": _boolean(endpoint.get("sni_accepted")),
            "client_auth_requested": _boolean(auth.get("requested")),
            "client_auth_required": _boolean(auth.get("required")),
            "client_auth_accepted": _boolean(auth.get("accepted")),
            "client_auth_authorities": _texts(auth.get("authorities")),
            "application": endpoint.get("application"),
            "trusted": any(_mapping(store).get("trusted") is True for store in trust.values()) if trust else None,
            "trust": endpoint.get("trust"),
            "connect_ms": _number(timing.get("connect")),
            "starttls_ms": _number(timing.get("starttls")),
            "handshake_ms": _number(timing.get("handshake")),
            "versions": _texts(endpoint.get("versions")),
            "ciphers": _texts(endpoint.get("ciphers")),
            "signature_scheme": _text(endpoint.get("signature_scheme")),
            "hello_retry": _boolean(endpoint.get("hello_retry")),
            "ocsp": endpoint.get("ocsp"),
            "crl": endpoint.get("crl"),
            "scts": endpoint.get("scts"),
            "untrusted_issuer": endpoint.get("untrusted_issuer"),
            "followups": endpoint.get("followups"),
            "observed": endpoint.get("observed"),
            "more": more,
        }


def chain_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """The rows of ``chains``."""
    sent = set()
    for number, endpoint in enumerate(_mappings(finding.get("endpoints"))):
        for place, sha256 in enumerate(_texts(endpoint.get("chain")) or ()):
            sent.add(sha256)
            yield {
                "run": run, "row": row, "endpoint": number, "position": place,
                "address": _text(endpoint.get("address")), "sha256": sha256, "source": None,
            }  # fmt: skip
    for place, certificate in enumerate(_mappings(finding.get("certificates"))):
        unsent = _text(certificate.get("sha256"))
        if unsent is not None and unsent not in sent:
            yield {
                "run": run, "row": row, "endpoint": -1, "position": place,
                "address": None, "sha256": unsent, "source": _text(certificate.get("source")),
            }  # fmt: skip


def certificates_of(finding: Mapping[str, Any]) -> Iterator[tuple[str, bool, Mapping[str, Any]]]:
    """SHA-256, whether the DER is there, and the record, of each certificate of a finding that is told by a SHA-256."""
    for record in _mappings(finding.get("certificates")):
        sha256 = record.get("sha256")
        if isinstance(sha256, str) and len(sha256) == _SHA256_DIGITS:
            yield sha256, isinstance(record.get("der"), str), record


def certificate_row(record: Mapping[str, Any]) -> Row:
    """One row of ``certificates``."""
    return {
        "sha256": record["sha256"],
        "subject": _text(record.get("subject")),
        "issuer": _text(record.get("issuer")),
        "san": _texts(record.get("san")),
        "serial": _text(record.get("serial")),
        "not_before": moment(record.get("not_before")),
        "not_after": moment(record.get("not_after")),
        "key": _text(record.get("key")),
        "signature": _text(record.get("signature")),
        "error": _text(record.get("error")),
        "der": _text(record.get("der")),
        "more": _rest(record, _CERTIFICATE),
    }


class TooDeep(Exception):
    """A value has more levels than databases read."""


def dumped(row: Row) -> bytes:
    """A row as a line of JSON. Raises ``TooDeep`` where a value has ``MAX_DEPTH`` levels or more."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # orjson reads four times as many levels as it writes
        raise TooDeep from None
    # every level takes a bracket, so that hardly any row is looked at closely
    if line.count(b"[") + line.count(b"{") >= MAX_DEPTH and not _shallow(row):
        raise TooDeep
    return line


# --- values ------------------------------------------------------------------------------------------


def moment(value: Any) -> str | None:
    """RFC 3339 text as every database reads it, ``2026-11-23 06:00:00.000``, in UTC; ``None`` where it is no such time."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        if value[4:5] + value[7:8] + value[10:11] + value[19:20] + value[23:] == "--T.Z":
            return f"{value[:10]} {value[11:23]}"  # as findings have it
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(" ", "milliseconds")


def _shallow(value: Any) -> bool:
    """Whether a value has few enough levels; without recursion, whatever it holds."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return True
    return False


def _rest(record: Mapping[str, Any], known: Set[str]) -> Row | None:
    if record.keys() <= known:
        return None
    return {name: record[name] for name in record if name not in known}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def _integer(value: Any) -> int | None:
    return value if type(value) is int and value in _INTEGERS else None


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
