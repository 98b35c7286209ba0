"""A finding as rows of the warehouse's tables. Pure; of foreign files what is not as it should be becomes null."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from scanner.findings import CertificateRecord, EndpointRecord, Finding
from scanner.fleet.keys import domain_of, leaf_of

Row = dict[str, Any]

_FINDING_FIELDS: Final = frozenset(Finding.__annotations__)
_ENDPOINT_FIELDS: Final = frozenset(EndpointRecord.__annotations__)
_INTEGERS: Final = range(-(2**63), 2**63)


def finding_row(finding: Mapping[str, Any], run: str, row: int, run_date: str) -> Row:
    """The row of ``findings``."""
    target = _mapping(finding.get("target"))
    leaf = leaf_of(finding)
    return {
        "run": run,
        "run_date": run_date,
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
        "more": {name: finding[name] for name in finding if name not in _FINDING_FIELDS} or None,
    }


def diagnosis_rows(finding: Mapping[str, Any], run: str, row: int, run_date: str) -> Iterator[Row]:
    """The rows of ``diagnoses``."""
    for position, diagnosis in enumerate(_mappings(finding.get("diagnoses"))):
        yield {
            "run": run,
            "run_date": run_date,
            "row": row,
            "position": position,
            **{name: _text(diagnosis.get(name)) for name in ("code", "cause", "severity", "summary")},
            "evidence": diagnosis.get("evidence"),
            "remedy": _text(diagnosis.get("remedy")),
            "confirm": _text(diagnosis.get("confirm")),
            "endpoints": _texts(diagnosis.get("endpoints")),
        }


def endpoint_rows(finding: Mapping[str, Any], run: str, row: int, run_date: str) -> Iterator[Row]:
    """The rows of ``endpoints``."""
    for position, endpoint in enumerate(_mappings(finding.get("endpoints"))):
        alert, auth = _mapping(endpoint.get("alert")), _mapping(endpoint.get("client_auth"))
        timing, trust = _mapping(endpoint.get("timing_ms")), _mapping(endpoint.get("trust"))
        yield {
            "run": run,
            "run_date": run_date,
            "row": row,
            "position": position,
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
            **{
                name: endpoint.get(name)
                for name in ("ocsp", "crl", "scts", "untrusted_issuer", "followups", "observed")
            },
            "more": {name: endpoint[name] for name in endpoint if name not in _ENDPOINT_FIELDS} or None,
        }


def chain_rows(finding: Mapping[str, Any], run: str, row: int, run_date: str) -> Iterator[Row]:
    """The rows of ``chains``."""
    head = {"run": run, "run_date": run_date, "row": row}
    sent = set()
    for number, endpoint in enumerate(_mappings(finding.get("endpoints"))):
        for position, sha256 in enumerate(_texts(endpoint.get("chain")) or ()):
            sent.add(sha256)
            address = _text(endpoint.get("address"))
            yield {
                **head, "address": address, "endpoint": number, "position": position, "sha256": sha256, "source": None,
            }  # fmt: skip
    for position, certificate in enumerate(_mappings(finding.get("certificates"))):
        unsent = _text(certificate.get("sha256"))
        if unsent is not None and unsent not in sent:
            source = _text(certificate.get("source"))
            yield {
                **head, "address": None, "endpoint": -1, "position": position, "sha256": unsent, "source": source,
            }  # fmt: skip


def certificate_rows(finding: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of ``certificates``, each of this finding once."""
    for certificate in _mappings(finding.get("certificates")):
        sha256 = _text(certificate.get("sha256"))
        if sha256 is not None:
            yield certificate_row(certificate)


def certificate_row(certificate: Mapping[str, Any] | CertificateRecord) -> Row:
    """One row of ``certificates``."""
    return {
        **{name: _text(certificate.get(name)) for name in ("sha256", "subject", "issuer")},
        "san": _texts(certificate.get("san")),
        "serial": _text(certificate.get("serial")),
        "not_before": moment(certificate.get("not_before")),
        "not_after": moment(certificate.get("not_after")),
        **{name: _text(certificate.get(name)) for name in ("key", "signature", "error", "der")},
    }


# --- values ------------------------------------------------------------------------------------------


def moment(value: Any) -> str | None:
    """RFC 3339 text as every database reads it, ``2026-11-23 06:00:00.000``, in UTC; ``None`` where it is no such time."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        if found.tzinfo is not None:
            found = found.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None
    return found.isoformat(" ", "milliseconds")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> Sequence[str] | None:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else None


def _integer(value: Any) -> int | None:
    return value if type(value) is int and value in _INTEGERS else None


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None
