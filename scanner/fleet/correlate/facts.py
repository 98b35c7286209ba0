"""What one target tells the fleet: a small record, made once with the target's finding, which carries it.

``scanner.fleet.correlate.gather`` makes it of evidence and verdicts, by a ``FactsBuilder``; the finding has it under
``observed.facts``, from where statistics read it back: without loading cryptography, so nothing of ``scanner.trust`` and
``scanner.x509`` is imported here. Judging again does not read it, since it depends on the trust stores. Most targets tell nothing.
Times are whole seconds since the epoch. Verdicts are those by the local clock, whatever the fleet knows of it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from scanner.fleet.correlate.domains import host_of, registrable
from scanner.fleet.keys import records_in
from scanner.times import TIME_CODES

# Characters of a text, and items of a list, that are read back from a finding: ours have less, files may be anybody's.
MAX_TEXT: Final = 2048
MAX_ITEMS: Final = 1024
# Codes by which no store trusts an issuer: an interceptor makes them.
ISSUER_CODES: Final = frozenset({"untrusted-root", "issuer-unknown", "intermediate-unobtainable"})
# Issuers are followed upwards through what was sent; no real chain is longer.
MAX_DEPTH: Final = 10
# Characters kept of an issuer's name: a certificate has room for 200 kB of it.
MAX_ISSUER_TEXT: Final = 1024
# What precedes the names of servers of --ntp among the witnesses: they are no part of the fleet.
SNTP_PREFIX: Final = "ntp "
# What begins the mark of a witness's address (``Witness.via``)
ADDRESS_MARK: Final = "address:"

WitnessKind = Literal["sct", "ocsp", "crl", "http-date", "tls-random", "sntp"]
_TELL_PRESENT: Final = frozenset({"http-date", "tls-random", "sntp"})
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
_Items = Meta(max_length=MAX_ITEMS)


class Witness(Struct, frozen=True, omit_defaults=True):
    """A statement on what time it is.

    ``time`` is the time that it states and ``local`` what our clock said then, both in seconds since the epoch. For
    "http-date", "tls-random" and "sntp" it is the present; for "sct", "ocsp" and "crl" it is past for certain, and
    ``until`` is when an answer that was fetched a moment ago ceases to be current. ``who`` is the party: a registrable
    domain, a log's operator, a server of ours. Witnesses that share a mark of ``via`` (an address, an untrusted issuer,
    a certificate) count as one.
    """

    kind: WitnessKind
    who: Text
    time: int
    local: int
    until: int | None = None
    via: Annotated[tuple[Text, ...], _Items] = ()

    @property
    def tells_present(self) -> bool:
        """Whether ``time`` is the present, and not the past."""
        return self.kind in _TELL_PRESENT


class Validity(Struct, frozen=True):
    """A certificate outside of its validity by the local clock. The times are of the leaf."""

    code: Text
    certificate: Text
    not_before: int
    not_after: int


class Reached(Struct, frozen=True):
    """An OCSP, CRL or AIA host, and whether it could be reached."""

    host: Text
    reached: bool


class Sighting(Struct, frozen=True, omit_defaults=True):
    """One certificate under an issuer that no store trusts, as one address showed it. Times in seconds since the epoch.

    ``place`` is address and port. ``elsewhere``: another path or an earlier run saw a publicly trusted one for this name.
    The rest is as in ``scanner.trust.untrusted_issuer.UntrustedIssuer``.
    """

    key: Text
    issuer: Text
    name: Text
    place: Text
    at: int
    leaf: Text
    leaf_key: Text
    not_before: int
    not_after: int
    keyed: bool = False
    named: bool = False
    own_key: bool = False
    operated: bool = False
    on_the_spot: bool = False
    elsewhere: bool = False
    product: Text | None = None


class PageSighting(Struct, frozen=True):
    """One name that led to a page of another site."""

    name: Text
    page: Text
    host: Text


class Facts(Struct, frozen=True, omit_defaults=True):
    """What one target tells the fleet.

    ``local`` is our clock when the target was taken up; ``domain`` its registrable domain, empty where it tells nothing of
    itself. ``untrusted``: no store trusts the issuer of some chain. ``incomplete``: an issuer is missing that another target of
    the run may show.
    """

    local: int
    domain: Text = ""
    validity: Annotated[tuple[Validity, ...], _Items] = ()
    untrusted: bool = False
    witnesses: Annotated[tuple[Witness, ...], _Items] = ()
    pages: Annotated[tuple[PageSighting, ...], _Items] = ()
    reach: Annotated[tuple[Reached, ...], _Items] = ()
    incomplete: bool = False
    sightings: Annotated[tuple[Sighting, ...], _Items] = ()


# --- put together -----------------------------------------------------------------------------------


class FactsBuilder:
    """The facts of one target while they are put together, of evidence and verdicts or of an older finding."""

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
        certificate as ``sent``, SHA-256 and validity of its ``leaf``.

        Return what marks addresses that may have one operator.
        """
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
            via = (f"{ADDRESS_MARK}{address}",) if mark is None else (f"{ADDRESS_MARK}{address}", mark)
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


# --- in findings -----------------------------------------------------------------------------------


def facts_from_json(recorded: object) -> Facts | None:
    """Return the facts that a finding holds; ``None`` where they are not what we write."""
    try:
        return msgspec.convert(recorded, Facts)
    except msgspec.ValidationError:
        return None


def sntp_witness(host: str, address: str, time: float, local: float) -> Witness:
    """Return what a server of ``--ntp`` said, for ``ClockFold.add_witness``."""
    return Witness("sntp", f"{SNTP_PREFIX}{host}", int(time), int(local), None, (f"{ADDRESS_MARK}{address}",))


def recorded_sntp(finding: Mapping[str, Any]) -> tuple[Witness, ...]:
    """Return what the servers of ``--ntp`` said: no target shows it, but findings that depend on it have it in their evidence."""
    found = []
    for diagnosis in records_in(finding.get("diagnoses")):
        evidence = _mapping(diagnosis.get("evidence"))
        for part in (evidence, _mapping(evidence.get("clock"))):
            for witness in records_in(part.get("witnesses")):
                who, time, local = witness.get("who"), seconds(witness.get("time")), seconds(witness.get("local_time"))
                if witness.get("kind") == "sntp" and isinstance(who, str) and time is not None and local is not None:
                    found.append(Witness("sntp", who[:MAX_TEXT], time, local))
    return tuple(dict.fromkeys(found))


def seconds(text: object) -> int | None:
    """Return RFC 3339 text as whole seconds since the epoch; ``None`` if it is not a time."""
    try:
        return int(datetime.fromisoformat(text).timestamp() // 1) if isinstance(text, str) else None
    except (ValueError, OverflowError, OSError):
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
