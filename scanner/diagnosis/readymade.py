"""Findings of targets that are in order, put together from parts that were made for others before.

What a healthy target's finding says is in nearly all of it what thousands of others say: how the connection was
negotiated, which certificates came, which stores trust them. What of it depends on the flight alone is kept by the flight's
shape, what depends on the certificates alone is kept with their verdict; only the row, the times, the address and what DNS
said are written anew. Where a rule could have a word there is no ready-made finding, and the rules are asked
(``engine.diagnose``, ``assemble.finding``): a test holds both ways against each other.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct

from scanner.codec.certificate_dedup import Certificates, Fragments
from scanner.codec.encode import all_plain, facts_of_flight, facts_of_target, shape_of
from scanner.codec.json_safe import timestamp
from scanner.diagnosis.assemble import dns_record, endpoint_record, target_record, timing_record, trust_records
from scanner.diagnosis.case import Case, Context
from scanner.diagnosis.revocation_records import revocation_records
from scanner.diagnosis.rules.caa import caa_claims
from scanner.diagnosis.rules.certificate import warned_before
from scanner.diagnosis.rules.dane import dane_claims
from scanner.diagnosis.rules.dns import dns_claims
from scanner.model.evidence import EndpointEvidence, Evidence, RevocationAnswer, ServerFlight, Stage, Target
from scanner.model.findings import SCHEMA, EndpointRecord, Finding, SctRecord, TrustRecord
from scanner.trust.interceptors import by_issuer
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import TransparencyVerdict
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate, describe

# Shapes of flights that are kept, some 2 KB each: versions, suites, groups, schemes and ALPN names of a fleet combine to
# some dozens.
MAX_SHAPES: Final = 512


class _Shape(Struct):
    """What all flights of a shape have in common: the endpoint's record without what differs."""

    record: EndpointRecord
    random: bool  # the server's random stands in the finding


class _Parts(Struct):
    """What all targets with these certificates have in common. ``judged`` are its SCTs as they were judged last, ``scts`` as
    findings show them, ``None`` where there is something to say about them; ``asked`` is what was asked about revocation,
    ``answers`` (fields of the address) and ``observed`` (of the target) how findings show it, ``None`` likewise."""

    sent: tuple[bytes, ...]
    distinct: tuple[Certificate, ...]
    chain: list[str]
    trust: dict[str, TrustRecord]
    warning: float
    issuer: Certificate | None
    judged: TransparencyVerdict | None = None
    scts: list[SctRecord] | None = None
    asked: tuple[RevocationAnswer, ...] = ()
    answers: EndpointRecord | None = None
    observed: dict[str, Any] | None = None


