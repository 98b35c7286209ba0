"""Makes the facts that one target tells the fleet of its evidence and the verdicts on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from weakref import WeakKeyDictionary

from scanner.fleet.correlate.domains import MAX_NAME
from scanner.fleet.correlate.facts import MAX_ISSUER_TEXT, Facts, FactsBuilder, PageSighting, Sighting
from scanner.model.evidence import EndpointEvidence, Evidence
from scanner.trust.portal_pages import page_of
from scanner.trust.revocation import issuer_of_leaf
from scanner.trust.transparency import Transparency
from scanner.trust.untrusted_issuer import reaches_anchor, untrusted_issuer_of
from scanner.trust.verdicts import ChainIdentity, ChainVerdict

EARLY: Final = "certificate-not-yet-valid"
# States of logs whose promises browsers believe, or believed when they were made
LOGS_IN_USE: Final = frozenset({"qualified", "usable", "readonly", "retired"})


_Chain = tuple[frozenset[str], Sequence[tuple[str | None, str | None]], tuple[str, int, int] | None]
# What verdicts say of chains, as ``FactsBuilder.chain`` takes it: made once for each, and kept as long as its verdicts are.
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
    found = FactsBuilder(name, int(evidence.started))
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


def latest_beginning(verdicts: Sequence[ChainVerdict | None]) -> int | None:
    """Return the latest notBefore of the leaves of a target that some store trusts; ``None`` if there are none."""
    latest = None
    for verdict in verdicts:
        if verdict is not None and verdict.trusted and verdict.leaf is not None:
            begun = int(verdict.leaf.not_before)
            if latest is None or begun > latest:
                latest = begun
    return latest


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
