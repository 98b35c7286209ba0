"""What a finding must hold beside its published fields, so that it can be judged again (``scanner.diagnosis.recorded``).

Every field of the evidence is either published in words of its own (``scanner.diagnosis.assemble``) or written here under
its own name, unless it has its plain value; so a field that is added to the evidence is kept without a word here. A healthy
target has plain values throughout, and that is asked first: this is on the path of every target.

Bytes are base64, enumerations their values, certificates their SHA-256: those stand in the finding's ``certificates``.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from enum import Enum
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec
import orjson
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from scanner.caching import bounded_memo
from scanner.codec.certificate_dedup import Certificates
from scanner.codec.json_safe import clean, text
from scanner.model.evidence import (
    DnsAnswer,
    EndpointEvidence,
    Evidence,
    FetchedIssuer,
    Probe,
    RevocationAnswer,
    ServerFlight,
    Target,
)
from scanner.tls import registry_names as names
from scanner.tls.offers import MODERN_GROUPS, MODERN_SUITES, TLS12, TLS13
from scanner.trust.revocation import answer_bytes

# What a finding publishes of each record, in fields of its own.
PUBLISHED: Final[Mapping[type, frozenset[str]]] = {
    Evidence: frozenset(("target", "started", "dns", "endpoints", "duration", "attempts", "bug")),
    DnsAnswer: frozenset(
        ("status", "addresses", "cname", "authenticated", "bogus", "extended_errors", "resolver", "source", "duration")
    )
    | {"caa", "tlsa"},
    EndpointEvidence: frozenset(("address", "probe", "followups")),
    Probe: frozenset(("stage", "failure", "alert", "connect_seconds", "starttls_seconds", "handshake_seconds")),
    ServerFlight: frozenset(
        ("version", "cipher", "group", "signature_scheme", "alpn", "sni_acknowledged", "hello_retry", "certificates", "scts")
    ),
}  # fmt: skip
# The offer of every first connection but those that were none.
FIRST_OFFER: Final = "modern"
# Answers on revocation that are kept as they are written: all hosts of a certificate share them. Some 1 KB each.
MAX_ANSWERS: Final = 1024
# Bytes of one that is kept: URL, error and responder have some 200 as a rule.
LONGEST_ANSWER: Final = 4096
# What a flight that was read to its end shows where nothing is wrong; other fields have their defaults.
_GOOD_FLIGHT: Final = {"signature_valid": True, "complete": True}


def facts_of_target(evidence: Evidence, certificates: Certificates) -> dict[str, Any]:
    """Fields of ``Evidence`` that are not published and not plain."""
    if _TARGET.get(evidence) == _TARGET.plain:
        return {}
    return _facts(evidence, certificates, PUBLISHED[Evidence])


def all_plain(evidence: Evidence, endpoint: EndpointEvidence) -> bool:
    """Of a target and its only address nothing is left to write but what was asked about revocation and what the flight itself
    has, for which there are ``facts_of_target`` and ``facts_of_flight``."""
    probe = endpoint.probe
    return bool(
        _TARGET_UNASKED.get(evidence) == _TARGET_UNASKED.plain
        and _ENDPOINT.get(endpoint) == _ENDPOINT.plain
        and _PROBE.get(probe) == _PROBE.plain
        and probe.offer == FIRST_OFFER
        and probe.sni == evidence.target.sni
    )


def facts_of_answer(answer: DnsAnswer) -> dict[str, Any]:
    """Fields of ``DnsAnswer`` that are not published and not plain."""
    if _ANSWER.get(answer) == _ANSWER.plain:
        return {}
    return _facts(answer, None, PUBLISHED[DnsAnswer])


def facts_of_endpoint(
    target: Target,
    endpoint: EndpointEvidence,
    accepted: Mapping[int, tuple[int, ...]] | None,
    certificates: Certificates,
) -> dict[str, Any]:
    """Fields of ``EndpointEvidence`` that are not published and not plain; of its first connection under ``probe``.

    ``accepted`` is what ``--enumerate`` found, from its questions too.
    """
    observed: dict[str, Any] = {}
    if _ENDPOINT.get(endpoint) != _ENDPOINT.plain or accepted is not None:
        observed = _facts(endpoint, certificates, PUBLISHED[EndpointEvidence])
        if accepted is not None:
            observed["accepted"] = _encoded(accepted, certificates)
    probe = _facts_of_first(endpoint.probe, target, certificates)
    if probe:
        observed["probe"] = probe
    return observed


def facts_of_followup(probe: Probe, certificates: Certificates) -> dict[str, Any]:
    """Everything of a further connection but what took how long, and what names it."""
    return _facts(probe, certificates, _NAMES_FOLLOWUP)


_NAMES_FOLLOWUP: Final = frozenset(
    ("offer", "sni", "failure", "connect_seconds", "starttls_seconds", "handshake_seconds")
)


def _facts_of_first(probe: Probe, target: Target, certificates: Certificates) -> dict[str, Any]:
    flight = probe.flight
    if probe.failure is None and flight is not None:
        # The flight stands in the endpoint's own fields.
        observed: dict[str, Any] = {}
        if _PROBE.get(probe) != _PROBE.plain:
            observed = _facts(probe, certificates, _ELSEWHERE)
        changed = facts_of_flight(flight, certificates)
        if changed:
            observed["flight"] = changed
    else:
        observed = _facts(probe, certificates, PUBLISHED[Probe] | {"offer", "sni"})
        if probe.failure is None:
            observed["flight"] = None
    if probe.offer != FIRST_OFFER:
        observed["offer"] = text(probe.offer)
    if probe.sni != target.sni:
        observed["sni"] = _encoded(probe.sni, certificates)
    return observed


_ELSEWHERE: Final = PUBLISHED[Probe] | {"offer", "sni", "flight", "bytes_received"}


def facts_of_flight(flight: ServerFlight, certificates: Certificates) -> dict[str, Any]:
    """What the endpoint's own fields do not say of a whole flight."""
    version = flight.version
    observed: dict[str, Any] = {}
    if version == TLS13:
        if _FLIGHT.get(flight) != _FLIGHT.plain or flight.finished_valid is not True:
            observed = _changed(flight, certificates)
            if flight.finished_valid is not True:
                observed["finished_valid"] = flight.finished_valid
    else:
        # Before TLS 1.3 some write their clock into it (RFC 5246 section 7.4.1.2).
        if _FLIGHT.get(flight) != _FLIGHT.plain:
            observed = _changed(flight, certificates)
        if flight.random is not None:
            observed["random"] = _encoded(flight.random, certificates)
        if flight.finished_valid is not None:
            observed["finished_valid"] = flight.finished_valid
        if version is not None and version != TLS12 and names.version_code(names.version_name(version)) != version:
            observed["version"] = version
    if flight.cipher not in _CIPHERS and flight.cipher is not None:
        if names.cipher_code(names.cipher_name(flight.cipher)) != flight.cipher:
            observed["cipher"] = flight.cipher
    if flight.group not in _GROUPS and flight.group is not None:
        if names.group_code(names.group_name(flight.group)) != flight.group:
            observed["group"] = flight.group
    scheme = flight.signature_scheme
    if scheme is not None and names.scheme_code(names.scheme_name(scheme)) != scheme:
        observed["signature_scheme"] = scheme
    return observed


