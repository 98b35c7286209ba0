"""What a finding must hold beside its published fields, so that it can be judged again (``scanner.diagnosis.recorded``).

Every field of the evidence is either published in words of its own (``scanner.diagnosis.assembly``) or written here under its
own name, unless it has the value that it has in a healthy target. So a field that is added to the evidence is kept without a
change here. This is on the path of every target: the fields of a record are read by one ``attrgetter`` and compared as one
tuple, and only where they differ is anything looked at one by one.

Bytes are base64, enumerations their values, certificates their SHA-256: those are in the finding's ``certificates``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, Final

import msgspec
import orjson
from msgspec import NODEFAULT, Struct, to_builtins
from msgspec.structs import fields

from scanner.caching import bounded_memo
from scanner.codec.certificate_dedup import Certificates
from scanner.codec.json_safe import safe_text, safe_value
from scanner.model.evidence import (
    DnsAnswer,
    EndpointEvidence,
    Evidence,
    FetchedIssuer,
    Negotiation,
    Probe,
    RevocationAnswer,
    ServerFlight,
    Target,
)
from scanner.tls import registry_names as names
from scanner.tls.offers import TLS13
from scanner.trust.revocation import answer_bytes

# What a finding publishes of each record, in fields of its own.
PUBLISHED: Final[Mapping[type[Struct], frozenset[str]]] = {
    Evidence: frozenset(("target", "started", "dns", "endpoints", "duration", "attempts", "bug")),
    DnsAnswer: frozenset(
        ("status", "addresses", "cname", "authenticated", "bogus", "extended_errors", "resolver", "source", "duration", "caa",
         "tlsa")
    ),
    EndpointEvidence: frozenset(("address", "probe", "followups")),
    Probe: frozenset(("stage", "failure", "alert", "connect_seconds", "starttls_seconds", "handshake_seconds")),
    Negotiation: frozenset(("version", "cipher", "group", "signature_scheme", "alpn", "sni_acknowledged", "hello_retry")),
    ServerFlight: frozenset(("certificates", "scts")),
}  # fmt: skip
# The offer of the first connection to every server; where certificates come from a file there is another.
FIRST_OFFER: Final = "modern"
# Answers on revocation that are kept encoded: all hosts of a certificate share them. Some 1 KB each.
MAX_ANSWERS: Final = 1024
# Bytes of one that is kept: URL, error and responder have some 200 as a rule.
LONGEST_ANSWER: Final = 4096
# Negotiations whose records and claims are kept, some 2 KB each: versions, suites, groups, schemes and ALPN names of a fleet
# combine to some dozens.
MAX_NEGOTIATIONS: Final = 512
# Bytes of one that is kept: a request for a client certificate may name hundreds of CAs.
LONGEST_NEGOTIATION: Final = 16 << 10


class _PlainFields:
    """Fields of a kind of record, with their plain values: those in ``plain``, else their defaults."""

    __slots__ = ("get", "names", "plain")

    def __init__(self, kind: type[Struct], without: Collection[str] = (), plain: dict[str, Any] | None = None) -> None:
        values = {field.name: _default(field) for field in fields(kind) if field.name not in without} | (plain or {})
        self.names = tuple(values)
        self.plain = tuple(values.values())
        self.get = attrgetter(*self.names)

    def changed(self, record: Struct, certificates: Certificates | None = None) -> dict[str, Any]:
        """Return as JSON the fields of ``record`` that do not have their plain values."""
        values = self.get(record)
        if values == self.plain:
            return {}
        changed: dict[str, Any] = {}
        for name, value, plain in zip(self.names, values, self.plain, strict=True):
            if value != plain:
                if name == "negotiation":  # its fields are written among those of the flight
                    changed |= _all_fields(Negotiation).changed(value, certificates)
                elif name == "certificates" and certificates is not None:
                    source: Any = "aia" if isinstance(record, FetchedIssuer) else "followup"
                    changed[name] = [certificates.further_bytes(data, source) for data in value]
                else:
                    changed[name] = _encoded(value, certificates)
        return changed


def _default(field: Any) -> Any:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


_all_fields = cache(_PlainFields)

# The fields of a record, of a further connection without its times and what names it, that are neither published nor plain.
facts_of_target: Final = _PlainFields(Evidence, PUBLISHED[Evidence]).changed
facts_of_answer: Final = _PlainFields(DnsAnswer, PUBLISHED[DnsAnswer]).changed
_ENDPOINT: Final = _PlainFields(EndpointEvidence, PUBLISHED[EndpointEvidence])
# Of a first connection that failed, and of one whose flight was read to its end, which is in fields of its own.
_FAILED: Final = _PlainFields(Probe, PUBLISHED[Probe] | {"offer", "sni"})
_WHOLE: Final = _PlainFields(Probe, PUBLISHED[Probe] | {"offer", "sni", "flight", "bytes_received"})
# Of a flight that was read to its end and has nothing wrong.
_NEGOTIATION: Final = _PlainFields(
    Negotiation, PUBLISHED[Negotiation] | {"finished_valid"}, {"signature_valid": True, "complete": True}
)
facts_of_followup: Final = _PlainFields(
    Probe, ("offer", "sni", "failure", "connect_seconds", "starttls_seconds", "handshake_seconds")
).changed


def negotiation_bytes(negotiation: Negotiation) -> int:
    """Return about how much memory a negotiation takes beside its fixed fields."""
    request = negotiation.client_auth
    return len(negotiation.alpn or "") + (0 if request is None else sum(map(len, request.authorities)))


def facts_of_endpoint(
    target: Target,
    endpoint: EndpointEvidence,
    accepted: Mapping[int, tuple[int, ...]] | None,
    certificates: Certificates,
) -> dict[str, Any]:
    """Return the fields of ``EndpointEvidence`` that are neither published nor plain; those of its first connection are in
    ``probe``.

    ``accepted`` is what ``--enumerate`` found: ``EndpointEvidence.accepted`` and the answers to its questions.
    """
    observed = _ENDPOINT.changed(endpoint, certificates)
    if accepted is not None:
        observed["accepted"] = _encoded(accepted, certificates)
    probe = _facts_of_first(endpoint.probe, target, certificates)
    if probe:
        observed["probe"] = probe
    return observed


def _facts_of_first(probe: Probe, target: Target, certificates: Certificates) -> dict[str, Any]:
    flight = probe.flight
    if probe.failure is None and flight is not None:
        observed = _WHOLE.changed(probe, certificates)
        changed = facts_of_flight(flight, certificates)
        if changed:
            observed["flight"] = changed
    else:
        observed = _FAILED.changed(probe, certificates)
        if probe.failure is None:
            observed["flight"] = None
    if probe.offer != FIRST_OFFER:
        observed["offer"] = safe_text(probe.offer)
    if probe.sni != target.sni:
        observed["sni"] = _encoded(probe.sni, certificates)
    return observed


def facts_of_flight(flight: ServerFlight, certificates: Certificates) -> dict[str, Any]:
    """Return what the endpoint's own fields do not say of a flight that was read to its end."""
    observed = facts_of_negotiation(flight.negotiation).copy()
    if flight.ocsp_response is not None:
        observed["ocsp_response"] = _encoded(flight.ocsp_response, certificates)
    # before TLS 1.3 some write their clock into it (RFC 5246 section 7.4.1.2)
    if flight.random is not None and flight.negotiation.version != TLS13:
        observed["random"] = _encoded(flight.random, certificates)
    return observed


