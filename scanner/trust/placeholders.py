"""The catalogue of certificates that products serve before they are given another one.

It has the source of every entry. One whose source was not checked is a hint for a person and decides nothing; neither
does one of another kind (private and test CAs, platform wildcards), which may be right in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.shipped import shipped
from scanner.x509.certificate import Certificate
from scanner.x509.distinguished import name_text

_ATTRIBUTES: Final = {"cn": "CN", "o": "O", "ou": "OU", "l": "L", "st": "ST", "c": "C"}
_DECIDING_KINDS: Final = frozenset({"placeholder", "device default"})
# Longer names are not matched against patterns.
_LONGEST_MATCHED: Final = 256
# Names examined of one certificate; a factory certificate has one or two.
_NAMES_EXAMINED: Final = 16
# Issuers that are memoised, and sets of places
_REMEMBERED: Final = 1024
# Bytes of an issuer's name that is memoised
_LONGEST_NAME: Final = 512


class Placeholder(Struct, frozen=True):
    """One product's certificate. ``decides``: its source is good enough to name it as a cause."""

    product: str
    kind: str
    source: str
    decides: bool
    conditions: tuple[tuple[str, str, re.Pattern[str]], ...]  # ("subject" | "issuer" | "san", attribute, pattern)
    self_signed: bool
    note: str | None = None
    places: frozenset[tuple[str, str]] = frozenset()  # of its conditions


def _conditions(match: dict[str, object]) -> Iterator[tuple[str, str, re.Pattern[str]]]:
    for key, value in match.items():
        if not isinstance(value, str) or value.startswith("<"):
            continue
        name, is_pattern = (key.removesuffix("_regex"), True) if key.endswith("_regex") else (key, False)
        pattern = re.compile(value if is_pattern else re.escape(value))
        where, _, attribute = name.partition("_")
        if where in ("subject", "issuer") and attribute in _ATTRIBUTES:
            yield where, _ATTRIBUTES[attribute], pattern
        elif name == "san":
            yield "san", "", pattern


@cache
def catalogue() -> tuple[Placeholder, ...]:
    """Return the entries that can be matched, those that decide first."""
    text = shipped("placeholders.json")
    entries = []
    for row in json.loads(text)["entries"]:
        conditions = tuple(_conditions(row["match"]))
        if conditions:
            decides = row["kind"] in _DECIDING_KINDS and "not checked" not in row["source"]
            self_signed = row["match"].get("self_signed") is True
            places = frozenset((where, attribute) for where, attribute, _ in conditions)
            entries.append(
                Placeholder(
                    row["product"],
                    row["kind"],
                    row["source"],
                    decides,
                    conditions,
                    self_signed,
                    row.get("note"),
                    places,
                )
            )
    return tuple(sorted(entries, key=lambda entry: not entry.decides))


@cache
def _screens() -> dict[tuple[str, str], re.Pattern[str]]:
    """Return one pattern for each place and attribute that matches whatever any entry matches there.

    Most certificates match none: 3 microseconds instead of 35 for all entries, for each untrusted leaf.
    """
    wanted: dict[tuple[str, str], list[str]] = {}
    for entry in catalogue():
        for where, attribute, pattern in entry.conditions:
            wanted.setdefault((where, attribute), []).append(f"(?:{pattern.pattern})")
    return {place: re.compile("|".join(patterns)) for place, patterns in wanted.items()}


def _places(where: str, values: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the place with the attributes of which some value matches some entry."""
    screens = _screens()
    found = set()
    for attribute, value in values:
        screen = screens.get((where, attribute))
        if screen is not None and len(value) <= _LONGEST_MATCHED and screen.fullmatch(value) is not None:
            found.add((where, attribute))
    return found


@bounded_memo(_REMEMBERED, _LONGEST_NAME)
def _places_of_issuer(name: bytes) -> set[tuple[str, str]]:
    return _places("issuer", name_text(name).attributes[:_NAMES_EXAMINED])


@bounded_memo(_REMEMBERED, None)
def _candidates(found: frozenset[tuple[str, str]]) -> tuple[Placeholder, ...]:
    """Return the entries all of whose conditions are about these places."""
    return tuple([entry for entry in catalogue() if entry.places <= found])


def _holds(certificate: Certificate, where: str, attribute: str, pattern: re.Pattern[str]) -> bool:
    if where == "san":
        values = list(certificate.san[:_NAMES_EXAMINED])
    else:
        attributes = certificate.subject_attributes if where == "subject" else certificate.issuer_name.attributes
        values = [value for kind, value in attributes[:_NAMES_EXAMINED] if kind == attribute]
    return any(len(value) <= _LONGEST_MATCHED and pattern.fullmatch(value) is not None for value in values)


def match(certificate: Certificate) -> tuple[str, Placeholder] | None:
    """Return (product, entry) of the first entry whose conditions all hold; ``None`` if there is none."""
    found = _places("subject", certificate.subject_attributes[:_NAMES_EXAMINED])
    found |= _places("san", [("", value) for value in certificate.san[:_NAMES_EXAMINED]])
    found |= _places_of_issuer(certificate.issuer_der)
    if not found:
        return None
    for entry in _candidates(frozenset(found)):
        if all(_holds(certificate, *condition) for condition in entry.conditions) and (
            not entry.self_signed or certificate.self_signed
        ):
            return entry.product, entry
    return None
