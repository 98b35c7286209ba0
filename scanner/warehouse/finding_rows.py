"""Converts a finding into rows of the warehouse's tables. Values of an unexpected type become null.

The rows lack ``run_date``, which is known only once all of a run has been read.
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
# DuckDB reads JSON of up to 128 levels; our own findings have far fewer.
MAX_DEPTH: Final = 100


def finding_row(finding: Mapping[str, Any], run: str, row: int) -> Row:
    """Return the row of ``findings``."""
    target = _mapping(finding.get("target"))
    leaf = leaf_of(finding)
    more = _unknown_fields(finding, _FINDING)
    if other := _unknown_fields(target, _TARGET):
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
        "started": timestamp(finding.get("started")),
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
    """Yield the rows of ``diagnoses``."""
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
            "more": _unknown_fields(diagnosis, _DIAGNOSIS),
        }


def endpoint_rows(finding: Mapping[str, Any], run: str, row: int) -> Iterator[Row]:
    """Yield the rows of ``endpoints``."""
    for place, endpoint in enumerate(_mappings(finding.get("endpoints"))):
        alert, auth = _mapping(endpoint.get("alert")), _mapping(endpoint.get("client_auth"))
        timing, trust = _mapping(endpoint.get("timing_ms")), _mapping(endpoint.get("trust"))
        more = _unknown_fields(endpoint, _ENDPOINT)
        for name, part, known in (
            ("alert", alert, _ALERT),
            ("client_auth", auth, _CLIENT_AUTH),
            ("timing_ms", timing, _TIMING),
        ):
            if other := _unknown_fields(part, known):
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
    """Yield the rows of ``chains``."""
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
    """Yield (SHA-256, whether it has its DER, record) for each certificate of a finding that has a SHA-256."""
    for record in _mappings(finding.get("certificates")):
        sha256 = record.get("sha256")
        if isinstance(sha256, str) and len(sha256) == _SHA256_DIGITS:
            yield sha256, isinstance(record.get("der"), str), record


def certificate_row(record: Mapping[str, Any]) -> Row:
    """Return a row of ``certificates``."""
    return {
        "sha256": record["sha256"],
        "subject": _text(record.get("subject")),
        "issuer": _text(record.get("issuer")),
        "san": _texts(record.get("san")),
        "serial": _text(record.get("serial")),
        "not_before": timestamp(record.get("not_before")),
        "not_after": timestamp(record.get("not_after")),
        "key": _text(record.get("key")),
        "signature": _text(record.get("signature")),
        "error": _text(record.get("error")),
        "der": _text(record.get("der")),
        "more": _unknown_fields(record, _CERTIFICATE),
    }


class TooDeep(Exception):
    """A value is nested more deeply than databases can read."""


def encode_row(row: Row) -> bytes:
    """Return a row as a line of JSON. Raises ``TooDeep`` if a value has ``MAX_DEPTH`` levels or more."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # orjson can read four times as many levels as it can write
        raise TooDeep from None
    # every level takes a bracket, so hardly any row needs the walk
    if line.count(b"[") + line.count(b"{") >= MAX_DEPTH and not _is_shallow(row):
        raise TooDeep
    return line


# --- values ------------------------------------------------------------------------------------------


def timestamp(value: Any) -> str | None:
    """Convert an RFC 3339 time to UTC in the form that all databases read, ``2026-11-23 06:00:00.000``.

    Returns ``None`` for any other value.
    """
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        if value[4:5] + value[7:8] + value[10:11] + value[19:20] + value[23:] == "--T.Z":
            return f"{value[:10]} {value[11:23]}"  # the form that our findings have
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(" ", "milliseconds")


def _is_shallow(value: Any) -> bool:
    """Return whether a value has fewer than ``MAX_DEPTH`` levels. Walks level by level, without recursion."""
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


def _unknown_fields(record: Mapping[str, Any], known: Set[str]) -> Row | None:
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
