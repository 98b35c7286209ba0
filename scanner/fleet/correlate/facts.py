"""What one target tells the fleet: a small record, made once with the target's finding, which carries it.

``scanner.fleet.correlate.gather`` makes it of evidence and verdicts; the finding has it under ``observed.facts``, from where
statistics read it back. Judging again does not read it, since it depends on the trust stores. Most targets tell nothing.
Times are whole seconds since the epoch. Verdicts are those by the local clock, whatever the fleet knows of it later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

# Characters of a text, and items of a list, that are read back from a finding: ours have less, files may be anybody's.
MAX_TEXT: Final = 2048
MAX_ITEMS: Final = 1024
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
    for diagnosis in map(_mapping, _list(finding.get("diagnoses"))):
        evidence = _mapping(diagnosis.get("evidence"))
        for part in (evidence, _mapping(evidence.get("clock"))):
            for witness in map(_mapping, _list(part.get("witnesses"))):
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


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else ()
