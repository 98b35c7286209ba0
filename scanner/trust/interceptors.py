"""The catalogue of products that intercept TLS: issuers and keys of antivirus, proxy and firewall products and portals.

It has the source of every entry. One whose source was not checked is a hint that other evidence may confirm, and
decides nothing alone. A pattern is about the issuer of the leaf: whether the product intercepts, or is itself the
target, is for a rule to decide.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from typing import Any, Final

from msgspec import Struct

from scanner.caching import bounded_memo
from scanner.shipped import shipped
from scanner.x509.certificate import Certificate

# Longer names are not matched against patterns.
_LONGEST_MATCHED: Final = 256
# Attributes examined of one name; those of products have two or three.
_ATTRIBUTES_EXAMINED: Final = 16
# Issuers that are memoised: a fleet has a few dozen, and each target asks for one.
_REMEMBERED: Final = 1024
# Characters of a name that is memoised
_LONGEST_NAME: Final = 512


class Middlebox(Struct, frozen=True):
    """One product. ``decides``: the pattern was checked, so that the name alone is proof."""

    product: str
    kind: str
    source: str
    decides: bool


class _Pattern(Struct, frozen=True):
    middlebox: Middlebox
    conditions: tuple[tuple[str, re.Pattern[str]], ...]  # attribute of the issuer, full-match pattern


@cache
def _data() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(shipped("interceptors.json"))
    return content


@cache
def _patterns() -> tuple[_Pattern, ...]:
    found = [
        _Pattern(
            Middlebox(row["product"], row["kind"], row["source"], row["decides"]),
            tuple((kind, re.compile(row[kind])) for kind in ("CN", "O", "OU") if kind in row),
        )
        for row in _data()["issuers"]
    ]
    return tuple(sorted(found, key=lambda pattern: not pattern.middlebox.decides))


@cache
def _portal_keys() -> frozenset[str]:
    return frozenset(_data()["portal_keys"])


def key_hash(certificate: Certificate) -> str:
    """Return the SHA-256 (hex) of the SubjectPublicKeyInfo."""
    return hashlib.sha256(certificate.spki_der).hexdigest()


def _attribute_bytes(attributes: tuple[tuple[str, str], ...]) -> int:
    return sum([len(value) for _, value in attributes])


@bounded_memo(_REMEMBERED, _LONGEST_NAME, _attribute_bytes)
def by_issuer(attributes: tuple[tuple[str, str], ...]) -> Middlebox | None:
    """Return the product whose CA has this name, given as (attribute, value), preferably one that decides."""
    examined = attributes[:_ATTRIBUTES_EXAMINED]
    for pattern in _patterns():
        if all(
            any(
                kind == wanted and len(value) <= _LONGEST_MATCHED and expression.fullmatch(value) is not None
                for kind, value in examined
            )
            for wanted, expression in pattern.conditions
        ):
            return pattern.middlebox
    return None


def middlebox_of(leaf: Certificate, issuers: tuple[Certificate, ...] = ()) -> Middlebox | None:
    """Return the product that issued a leaf that is not self-issued, by its issuer's name or the key of one of ``issuers``."""
    if leaf.self_issued:
        return None
    known = by_issuer(leaf.issuer_name.attributes)
    if known is not None and known.decides:
        return known
    for issuer in issuers:
        product = _data()["keys"].get(key_hash(issuer))
        if product is not None:
            return Middlebox(product, "interception", _data()["chrome"], True)
    return known


def is_portal_key(leaf: Certificate) -> bool:
    """Return True if the leaf's key is one that Chrome knows as a captive portal's."""
    return key_hash(leaf) in _portal_keys()
