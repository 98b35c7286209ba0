"""Facts of findings that do not carry them: those written before ``observed.facts`` was.

They are read as strictly as facts are: a finding in which something is not what we wrote tells nothing. SCTs, which tell
something only where our clock was behind, are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from scanner.fleet.correlate.facts import (
    ISSUER_CODES,
    MAX_ISSUER_TEXT,
    MAX_ITEMS,
    Facts,
    FactsBuilder,
    Sighting,
    Text,
    seconds,
)
from scanner.model.evidence import Completion, RevocationAnswer
from scanner.times import TIME_CODES

_Items = Meta(max_length=MAX_ITEMS)
_TELLING: Final = TIME_CODES | ISSUER_CODES


class _Target(Struct, frozen=True):
    host: str
    port: int
    sni: str | None = None


class _Certificate(Struct, frozen=True):
    sha256: Text = ""
    subject: str | None = None
    issuer: str | None = None
    not_before: str | None = None
    not_after: str | None = None


class _Trust(Struct, frozen=True):
    trusted: bool
    error: str | None = None
    errors: tuple[str, ...] = ()


class _EndpointObserved(Struct, frozen=True):
    completions: dict[str, Completion] = {}


class _Endpoint(Struct, frozen=True):
    address: Text
    chain: tuple[str, ...] = ()
    trust: dict[str, _Trust] = {}
    untrusted_issuer: dict[str, Any] | None = None
    observed: _EndpointObserved = _EndpointObserved()


class _Fetched(Struct, frozen=True):
    url: str
    blocked: bool = False


class _Observed(Struct, frozen=True):
    revocation: Annotated[tuple[RevocationAnswer, ...], _Items] = ()
    issuers: Annotated[tuple[_Fetched, ...], _Items] = ()


class _Finding(Struct, frozen=True):
    target: _Target
    started: str
    endpoints: Annotated[tuple[_Endpoint, ...], _Items] = ()
    certificates: tuple[_Certificate, ...] = ()
    observed: _Observed = _Observed()


def older_facts(finding: Mapping[str, Any]) -> Facts | None:
    """Return the facts of a finding that does not carry them; ``None`` if it tells nothing."""
    try:
        if any(map(_may_tell, finding["endpoints"])):
            return _facts_of(msgspec.convert(finding, _Finding))
        if "observed" in finding:
            parts = {name: finding[name] for name in ("target", "started", "observed")}
            return _facts_of(msgspec.convert(parts, _Finding))
    except (KeyError, AttributeError, TypeError, ValueError):
        pass
    return None


def _may_tell(endpoint: Mapping[str, Any]) -> bool:
    """Return False if an address tells nothing, as most do: no server's time, nothing that a clock or an interceptor makes."""
    if "untrusted_issuer" in endpoint:
        return True
    if "observed" in endpoint and any("date" in one for one in endpoint["observed"].get("completions", {}).values()):
        return True
    stores = endpoint["trust"].values()
    if any(store["trusted"] for store in stores):
        return False
    return any(code in _TELLING for store in stores for code in store.get("errors") or (store["error"],))


def _facts_of(read: _Finding) -> Facts | None:
    target, local = read.target, seconds(read.started)
    if local is None:
        return None
    name = (target.sni or target.host)[:MAX_ISSUER_TEXT]
    found = FactsBuilder(name, local)
    certificates = {each.sha256: each for each in read.certificates}
    for endpoint in read.endpoints:
        chain = [certificates.get(sha256, _Certificate()) for sha256 in endpoint.chain]
        leaf = chain[0] if chain else _Certificate()
        begins, ends = seconds(leaf.not_before), seconds(leaf.not_after)
        validity = None if begins is None or ends is None else (leaf.sha256, begins, ends)
        stores = endpoint.trust.values()
        codes = frozenset(code for store in stores for code in store.errors or (store.error or "",))
        if any(store.trusted for store in stores):
            codes = frozenset()
        mark = found.chain(codes, [(each.subject, each.issuer) for each in chain], validity)
        for completion in endpoint.observed.completions.values():
            found.date(endpoint.address, completion.date, completion.local_time, mark)
        if endpoint.untrusted_issuer is not None and validity is not None:
            of_finding = {
                "issuer": (leaf.issuer or "")[:MAX_ISSUER_TEXT], "name": name, "place": f"{endpoint.address} {target.port}",
                "at": local, "leaf": leaf.sha256, "not_before": begins, "not_after": ends,
            }  # fmt: skip
            found.sightings.append(msgspec.convert({**endpoint.untrusted_issuer, **of_finding}, Sighting))
    for answer in read.observed.revocation:
        found.answer(answer.source, answer.url, (answer.this_update, answer.produced_at), answer.next_update)
        found.reached(answer.url, not answer.blocked)
    for fetched in read.observed.issuers:
        found.reached(fetched.url, not fetched.blocked)
    return found.facts()