_CIPHERS: Final = frozenset(MODERN_SUITES)
_GROUPS: Final = frozenset(MODERN_GROUPS)


def _changed(flight: ServerFlight, certificates: Certificates) -> dict[str, Any]:
    values = _FLIGHT.get(flight)
    return {
        name: _encoded(value, certificates)
        for name, value, plain in zip(_FLIGHT.names, values, _FLIGHT.plain, strict=True)
        if value != plain
    }


# --- any record ------------------------------------------------------------------------------------


@cache
def fields_of(kind: type) -> tuple[tuple[str, Any], ...]:
    """(name, default) of every field of a record; ``NODEFAULT`` where it has none."""
    return tuple(
        (field.name, field.default_factory() if field.default_factory is not NODEFAULT else field.default)
        for field in fields(kind)
    )


# Everything of a flight but its certificates and its random, both of which differ from host to host: two flights that have
# this in common are described in the same words.
shape_of: Final = attrgetter(
    *(name for name in ServerFlight.__struct_fields__ if name not in ("certificates", "random"))
)


class _Unpublished:
    """All fields of a record that are not published, read in one go, and their plain values."""

    __slots__ = ("get", "names", "plain")

    def __init__(
        self, kind: type, plain: Mapping[str, Any] | None = None, *, without: frozenset[str] = frozenset()
    ) -> None:
        chosen = [
            (name, (plain or {}).get(name, default))
            for name, default in fields_of(kind)
            if name not in PUBLISHED[kind] | without
        ]
        self.names = tuple(name for name, _ in chosen)
        self.plain = tuple(value for _, value in chosen)
        self.get = attrgetter(*self.names)


_TARGET: Final = _Unpublished(Evidence)
_TARGET_UNASKED: Final = _Unpublished(Evidence, without=frozenset(("revocation",)))
_ANSWER: Final = _Unpublished(DnsAnswer)
_ENDPOINT: Final = _Unpublished(EndpointEvidence)
_PROBE: Final = _Unpublished(Probe, without=_ELSEWHERE)
_FLIGHT: Final = _Unpublished(ServerFlight, _GOOD_FLIGHT, without=frozenset(("random", "finished_valid")))


def _facts(record: Any, certificates: Certificates | None, without: frozenset[str]) -> dict[str, Any]:
    """The fields of any record that do not have their defaults."""
    facts: dict[str, Any] = {}
    kind: type = type(record)
    for name, default in fields_of(kind):
        if name in without:
            continue
        value = getattr(record, name)
        if value == default and type(value) is type(default):
            continue
        if name == "certificates" and certificates is not None:
            source: Any = "aia" if isinstance(record, FetchedIssuer) else "followup"
            facts[name] = [certificates.further_bytes(data, source) for data in value]
        else:
            facts[name] = _encoded(value, certificates)
    return facts


def _encoded(value: Any, certificates: Certificates | None) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, bytes):
        return b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, (tuple, list)):
        return [_encoded(item, certificates) for item in value]
    if isinstance(value, Mapping):
        return {text(str(key)): _encoded(item, certificates) for key, item in value.items()}
    if isinstance(value, RevocationAnswer):
        return _encoded_answer(value)
    if isinstance(value, Struct):
        return _facts(value, certificates, frozenset())
    return value


@bounded_memo(MAX_ANSWERS, LONGEST_ANSWER, answer_bytes)
def _encoded_answer(answer: RevocationAnswer) -> dict[str, Any]:
    return _facts(answer, None, frozenset())


def encode_record(record: Struct) -> dict[str, Any]:
    """Return a record of text and numbers as JSON has it."""
    try:
        encoded: dict[str, Any] = orjson.loads(msgspec.json.encode(record))
    except UnicodeEncodeError:  # of a stranger's text that no UTF-8 can hold
        encoded = clean(msgspec.to_builtins(record))
    return encoded
