"""Registrable domains, by which the fleet's folds distinguish related names from unrelated ones.

They follow the Public Suffix List (https://publicsuffix.org/), its ICANN part: names below one hosting company's domain count
as one, which can only make a fold more careful. The list is the one that came with the package; nothing is fetched.

``publicsuffixlist`` searches a name label by label. Where no suffix with the name's last two labels is longer than these,
the two labels decide, and thousands of names of an estate share them. That needs the package's own table, which is private
(``_publicsuffix``); without it every name is searched. It is used because it takes a sixth off ``stats --by domain``:
14.2 us a finding without it, 11.9 with it, of which the search of a new name is 2.4 us and the short way 0.8.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from scanner.caching import bounded_memo
from scanner.public_suffixes import suffix_list

# Names whose domain is remembered: a few hosts come again and again, the names of an inventory do not.
REMEMBERED: Final = 4096
# Characters of a name (RFC 1035 section 2.3.4)
MAX_NAME: Final = 253
# Characters of a URL that is remembered
MAX_URL: Final = 512
# Names without a dot are completed by the resolver's search list: all of them belong to the operator of the network.
LOCAL: Final = "(local)"
# Top-level domains that stand for public ones in tests and documentation (RFC 2606). Any other that is not on the list
# ("corp", "lan", "internal") is one organisation's own, with everything below it.
STAND_INS: Final = frozenset({"test", "example"})


@cache
def _ends_of_long_suffixes() -> frozenset[str] | None:
    """Return the last two labels of all suffixes with more than two; ``None`` if the package does not have its table there."""
    rules = getattr(suffix_list(), "_publicsuffix", None)
    if not isinstance(rules, frozenset):
        return None
    return frozenset(".".join(rule.split(".")[-2:]) for rule in rules if rule.count(".") > 1)


def load() -> None:
    """Read the list now, which takes some 40 ms: for callers that have a thread for that."""
    _ends_of_long_suffixes()


@bounded_memo(REMEMBERED, MAX_NAME)
def _labels_decided_by(last_two: str) -> int:
    """Return how many labels of a name are its registrable domain if its last two decide that; 0 if they do not.

    No suffix is longer than two labels then, so that the list can be asked for any name below them.
    """
    long_suffixes = _ends_of_long_suffixes()
    if long_suffixes is None or last_two in long_suffixes:
        return 0
    return _searched(f"a.b.{last_two}").count(".") + 1


@bounded_memo(REMEMBERED, MAX_NAME)
def registrable(name: str) -> str:
    """Return the registrable domain of a host name in lower-case A-labels, or the address itself if ``name`` is an IP literal.

    A public suffix is its own; names that no registry gave out are one organisation's: see ``LOCAL`` and ``STAND_INS``.
    """
    if is_address(name):
        return name
    labels = name.rsplit(".", 3)
    if len(labels) > 2 and "" not in labels and ".." not in name and name[0] != "." and name.islower():
        count = _labels_decided_by(f"{labels[-2]}.{labels[-1]}") if len(name) <= MAX_NAME else 0
        if count:
            return ".".join(labels[-count:])
    return _searched(name)


def _searched(name: str) -> str:
    labels = name.rstrip(".").split(".")
    if len(labels) == 1:
        return LOCAL
    found = suffix_list().privatesuffix(name.rstrip("."))
    if found is not None:
        return str(found)
    if suffix_list().publicsuffix(name.rstrip(".")) is not None:
        return name
    return ".".join(labels[-2:]) if labels[-1] in STAND_INS else labels[-1]


def is_address(name: str) -> bool:
    """Return True if ``name`` is an IP literal."""
    if ":" not in name and not name[-1:].isdigit():
        return False
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


@bounded_memo(REMEMBERED, MAX_URL)
def host_of(url: str) -> str:
    """Return the host of a URL in lower case; "" if it has none that could exist."""
    try:
        host = urlsplit(url).hostname or ""
        return host if len(host) <= MAX_NAME else ""
    except ValueError:
        return ""
