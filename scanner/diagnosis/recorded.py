"""Evidence read back out of a finding: the inverse of ``scanner.diagnosis.assembly.finding_record``.

A findings file may be old, written by another version, edited with tools, or made to do harm. Whatever it holds, the result
is evidence of the right types or a ``RecordedError``. Fields with unknown names, which a newer version may have written, are
ignored.

The records below are the published fields of a finding from which evidence is made. All other fields of the evidence are in
``observed`` under their own names (``scanner.codec.encode``).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal

from msgspec import Struct, field

from scanner.codec.decode import RecordedError, decode, decode_fields
from scanner.codec.encode import FIRST_OFFER, PUBLISHED
from scanner.diagnosis.case import ENUMERATION
from scanner.diagnosis.engine import JUDGING, NO_RULE, OWN_FAULT
from scanner.model.evidence import (
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    Negotiation,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.tls import registry_names as names
from scanner.tls.offers import TLS13

# The certificate (DER) with a SHA-256 in lower-case hex, or None where it is not known.
CertificateOf = Callable[[str], bytes | None]
# The certificate, or RecordedError.
DerOf = Callable[[str], bytes]

_QUESTION_OF_ENUMERATION: Final = re.compile(rf"{ENUMERATION}[0-9a-f]{{4}}-[0-9]{{1,6}}")


class _ExtendedError(Struct):
    code: int
    text: str


class _Caa(Struct):
    flags: int
    tag: str
    value: str


class _Tlsa(Struct):
    usage: int
    selector: int
    matching_type: int
    data: str


class _Dns(Struct):
    status: DnsStatus
    addresses: tuple[str, ...]
    cname: tuple[str, ...] = ()
    dnssec: Any = None
    extended_errors: tuple[_ExtendedError, ...] = ()
    resolver: str | None = None
    source: Literal["dns", "hosts"] = "dns"
    caa: tuple[_Caa, ...] | None = None
    tlsa: tuple[_Tlsa, ...] | None = None
    observed: dict[str, Any] = field(default_factory=dict)


class _Alert(Struct):
    level: int
    code: int


class _Timing(Struct):
    connect: float | None = None
    starttls: float | None = None
    handshake: float | None = None


class _Sct(Struct):
    raw: bytes | None = None


class _Followup(Struct):
    question: str
    offer: str
    result: str
    sni: str | None = None
    observed: dict[str, Any] = field(default_factory=dict)


class _Endpoint(Struct):
    address: str
    stage: Stage
    chain: tuple[str, ...]
    error: Failure | None = None
    alert: _Alert | None = None
    version: str | None = None
    cipher: str | None = None
    group: str | None = None
    signature_scheme: str | None = None
    alpn: str | None = None
    sni_accepted: bool | None = None
    hello_retry: bool = False
    scts: tuple[_Sct | bytes, ...] = ()  # once they were written bare
    timing_ms: _Timing = field(default_factory=_Timing)
    followups: tuple[_Followup, ...] = ()
    observed: dict[str, Any] = field(default_factory=dict)


class _Finding(Struct):
    target: dict[str, Any]
    started: datetime
    endpoints: tuple[_Endpoint, ...]
    duration_ms: float = 0.0
    attempts: int = 1
    error: str | None = None
    dns: _Dns | None = None
    observed: dict[str, Any] = field(default_factory=dict)


def evidence_of(finding: Mapping[str, Any], certificate_of: CertificateOf) -> Evidence:
    """Return the evidence in the finding of a target that was probed. Raises ``RecordedError`` and nothing else."""

    @cache
    def der_of(sha256: str) -> bytes:
        der = certificate_of(sha256)
        if der is None:
            raise RecordedError(f"the certificate {sha256[:16]!a} is in none of the files")
        return der

    written = decode(finding, _Finding, "finding")
    target = _target(written.target)
    endpoints = tuple(_endpoint(each, target, der_of) for each in written.endpoints)
    observed = written.observed
    if isinstance(issuers := observed.get("issuers"), list):
        observed = observed | {"issuers": [_with_certificates(each, der_of) for each in issuers]}
    return Evidence(
        target=target,
        started=_seconds_since_epoch(written.started),
        dns=None if written.dns is None else _dns(written.dns),
        endpoints=endpoints,
        duration=written.duration_ms / 1000,
        attempts=written.attempts,
        bug=_bug(written.error, endpoints),
        **decode_fields(observed, Evidence, PUBLISHED[Evidence]),
    )


def _with_certificates(record: Any, der_of: DerOf) -> Any:
    """Return a JSON record with certificates in place of their SHA-256."""
    if isinstance(record, dict) and isinstance(named := record.get("certificates"), list):
        return record | {"certificates": [der_of(each) if isinstance(each, str) else each for each in named]}
    return record


def _flight(record: Any, der_of: DerOf) -> Any:
    """Return a JSON flight with its certificates, and with its negotiation, whose fields are written beside them, as a field."""
    return _with_certificates(record, der_of) | {"negotiation": record} if isinstance(record, dict) else record


def _bug(error: str | None, endpoints: tuple[EndpointEvidence, ...]) -> str | None:
    """Return the exception of ours that concerned the whole target; that of one address is in its own ``detail``."""
    if error is None or not error.startswith(OWN_FAULT):
        return None
    # what failed in judging is judged again
    words = error[len(OWN_FAULT) :].partition(JUDGING)[0].removesuffix("; ")
    for endpoint in endpoints:
        if endpoint.probe.failure is Failure.BUG:
            words = words.removesuffix(endpoint.probe.detail or "no details").removesuffix("; ")
            break
    return None if not words or words.startswith(NO_RULE) else words


def _target(written: dict[str, Any]) -> Target:
    return decode({"sni": None} | written | {"host_is_ip": _is_address(written.get("host"))}, Target, "target")


def _is_address(host: Any) -> bool:
    try:
        ipaddress.ip_address(host if isinstance(host, str) else "")
    except ValueError:
        return False
    return True


def _seconds_since_epoch(moment: datetime) -> float:
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _dns(written: _Dns) -> DnsAnswer:
    caa, tlsa = written.caa, written.tlsa
    return DnsAnswer(
        status=written.status,
        addresses=written.addresses,
        cname=written.cname,
        authenticated=written.dnssec == "secure",
        bogus=written.dnssec == "bogus",
        extended_errors=tuple((each.code, each.text) for each in written.extended_errors),
        resolver=written.resolver,
        source=written.source,
        caa=None if caa is None else tuple((each.flags, each.tag, each.value) for each in caa),
        tlsa=None if tlsa is None else tuple(map(_tlsa, tlsa)),
        **decode_fields(written.observed, DnsAnswer, PUBLISHED[DnsAnswer]),
    )


def _tlsa(written: _Tlsa) -> tuple[int, int, int, bytes]:
    try:
        data = bytes.fromhex(written.data)
    except ValueError:
        raise RecordedError("data: not hexadecimal") from None
    return written.usage, written.selector, written.matching_type, data


def _endpoint(written: _Endpoint, target: Target, der_of: DerOf) -> EndpointEvidence:
    followups: dict[str, Probe] = {}
    for answer in written.followups:
        name = answer.question
        if name.startswith(ENUMERATION) and not _QUESTION_OF_ENUMERATION.fullmatch(name):
            raise RecordedError("question: not a name of --enumerate's")
        followups[name] = _followup(answer, der_of)
    return EndpointEvidence(
        address=written.address,
        probe=_first(written, target, der_of),
        followups=followups,
        **decode_fields(written.observed, EndpointEvidence, PUBLISHED[EndpointEvidence]),
    )


def _first(written: _Endpoint, target: Target, der_of: DerOf) -> Probe:
    """Return the first connection. A flight that was read to its end is in the endpoint's own fields, another in ``observed``."""
    probe = decode(written.observed.get("probe", {}), dict[str, Any], "probe")
    whole = written.error is None
    flight = _flight(probe.get("flight", {} if whole else None), der_of)
    seen: ServerFlight | None = None
    if flight is not None and whole:
        seen = _whole_flight(written, flight, der_of)
    elif flight is not None:
        seen = decode(flight, ServerFlight, "flight")
    facts: dict[str, Any] = {"offer": FIRST_OFFER, "sni": target.sni} | decode_fields(
        probe, Probe, (*PUBLISHED[Probe], "flight")
    )
    return Probe(
        stage=written.stage,
        failure=written.error,
        alert=None if written.alert is None else (written.alert.level, written.alert.code),
        flight=seen,
        connect_seconds=_seconds(written.timing_ms.connect),
        starttls_seconds=_seconds(written.timing_ms.starttls),
        handshake_seconds=_seconds(written.timing_ms.handshake),
        **facts,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _whole_flight(written: _Endpoint, observed: Mapping[str, Any], der_of: DerOf) -> ServerFlight:
    """Return a flight that was read to its end, from the endpoint's own fields and ``observed``."""
    version = _code("version", written.version, names.version_code)
    facts = decode_fields(observed, Negotiation, (), "flight")
    negotiation: dict[str, Any] = {
        "version": version,
        "cipher": _code("cipher", written.cipher, names.cipher_code),
        "group": _code("group", written.group, names.group_code),
        "signature_scheme": _code("signature_scheme", written.signature_scheme, names.scheme_code),
        "alpn": written.alpn,
        "sni_acknowledged": written.sni_accepted,
        "hello_retry": written.hello_retry,
        "signature_valid": True,
        "finished_valid": True if (facts.get("version") or version) == TLS13 else None,
        "complete": True,
    }
    flight: dict[str, Any] = {
        "certificates": tuple(map(der_of, written.chain)),
        # those of the TLS extension; others are in certificates and staples
        "scts": tuple(
            each if isinstance(each, bytes) else each.raw
            for each in written.scts
            if isinstance(each, bytes) or each.raw is not None
        ),
    }
    flight |= decode_fields(observed, ServerFlight, ("negotiation",), "flight")
    return ServerFlight(Negotiation(**(negotiation | facts)), **flight)


def _code(field: str, name: str | None, code_of: Callable[[str], int | None]) -> int | None:
    if name is None or name == names.GREASE:
        return None  # the number is in ``observed``
    code = code_of(name)
    if code is None:
        raise RecordedError(f"{field}: not known by that name")
    return code


def _followup(written: _Followup, der_of: DerOf) -> Probe:
    failure = None if written.result == "ok" else decode(written.result, Failure, "result")
    observed = written.observed
    if "flight" in observed:
        observed = observed | {"flight": _flight(observed["flight"], der_of)}
    facts: dict[str, Any] = {"stage": Stage.DONE if failure is None else Stage.HELLO}
    facts |= decode_fields(observed, Probe, ("offer", "sni", "failure"))
    return Probe(offer=written.offer, sni=written.sni, failure=failure, **facts)
