"""What one target tells the fleet: a small record, the same from evidence and from the finding that was written of it.

Most targets are in order and tell nothing: ``facts_of`` gives ``None`` for them after a glance. Times are whole seconds,
as findings hold them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any, Final, Literal

from msgspec import Struct

from scanner.fleet.correlate.domains import host_of, registrable
from scanner.fleet.correlate.glance import tells
from scanner.fleet.correlate.interceptors_fold import Sighting, seen_elsewhere, sighting_of, sighting_of_record
from scanner.fleet.correlate.shared_pages import PageSighting, page_sighting
from scanner.model.evidence import EndpointEvidence, Evidence
from scanner.trust.certificate_rules import TIME_CODES
from scanner.trust.portal_pages import page_of
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import AHEAD, Transparency
from scanner.trust.verdicts import ChainVerdict

# Codes by which nobody vouches for a certificate: an interceptor makes them.
ISSUER_CODES: Final = frozenset({"untrusted-root", "issuer-unknown", "intermediate-unobtainable"})
EARLY: Final = "certificate-not-yet-valid"
# States of logs whose promises browsers believe, or believed when they were made
_LOGS_IN_USE: Final = frozenset({"qualified", "usable", "readonly", "retired"})
# What stands before the names of servers of --ntp among the witnesses: they are no part of the fleet.
SNTP_PREFIX: Final = "ntp "
# Issuers are followed upwards through what was sent; no real chain is longer.
MAX_DEPTH: Final = 10

WitnessKind = Literal["sct", "ocsp", "crl", "http-date", "tls-random", "sntp"]


class Witness(Struct, frozen=True):
    """Somebody's word on what time it is.

    ``time`` is the time that was told and ``local`` what our clock said then, both in seconds since the epoch. For
    "http-date", "tls-random" and "sntp" it is the present; for "sct", "ocsp" and "crl" it is past for certain, and
    ``until`` is when an answer that was fetched a moment ago ceases to be current. ``who`` is the party: a registrable
    domain, a log's operator, a server of ours. Witnesses that share a mark of ``via`` (an address, an untrusted issuer,
    a certificate) speak with one voice.
    """

    kind: WitnessKind
    who: str
    time: int
    local: int
    until: int | None = None
    via: tuple[str, ...] = ()


class Validity(Struct, frozen=True):
    """A certificate outside of its validity by the local clock. The times are of the leaf."""

    code: str
    certificate: str
    not_before: int
    not_after: int


class IssuerSign(Struct, frozen=True):
    """An issuer for which no store vouches: ``key`` tells it from others, ``text`` is its name (RFC 4514)."""

    key: str
    text: str
    address: str


class ReachSign(Struct, frozen=True):
    """An OCSP, CRL or AIA host, and whether it could be reached."""

    host: str
    reached: bool


class Facts(Struct, frozen=True):
    """What one target tells the fleet. ``local`` is our clock when it was taken up; ``domain`` is the target's registrable
    domain, empty where it tells nothing of itself."""

    row: int
    name: str
    domain: str
    local: int
    addresses: tuple[str, ...] = ()
    validity: tuple[Validity, ...] = ()
    issuers: tuple[IssuerSign, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    pages: tuple[PageSighting, ...] = ()
    reach: tuple[ReachSign, ...] = ()
    incomplete: bool = False  # an issuer is missing that another target of the run may show
    sightings: tuple[Sighting, ...] = ()


def issuer_key(chain: Sequence[tuple[str | None, str | None]]) -> str | None:
    """What tells the issuer of a chain from others: the name at its top, as far as it was sent.

    ``chain`` is (subject, issuer) of each certificate as sent, leaf first, ``None`` where it cannot be read. ``None``
    where the leaf cannot be read, or names itself as its issuer.
    """
    if not chain or chain[0][1] is None or chain[0][0] == chain[0][1]:
        return None
    by_subject = {subject: issuer for subject, issuer in reversed(chain[1:]) if subject and issuer}
    top = chain[0][1]
    for _ in range(MAX_DEPTH):
        above = by_subject.get(top)
        if above is None or above == top:
            break
        top = above
    return top


# --- from evidence ---------------------------------------------------------------------------------


def facts_of(
    evidence: Evidence, verdicts: Sequence[ChainVerdict | None], transparency: Transparency | None = None
) -> Facts | None:
    """What a target tells, ``None`` where that is nothing. ``verdicts`` is parallel to ``evidence.endpoints``;
    ``transparency`` verifies SCTs, which without it tell nothing."""
    telling = bool(evidence.revocation or evidence.issuers)
    for position, endpoint in enumerate(evidence.endpoints):
        if telling:
            break
        verdict = verdicts[position] if position < len(verdicts) else None
        telling = bool(endpoint.completions) or (verdict is not None and not verdict.trusted)
    if not telling:
        return None
    return _Gathering.of_evidence(evidence, verdicts, transparency).facts()


def _scts_of(
    endpoint: EndpointEvidence, verdict: ChainVerdict, transparency: Transparency, at: float
) -> Iterator[tuple[str, float]]:
    """(operator, time) of the SCTs of a certificate that verify, by logs that are or were in use."""
    flight = endpoint.probe.flight
    if verdict.leaf is None or not verdict.publicly_trusted:
        return
    tls, staple = (flight.scts, flight.ocsp_response) if flight is not None else ((), None)
    judged = transparency.evaluate(verdict.leaf, issuer_of_leaf(verdict), at=at, tls=tls, staple=staple)
    for item in judged.scts:
        if item.verified and item.log is not None and item.sct is not None and item.log.state in _LOGS_IN_USE:
            yield item.log.operator_at(item.sct.time), item.sct.time


class _Gathering:
    """The facts of one target while they are put together."""

    def __init__(self, row: int, name: str, local: int) -> None:
        self.row, self.name, self.local = row, name, local
        self.addresses: list[str] = []
        self.validity: dict[Validity, None] = {}
        self.issuers: dict[IssuerSign, None] = {}
        self.witnesses: dict[Witness, None] = {}
        self.pages: dict[PageSighting, None] = {}
        self.reach: dict[ReachSign, None] = {}
        self.incomplete = False
        self.sightings: list[Sighting] = []

    @classmethod
    def of_evidence(
        cls, evidence: Evidence, verdicts: Sequence[ChainVerdict | None], transparency: Transparency | None
    ) -> _Gathering:
        found = cls(evidence.target.row, evidence.target.name, int(evidence.started))
        for position, endpoint in enumerate(evidence.endpoints):
            verdict = verdicts[position] if position < len(verdicts) else None
            codes: set[str] = set()
            chain: list[tuple[str | None, str | None]] = []
            leaf = None
            if verdict is not None:
                chain = [(None, None) if c is None else (c.subject, c.issuer) for c in verdict.sent]
                leaf = verdict.leaf
                if not verdict.trusted:
                    codes = {problem.code for store in verdict.stores.values() for problem in store.problems}
            dates = None if leaf is None else (leaf.sha256, int(leaf.not_before), int(leaf.not_after))
            mark = found.endpoint(endpoint.address, codes, chain, dates)
            if verdict is not None and not verdict.trusted:
                sighting = sighting_of(evidence, endpoint, verdict, elsewhere=seen_elsewhere(evidence, verdicts))
                found.sightings += [] if sighting is None else [sighting]
            page = page_of(evidence.target.name, endpoint, verdict)
            led = None if page is None else page_sighting(evidence.target.name, page)
            if led is not None:
                found.pages[led] = None
            for completion in endpoint.completions.values():
                found.date(endpoint.address, completion.date, completion.local_time, mark)
            if verdict is not None and transparency is not None and EARLY in codes:
                for operator, time in _scts_of(endpoint, verdict, transparency, evidence.started):
                    found.sct(operator, time)
        trusted = not found.issuers
        for answer in evidence.revocation:
            found.answer(answer.source, answer.url, answer.this_update, answer.produced_at, answer.next_update, trusted)
            found.reached(answer.url, not answer.blocked)
        for fetched in evidence.issuers:
            found.reached(fetched.url, not fetched.blocked)
        return found

    def endpoint(
        self,
        address: str,
        codes: set[str],
        chain: Sequence[tuple[str | None, str | None]],
        leaf: tuple[str, int, int] | None,
    ) -> str | None:
        """One address: what the stores say of its certificates. Returns by what untrusted party it may be in one hand."""
        self.addresses.append(address)
        if leaf is None:
            return None
        for code in sorted(codes & TIME_CODES):
            self.validity[Validity(code, *leaf)] = None
        if not codes & ISSUER_CODES:
            return f"certificate:{leaf[0]}"
        self.incomplete = self.incomplete or bool(codes - {"untrusted-root"} & ISSUER_CODES)
        key = issuer_key(chain)
        if key is None:
            return f"certificate:{leaf[0]}"
        self.issuers[IssuerSign(key, key, address)] = None
        return f"issuer:{key}"

    def date(self, address: str, date: float | None, local_time: float | None, mark: str | None) -> None:
        """What a server said of the present in an HTTP answer."""
        if date is not None and local_time is not None:
            via = (f"address:{address}",) if mark is None else (f"address:{address}", mark)
            self.witnesses[Witness("http-date", registrable(self.name), int(date), int(local_time), None, via)] = None

    def sct(self, operator: str, time: float) -> None:
        """A log's promise that verifies; only one that lies ahead of our clock says anything of it."""
        if int(time) > self.local:
            self.witnesses[Witness("sct", operator, int(time), self.local)] = None

    def answer(
        self,
        source: Literal["ocsp", "crl"],
        url: str,
        this_update: float | None,
        produced_at: float | None,
        next_update: float | None,
        trusted: bool,
    ) -> None:
        """A signed answer on revocation. Its times are those of an answer that verifies; of a CA that somebody trusts."""
        times = [time for time in (this_update, produced_at) if time is not None]
        host = host_of(url)
        if times and host and trusted:
            until = None if next_update is None else int(next_update)
            self.witnesses[Witness(source, registrable(host), int(max(times)), self.local, until)] = None

    def reached(self, url: str, reached: bool) -> None:
        """Whether a host that certificates name was reached."""
        if host := host_of(url):
            self.reach[ReachSign(host, reached)] = None

    def facts(self) -> Facts | None:
        """The record; ``None`` where there is nothing in it."""
        told = self.validity or self.issuers or self.witnesses or self.pages or self.reach or self.sightings
        if not (told or self.incomplete):
            return None
        # most targets tell only what was fetched, which has nothing to do with their own name
        domain = registrable(self.name) if self.validity or self.issuers or self.pages or self.sightings else ""
        return Facts(
            self.row, self.name, domain, self.local, tuple(self.addresses), tuple(self.validity), tuple(self.issuers),
            tuple(self.witnesses), tuple(self.pages), tuple(self.reach), self.incomplete, tuple(self.sightings),
        )  # fmt: skip