class ReadyMade:
    """Makes such findings for one run. ``context`` is that of any moment: only what no moment changes is taken from it."""

    def __init__(
        self,
        run_id: str,
        context: Context,
        *,
        fragments: Fragments | None = None,
        judged_with: Mapping[str, Any] | None = None,
    ) -> None:
        self._run_id = run_id
        self._context = context
        self._fragments = fragments
        self._judged_with = judged_with
        self._shapes: dict[tuple[Any, ...], _Shape | None] = {}

    def finding(self, evidence: Evidence, verdict: ChainVerdict, at: float) -> Finding | None:
        """The finding of a target whose only address is plainly healthy (``plainly_healthy``) by ``verdict``, judged at ``at``
        by a clock that nobody calls wrong; ``None`` where a rule may have a word about it."""
        endpoint = evidence.endpoints[0]
        probe, leaf, dns = endpoint.probe, verdict.leaf, evidence.dns
        flight = probe.flight
        if flight is None or leaf is None or probe.stage is not Stage.DONE or probe.alert is not None:
            return None
        # a staple and SCTs of the handshake are of the certificate, and to be judged with it
        if (
            flight.ocsp_response is not None
            or flight.scts
            or evidence.bug is not None
            or not all_plain(evidence, endpoint)
        ):
            return None
        key = shape_of(flight)
        try:
            shape = self._shapes[key]
        except KeyError:
            shape = self._shape_of(evidence.target, endpoint, flight, key)
        if shape is None:
            return None
        try:
            parts: _Parts | None = verdict.parts[self]
        except KeyError:
            parts = verdict.parts[self] = self._parts_of(verdict, leaf)
        if parts is None or parts.sent != flight.certificates:
            return None
        if not leaf.not_before <= at <= leaf.not_after or leaf.not_after - at < parts.warning:
            return None
        asked = evidence.revocation
        if asked and asked is not parts.asked:
            self._ask(evidence, endpoint, verdict, parts)
        if asked and parts.answers is None:
            return None
        scts: list[SctRecord] | None = None
        if verdict.publicly_trusted and self._context.transparency is not None and len(verdict.path) > 1:
            scts = self._scts(leaf, parts, at)
            if scts is None:
                return None
        if dns is not None and not self._dns_is_quiet(evidence, endpoint, verdict):
            return None
        made: EndpointRecord = {
            **shape.record,
            "address": endpoint.address,
            "chain": parts.chain,
            "trust": parts.trust,
            "timing_ms": timing_record(probe),
        }
        if shape.random and flight.random is not None:
            random = b2a_base64(flight.random, newline=False).decode("ascii")
            made["observed"] = {"probe": {"flight": {"random": random}}}
        if asked and parts.answers is not None:
            made.update(parts.answers)
        if scts:
            made["scts"] = scts
        fragments = self._fragments
        record: Finding = {
            "schema": SCHEMA,
            "run": self._run_id,
            "target": target_record(evidence.target),
            "started": timestamp(evidence.started),
            "duration_ms": round(evidence.duration * 1000, 3),
            "attempts": evidence.attempts,
            "outcome": "ok",
            "stage": "done",
            "cause": None,
            "diagnoses": [],
            "clients": {},
            "dns": None if dns is None else dns_record(dns),
            "endpoints": [made],
            "certificates": (
                [describe(certificate, with_der=True) for certificate in parts.distinct]
                if fragments is None
                else fragments.all_of(parts.distinct)
            ),
        }
        if asked and parts.observed is not None:
            record["observed"] = parts.observed
        if self._judged_with:
            record["judged_with"] = dict(self._judged_with)
        return record

    def _shape_of(
        self, target: Target, endpoint: EndpointEvidence, flight: ServerFlight, key: tuple[Any, ...]
    ) -> _Shape | None:
        """What to say of flights like this one; ``None``, which is remembered too, where the rules are to be asked."""
        shape: _Shape | None = None
        further = facts_of_flight(flight, Certificates(None))
        if further.keys() <= {"random"}:
            record = endpoint_record(target, endpoint, flight, None, [], Certificates(None))
            record.pop("observed", None)
            shape = _Shape(record, "random" in further)
        if len(self._shapes) >= MAX_SHAPES:
            self._shapes.clear()
        self._shapes[key] = shape
        return shape

    def _parts_of(self, verdict: ChainVerdict, leaf: Certificate) -> _Parts | None:
        """What to say of certificates with this verdict; ``None`` where the rules are to be asked."""
        if leaf.must_staple or not self._context.public:
            return None
        if not verdict.publicly_trusted and by_issuer(leaf.issuer_name.attributes) is not None:
            return None
        sent = verdict.sent
        distinct = {certificate.sha256: certificate for certificate in sent if certificate is not None}
        if len(distinct) != len(sent):
            return None  # one that is none, or came twice
        return _Parts(
            tuple([certificate.der for certificate in distinct.values()]),
            tuple(distinct.values()),
            list(distinct),
            trust_records(verdict),
            warned_before(leaf, self._context.expiry_warning_days),
            issuer_of_leaf(verdict) if verdict.publicly_trusted else None,
        )

    def _ask(self, evidence: Evidence, endpoint: EndpointEvidence, verdict: ChainVerdict, parts: _Parts) -> None:
        """What to say of answers on revocation; nothing where one of them is not simply good."""
        parts.asked, parts.answers, parts.observed = evidence.revocation, None, None
        if all(answer.status == "good" and not answer.blocked for answer in parts.asked):
            ocsp, crl = revocation_records(evidence, endpoint, verdict, self._context)
            answers = cast(EndpointRecord, {})
            if ocsp is not None:
                answers["ocsp"] = ocsp
            if crl is not None:
                answers["crl"] = crl
            parts.answers, parts.observed = answers, facts_of_target(evidence, Certificates(None))

    def _scts(self, leaf: Certificate, parts: _Parts, at: float) -> list[SctRecord] | None:
        """The SCTs of a certificate that is held to public rules; ``None`` where there is something to say about them."""
        assert self._context.transparency is not None
        judged = self._context.transparency.evaluate(leaf, parts.issuer, at=at)
        if judged is not parts.judged:
            quiet = judged.satisfied and all(item.status == "valid" for item in judged.scts)
            parts.judged, parts.scts = judged, judged.records if quiet else None
        return parts.scts

    def _dns_is_quiet(self, evidence: Evidence, endpoint: EndpointEvidence, verdict: ChainVerdict) -> bool:
        """Neither what the name resolves to nor what DNS says of the certificate is worth a word."""
        dns, context = evidence.dns, self._context
        if next(dns_claims(evidence, context), None) is not None:
            return False
        if dns is None or not (dns.caa or dns.tlsa):
            return True
        case = Case(evidence, endpoint, verdict, context)
        return next(caa_claims(case), None) is None and next(dane_claims(case), None) is None
