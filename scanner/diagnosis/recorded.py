"""Evidence read back out of a finding: the inverse of ``scanner.diagnosis.assemble``.

A findings file may be old, made by another version, cut about with tools, or made to do harm. Whatever it holds, what
comes of it is evidence of the right types or one ``RecordedError``; what a newer version wrote under names that are not
known here is passed over.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from scanner.codec.encode import FIRST_OFFER, PUBLISHED
from scanner.codec.typed import CertificateOf, Reading, RecordedError, known, take
from scanner.diagnosis.case import ENUMERATION
from scanner.diagnosis.engine import JUDGING, NO_RULE, OWN_FAULT
from scanner.model.evidence import (
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.tls import registry_names as names
from scanner.tls.offers import TLS13

_QUESTION_OF_ENUMERATION: Final = re.compile(rf"{ENUMERATION}[0-9a-f]{{4}}-[0-9]{{1,6}}")


def evidence_of(finding: Mapping[str, Any], certificate_of: CertificateOf) -> Evidence:
    """What was seen, as far as ``finding`` (of a target that was probed) holds it. Raises only ``RecordedError``."""
    reading = Reading(certificate_of)
    target = _target(take(finding, "target", dict[str, Any], reading))
    dns = take(finding, "dns", dict[str, Any] | None, reading, default=None)
    endpoints = tuple(
        _endpoint(record, target, reading) for record in take(finding, "endpoints", tuple[dict[str, Any], ...], reading)
    )
    return Evidence(
        target=target,
        started=_moment(take(finding, "started", str, reading)),
        dns=None if dns is None else _dns(dns, reading),
        endpoints=endpoints,
        duration=take(finding, "duration_ms", float, reading, default=0.0) / 1000,
        attempts=take(finding, "attempts", int, reading, default=1),
        bug=_bug(take(finding, "error", str | None, reading, default=None), endpoints),
        **_observed(Evidence, finding, reading, PUBLISHED[Evidence]),
    )


def _bug(error: str | None, endpoints: tuple[EndpointEvidence, ...]) -> str | None:
    """Our own exception that concerned the whole target; that of an address stands there."""
    if error is None or not error.startswith(OWN_FAULT):
        return None
    # what failed in judging is judged again
    words = error[len(OWN_FAULT) :].partition(JUDGING)[0].removesuffix("; ")
    for endpoint in endpoints:
        if endpoint.probe.failure is Failure.BUG:
            words = words.removesuffix(endpoint.probe.detail or "no details").removesuffix("; ")
            break
    return None if not words or words.startswith(NO_RULE) else words


# --- parts -----------------------------------------------------------------------------------------


def _target(record: Mapping[str, Any]) -> Target:
    reading = Reading(lambda _: None)
    host = take(record, "host", str, reading)
    port = take(record, "port", int, reading)
    if not 0 <= port <= 0xFFFF:
        raise RecordedError(f"port: {port} is none")
    return Target(
        row=take(record, "row", int, reading),
        host=host,
        port=port,
        protocol=take(record, "protocol", str, reading),
        sni=take(record, "sni", str | None, reading, default=None),
        address=take(record, "address", str | None, reading, default=None),
        id=take(record, "id", str | int | None, reading, default=None),
        tags=take(record, "tags", dict[str, Any], reading, default={}),
        host_is_ip=_is_address(host),
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        raise RecordedError("started: not a time") from None


def _dns(record: Mapping[str, Any], reading: Reading) -> DnsAnswer:
    dnssec = record.get("dnssec")
    caa = take(record, "caa", tuple[dict[str, Any], ...] | None, reading, default=None)
    tlsa = take(record, "tlsa", tuple[dict[str, Any], ...] | None, reading, default=None)
    return DnsAnswer(
        status=take(record, "status", DnsStatus, reading),
        addresses=take(record, "addresses", tuple[str, ...], reading),
        cname=take(record, "cname", tuple[str, ...], reading, default=()),
        authenticated=dnssec == "secure",
        bogus=dnssec == "bogus",
        extended_errors=tuple(
            (take(error, "code", int, reading), take(error, "text", str, reading))
            for error in take(record, "extended_errors", tuple[dict[str, Any], ...], reading, default=())
        ),
        resolver=take(record, "resolver", str | None, reading, default=None),
        source=take(record, "source", Literal["dns", "hosts"], reading, default="dns"),
        caa=None
        if caa is None
        else tuple(
            (take(e, "flags", int, reading), take(e, "tag", str, reading), take(e, "value", str, reading)) for e in caa
        ),
        tlsa=None if tlsa is None else tuple(_tlsa(entry, reading) for entry in tlsa),
        **_observed(DnsAnswer, record, reading, PUBLISHED[DnsAnswer]),
    )


def _tlsa(record: Mapping[str, Any], reading: Reading) -> tuple[int, int, int, bytes]:
    try:
        data = bytes.fromhex(take(record, "data", str, reading))
    except ValueError:
        raise RecordedError("data: not hexadecimal") from None
    usage, selector, matching = (take(record, name, int, reading) for name in ("usage", "selector", "matching_type"))
    return usage, selector, matching, data


def _endpoint(record: Mapping[str, Any], target: Target, reading: Reading) -> EndpointEvidence:
    followups: dict[str, Probe] = {}
    for answer in take(record, "followups", tuple[dict[str, Any], ...], reading, default=()):
        name = take(answer, "question", str, reading)
        if name.startswith(ENUMERATION) and not _QUESTION_OF_ENUMERATION.fullmatch(name):
            raise RecordedError("question: not a name of --enumerate's")
        followups[name] = _followup(answer, reading)
    return EndpointEvidence(
        address=take(record, "address", str, reading),
        probe=_first(record, target, reading),
        followups=followups,
        **_observed(EndpointEvidence, record, reading, PUBLISHED[EndpointEvidence]),
    )


def _first(record: Mapping[str, Any], target: Target, reading: Reading) -> Probe:
    observed = take(record, "observed", dict[str, Any], reading, default={})
    probe = take(observed, "probe", dict[str, Any], reading, default={})
    alert = take(record, "alert", dict[str, Any] | None, reading, default=None)
    timing = take(record, "timing_ms", dict[str, float], reading, default={})
    failure = take(record, "error", Failure | None, reading, default=None)
    facts: dict[str, Any] = {"offer": FIRST_OFFER, "sni": target.sni}
    facts |= known(Probe, probe, reading, PUBLISHED[Probe] | {"flight"})
    return Probe(
        stage=take(record, "stage", Stage, reading),
        failure=failure,
        alert=None if alert is None else (take(alert, "level", int, reading), take(alert, "code", int, reading)),
        flight=_first_flight(record, probe, reading, whole=failure is None),
        connect_seconds=_seconds(timing.get("connect")),
        starttls_seconds=_seconds(timing.get("starttls")),
        handshake_seconds=_seconds(timing.get("handshake")),
        **facts,
    )


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _first_flight(
    record: Mapping[str, Any], probe: Mapping[str, Any], reading: Reading, *, whole: bool
) -> ServerFlight | None:
    """The flight of the first connection: in the endpoint's own fields where it is whole, else among what was observed."""
    written = take(probe, "flight", dict[str, Any] | None, reading, default={} if whole else None)
    if written is None:
        return None
    facts = known(ServerFlight, written, reading, frozenset())
    if not whole:
        return ServerFlight(**facts)
    version = _code(record, "version", names.version_code, reading)
    published: dict[str, Any] = {
        "version": version,
        "cipher": _code(record, "cipher", names.cipher_code, reading),
        "group": _code(record, "group", names.group_code, reading),
        "signature_scheme": _code(record, "signature_scheme", names.scheme_code, reading),
        "alpn": take(record, "alpn", str | None, reading, default=None),
        "sni_acknowledged": take(record, "sni_accepted", bool | None, reading, default=None),
        "hello_retry": take(record, "hello_retry", bool, reading, default=False),
        "signature_valid": True,
        "finished_valid": True if facts.get("version", version) == TLS13 else None,
        "certificates": tuple(
            reading.certificate(sha256) for sha256 in take(record, "chain", tuple[str, ...], reading)
        ),
        "scts": _scts(record, reading),
        "complete": True,
    }
    return ServerFlight(**(published | facts))