@bounded_memo(MAX_NEGOTIATIONS, LONGEST_NEGOTIATION, negotiation_bytes)
def facts_of_negotiation(negotiation: Negotiation) -> dict[str, Any]:
    """Return what the endpoint's own fields do not say of the negotiation of a flight that was read to its end. Not to be changed:
    it is kept."""
    observed = _NEGOTIATION.changed(negotiation, None)
    version, finished = negotiation.version, negotiation.finished_valid
    if finished is not (True if version == TLS13 else None):
        observed["finished_valid"] = finished
    # a name that stands for several code points says too little
    for field, code, name_of, code_of in (
        ("version", version, names.version_name, names.version_code),
        ("cipher", negotiation.cipher, names.cipher_name, names.cipher_code),
        ("group", negotiation.group, names.group_name, names.group_code),
        ("signature_scheme", negotiation.signature_scheme, names.scheme_name, names.scheme_code),
    ):
        if code is not None and code_of(name_of(code)) != code:
            observed[field] = code
    return observed


def _encoded(value: Any, certificates: Certificates | None) -> Any:
    """Return the value of a field as JSON."""
    if isinstance(value, RevocationAnswer):
        return _encoded_answer(value)
    if isinstance(value, Struct):
        return _all_fields(type(value)).changed(value, certificates)
    if isinstance(value, (tuple, list)):
        return [_encoded(item, certificates) for item in value]
    if isinstance(value, Mapping):
        return {safe_text(str(key)): _encoded(item, certificates) for key, item in value.items()}
    return safe_value(to_builtins(value))


@bounded_memo(MAX_ANSWERS, LONGEST_ANSWER, answer_bytes)
def _encoded_answer(answer: RevocationAnswer) -> dict[str, Any]:
    return _all_fields(RevocationAnswer).changed(answer, None)


def encode_record(record: Struct) -> dict[str, Any]:
    """Return a record of text and numbers as JSON has it."""
    try:
        encoded: dict[str, Any] = orjson.loads(msgspec.json.encode(record))
    except UnicodeEncodeError:  # of a stranger's text that no UTF-8 can hold
        encoded = safe_value(to_builtins(record))
    return encoded
