"""Makes the facts that one target tells the fleet of its evidence and the verdicts on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal
from weakref import WeakKeyDictionary

from scanner.fleet.correlate.domains import MAX_NAME, host_of, registrable
from scanner.fleet.correlate.facts import MAX_TEXT, Facts, PageSighting, Reached, Sighting, Validity, Witness
from scanner.model.evidence import EndpointEvidence, Evidence
from scanner.trust.certificate_rules import TIME_CODES
from scanner.trust.portal_pages import page_of
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import Transparency
from scanner.trust.untrusted_issuer import reaches_anchor, untrusted_issuer_of
from scanner.trust.verdicts import ChainIdentity, ChainVerdict

# Codes by which no store trusts an issuer: an interceptor makes them.
ISSUER_CODES: Final = frozenset({"untrusted-root", "issuer-unknown", "intermediate-unobtainable"})
EARLY: Final = "certificate-not-yet-valid"
# States of logs whose promises browsers believe, or believed when they were made
LOGS_IN_USE: Final = frozenset({"qualified", "usable", "readonly", "retired"})
# Issuers are followed upwards through what was sent; no real chain is longer.
MAX_DEPTH: Final = 10
# Characters kept of an issuer's name: a certificate has room for 200 kB of it.
MAX_ISSUER_TEXT: Final = 1024


_Chain = tuple[frozenset[str], Sequence[tuple[str | None, str | None]], tuple[str, int, int] | None]
# What verdicts say of chains, as ``Gathering.chain`` takes it: made once for each, and kept as long as its verdicts are.
_chains: Final[WeakKeyDictionary[ChainIdentity, _Chain]] = WeakKeyDictionary()


def _chain_of(verdict: ChainVerdict) -> _Chain:
    leaf, codes = verdict.leaf, frozenset[str]()
    if not verdict.trusted:
        codes = frozenset([problem.code for store in verdict.stores.values() for problem in store.problems])
    return (
        codes,
        [(None, None) if sent is None else (sent.subject, sent.issuer) for sent in verdict.sent],
        None if leaf is None else (leaf.sha256, int(leaf.not_before), int(leaf.not_after)),
    )


def facts_of(
    evidence: Evidence, verdicts: Sequence[ChainVerdict | None], transparency: Transparency | None = None
) -> Facts | None:
    """Return what a target tells the fleet, ``None`` if nothing. ``verdicts`` is parallel to ``evidence.endpoints``;
    ``transparency`` verifies SCTs, which tell nothing without it."""
    if not (evidence.revocation or evidence.issuers) and not _is_telling(evidence.endpoints, verdicts):
        return None
    endpoints = tuple(zip(evidence.endpoints, (*verdicts, *(None,) * len(evidence.endpoints)), strict=False))
    name = evidence.target.name
    found = Gathering(name, int(evidence.started))
    for endpoint, verdict in endpoints:
        if not endpoint.completions and (verdict is None or verdict.trusted):
            continue
        mark, codes = None, frozenset[str]()
        if verdict is not None:
            chain = _chains.get(verdict.identity)
            if chain is None:
                chain = _chains[verdict.identity] = _chain_of(verdict)
            codes = chain[0]
            if not verdict.trusted:
                found.sightings += _sightings_of(evidence, endpoint, verdict, verdicts)
            mark = found.chain(*chain)
            page = page_of(name, endpoint, verdict)
            if page is not None and page.proof is None and page.host is not None:  # one with a proof needs no fleet
                found.pages[PageSighting(name, page.page, page.host[:MAX_NAME])] = None
            if transparency is not None and EARLY in codes:
                for operator, time in _scts_of(endpoint, verdict, transparency, evidence.started):
                    found.sct(operator, time)
        for completion in endpoint.completions.values():
            found.date(endpoint.address, completion.date, completion.local_time, mark)
    for answer in evidence.revocation:
        found.answer(answer.source, answer.url, (answer.this_update, answer.produced_at), answer.next_update)
        found.reached(answer.url, not answer.blocked)
    for fetched in evidence.issuers:
        found.reached(fetched.url, not fetched.blocked)
    return found.facts()


def _is_telling(endpoints: Sequence[EndpointEvidence], verdicts: Sequence[ChainVerdict | None]) -> bool:
    """Return True if handshakes were completed or certificates are not trusted: most of a fleet has neither."""
    for verdict in verdicts:
        if verdict is not None and not verdict.trusted:
            return True
    for endpoint in endpoints:
        if endpoint.completions:
            return True
    return False


def _scts_of(
    endpoint: EndpointEvidence, verdict: ChainVerdict, transparency: Transparency, at: float
) -> Iterator[tuple[str, float]]:
    """Yield (operator, time) of the SCTs of a certificate that verify, by logs that are or were in use."""
    flight = endpoint.probe.flight
    if verdict.leaf is None or not verdict.publicly_trusted:
        return
    tls, staple = (flight.scts, flight.ocsp_response) if flight is not None else ((), None)
    judged = transparency.evaluate(verdict.leaf, issuer_of_leaf(verdict), at=at, tls=tls, staple=staple)
    for item in judged.scts:
        if item.verified and item.log is not None and item.sct is not None and item.log.state in LOGS_IN_USE:
            yield item.log.operator_at(item.sct.time), item.sct.time


def _sightings_of(
    evidence: Evidence, endpoint: EndpointEvidence, verdict: ChainVerdict, verdicts: Sequence[ChainVerdict | None]
) -> Iterator[Sighting]:
    """Yield what one address shows of an issuer that no store trusts, if that issuer may be an interceptor."""
    found = None if verdict.leaf is None or reaches_anchor(verdict) else untrusted_issuer_of(verdict, endpoint)
    if verdict.leaf is None or found is None:
        return
    yield Sighting(
        key=found.key,
        issuer=found.issuer[:MAX_ISSUER_TEXT],
        name=evidence.target.name,
        place=f"{endpoint.address} {evidence.target.port}",
        at=int(evidence.started),
        leaf=found.leaf,
        leaf_key=found.leaf_key,
        not_before=int(verdict.leaf.not_before),
        not_after=int(verdict.leaf.not_after),
        keyed=found.keyed,
        named=found.named,
        own_key=found.own_key,
        operated=found.operated,
        on_the_spot=found.on_the_spot,
        elsewhere=bool(evidence.elsewhere)
        or any(each is not None and each.publicly_trusted and each.trusted for each in verdicts),
        product=found.product,
    )


class Gathering:
    """The facts of one target while they are gathered."""

    def __init__(self, name: str, local: int) -> None:
        self.name, self.local = name, local
        self.validity: dict[Validity, None] = {}
        self.untrusted = False
        self.witnesses: dict[Witness, None] = {}
        self.pages: dict[PageSighting, None] = {}
        self.reach: dict[Reached, None] = {}
        self.incomplete = False
        self.sightings: list[Sighting] = []

    def chain(
        self,
        codes: frozenset[str],
        sent: Sequence[tuple[str | None, str | None]],
        leaf: tuple[str, int, int] | None,
    ) -> str | None:
        """Take in what the stores say of the chain of one address: ``codes`` of what stops them, (subject, issuer) of each
        certificate as ``sent``, SHA-256 and validity of its ``leaf``. Return what marks addresses that may be in one hand."""
        if leaf is None:
            return None
        for code in sorted(codes & TIME_CODES):
            self.validity[Validity(code, *leaf)] = None
        if not codes & ISSUER_CODES:
            return f"certificate:{leaf[0]}"
        self.incomplete = self.incomplete or bool(codes - {"untrusted-root"} & ISSUER_CODES)
        top = top_issuer(sent)
        if top is None:
            return f"certificate:{leaf[0]}"
        self.untrusted = True
        return f"issuer:{top}"[:MAX_TEXT]

    def date(self, address: str, date: float | None, local_time: float | None, mark: str | None) -> None:
        """Take in what a server said of the present in an HTTP answer."""
        if date is not None and local_time is not None:
            via = (f"address:{address}",) if mark is None else (f"address:{address}", mark)
            self.witnesses[Witness("http-date", registrable(self.name), int(date), int(local_time), None, via)] = None

    def sct(self, operator: str, time: float) -> None:
        """Take in a log's promise that verifies; it tells something of our clock only if it lies ahead of it."""
        if int(time) > self.local:
            self.witnesses[Witness("sct", operator, int(time), self.local)] = None

    def answer(
        self, source: Literal["ocsp", "crl"], url: str, signed: Iterable[float | None], next_update: float | None
    ) -> None:
        """Take in a signed answer on revocation, after all chains. Its times are there only if its signature verifies; it counts
        only for a CA that some store trusts."""
        times = [time for time in signed if time is not None]
        if times and not self.untrusted and (host := host_of(url)):
            until = None if next_update is None else int(next_update)
            self.witnesses[Witness(source, registrable(host), int(max(times)), self.local, until)] = None

    def reached(self, url: str, reached: bool) -> None:
        """Take in whether a host that certificates name was reached."""
        if host := host_of(url):
            self.reach[Reached(host, reached)] = None

    def facts(self) -> Facts | None:
        """Return the record; ``None`` if it is empty."""
        of_itself = self.validity or self.untrusted or self.pages or self.sightings
        if not (of_itself or self.witnesses or self.reach or self.incomplete):
            return None
        # most targets tell only what was fetched, which has nothing to do with their own name
        domain = registrable(self.name) if of_itself else ""
        return Facts(
            self.local, domain, tuple(self.validity), self.untrusted, tuple(self.witnesses), tuple(self.pages),
            tuple(self.reach), self.incomplete, tuple(self.sightings),
        )  # fmt: skip


def top_issuer(chain: Sequence[tuple[str | None, str | None]]) -> str | None:
    """Return the name of the issuer at the top of a chain, as far as it was sent.

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