# --- from a finding --------------------------------------------------------------------------------


def facts_of_finding(finding: Mapping[str, Any]) -> Facts | None:
    """The same facts from a finding as JSON has it. Fields that are not there, or not what they should be, tell nothing."""
    if not tells(finding):
        return None
    target = _mapping(finding.get("target"))
    name = target.get("sni") or target.get("host")
    row, local = target.get("row"), seconds(finding.get("started"))
    if not isinstance(name, str) or not isinstance(row, int) or local is None:
        return None
    found = _Gathering(row, name, local)
    certificates = {
        str(entry.get("sha256")): entry for entry in map(_mapping, _list(finding.get("certificates"))) if entry
    }
    for endpoint in map(_mapping, _list(finding.get("endpoints"))):
        chain = [str(sha256) for sha256 in _list(endpoint.get("chain"))]
        known = [certificates.get(sha256, {}) for sha256 in chain]
        codes = _codes(_mapping(endpoint.get("trust")).values())
        names = [(_text(entry.get("subject")), _text(entry.get("issuer"))) for entry in known]
        leaf = None
        if known:
            begins, ends = seconds(known[0].get("not_before")), seconds(known[0].get("not_after"))
            if begins is not None and ends is not None:
                leaf = (chain[0], begins, ends)
        mark = found.endpoint(str(endpoint.get("address")), codes, names, leaf)
        for completion in map(_mapping, _mapping(_mapping(endpoint.get("observed")).get("completions")).values()):
            told, heard = _number(completion.get("date")), _number(completion.get("local_time"))
            found.date(str(endpoint.get("address")), told, heard, mark)
        for promise in map(_mapping, _list(endpoint.get("scts")) if EARLY in codes else ()):
            time = seconds(promise.get("timestamp"))
            if time is not None and promise.get("state") in _LOGS_IN_USE and _is_verified(promise):
                found.sct(str(promise.get("operator")), time)
        if leaf is not None:
            sighting = sighting_of_record(
                _mapping(endpoint.get("untrusted_issuer")),
                issuer=names[0][1] or "",
                name=name,
                place=f"{endpoint.get('address')} {target.get('port')}",
                at=local,
                leaf=leaf[0],
                validity=leaf[1:],
            )
            found.sightings += [] if sighting is None else [sighting]
    observed = _mapping(finding.get("observed"))
    trusted = not found.issuers
    for answer in map(_mapping, _list(observed.get("revocation"))):
        url, source = str(answer.get("url")), answer.get("source")
        made, produced, until = (_number(answer.get(key)) for key in ("this_update", "produced_at", "next_update"))
        if source == "ocsp" or source == "crl":
            found.answer(source, url, made, produced, until, trusted)
        found.reached(url, not answer.get("blocked"))
    for fetched in map(_mapping, _list(observed.get("issuers"))):
        found.reached(str(fetched.get("url")), not fetched.get("blocked"))
    return found.facts()