def _scts(record: Mapping[str, Any], reading: Reading) -> tuple[bytes, ...]:
    """Those of the TLS extension; others stand in certificates and staples. They were once written bare."""
    entries = take(record, "scts", tuple[dict[str, Any] | bytes, ...], reading, default=())
    return tuple(
        entry if isinstance(entry, bytes) else take(entry, "raw", bytes, reading)
        for entry in entries
        if isinstance(entry, bytes) or "raw" in entry
    )


def _code(record: Mapping[str, Any], field: str, code_of: Callable[[str], int | None], reading: Reading) -> int | None:
    name = take(record, field, str | None, reading, default=None)
    if name is None or name == names.GREASE:
        return None  # the number stands among what was observed
    code = code_of(name)
    if code is None:
        raise RecordedError(f"{field}: not known by that name")
    return code


def _followup(record: Mapping[str, Any], reading: Reading) -> Probe:
    result = take(record, "result", str, reading)
    failure = None if result == "ok" else take(record, "result", Failure, reading)
    observed = take(record, "observed", dict[str, Any], reading, default={})
    facts: dict[str, Any] = {"stage": Stage.DONE if failure is None else Stage.HELLO}
    facts |= known(Probe, observed, reading, frozenset(("offer", "sni", "failure")))
    return Probe(
        offer=take(record, "offer", str, reading),
        sni=take(record, "sni", str | None, reading, default=None),
        failure=failure,
        **facts,
    )


def _observed(kind: type, record: Mapping[str, Any], reading: Reading, without: frozenset[str]) -> dict[str, Any]:
    """The fields of ``kind`` that stand under ``observed``."""
    return known(kind, take(record, "observed", dict[str, Any], reading, default={}), reading, without)