def sntp_witness(host: str, address: str, time: float, local: float) -> Witness:
    """The word of a server of ``--ntp``, for ``ClockFold.hear``."""
    return Witness("sntp", f"{SNTP_PREFIX}{host}", int(time), int(local), None, (f"address:{address}",))


def told_by_servers(finding: Mapping[str, Any]) -> tuple[Witness, ...]:
    """Witnesses of the whole run, not of this target, that stand in its evidence: the servers of ``--ntp``."""
    found = []
    for diagnosis in map(_mapping, _list(finding.get("diagnoses"))):
        evidence = _mapping(diagnosis.get("evidence"))
        for told in (evidence, _mapping(evidence.get("clock"))):
            for witness in map(_mapping, _list(told.get("witnesses"))):
                if witness.get("kind") != "sntp":
                    continue
                time, local = seconds(witness.get("time")), seconds(witness.get("local_time"))
                if time is not None and local is not None:
                    found.append(Witness("sntp", str(witness.get("who")), time, local))
    return tuple(dict.fromkeys(found))


def _is_verified(promise: Mapping[str, Any]) -> bool:
    return promise.get("status") in ("valid", "retired", "outside") or promise.get("why") == AHEAD


def _codes(trust: Iterable[Any]) -> set[str]:
    """Codes that stop the stores; none where one of them is content."""
    codes: set[str] = set()
    for store in map(_mapping, trust):
        if store.get("trusted"):
            return set()
        codes.update(str(code) for code in _list(store.get("errors")) or [store.get("error")])
    return codes


def seconds(text: object) -> int | None:
    """RFC 3339 text as whole seconds since the epoch; ``None`` where it is none."""
    if not isinstance(text, str):
        return None
    return _known_seconds(text) if len(text) == _WHOLE_SECONDS else _seconds(text)


def _seconds(text: str) -> int | None:
    try:
        return int(datetime.fromisoformat(text).timestamp() // 1)
    except (ValueError, OverflowError, OSError):
        return None


# Those of certificates are met again and again; a fleet has some thousand of them.
_known_seconds: Final = lru_cache(maxsize=4096)(_seconds)
_WHOLE_SECONDS: Final = len("2026-11-23T20:15:44Z")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) else None
