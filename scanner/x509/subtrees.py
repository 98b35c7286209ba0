"""One side of a CA's name constraints (RFC 5280 section 4.2.1.10), permitted or excluded, as look-up tables."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, TypeAlias

from scanner.x509.distinguished import Normalised, normalised

# Tags of GeneralNames
EMAIL: Final = 0x81
DNS: Final = 0x82
DIRECTORY: Final = 0xA4
URI: Final = 0x86
IP: Final = 0x87
REGISTERED_ID: Final = 0x88


class Subtrees:
    """One side, permitted or excluded, as tables: names are found without comparing each subtree. Rare tables are made lazily."""

    __slots__ = (
        "_directories",
        "_intervals",
        "_texts",
        "addresses",
        "all_dns",
        "below",
        "bounded",
        "count",
        "counts",
        "directories",
        "domains",
        "dotted",
        "odd_addresses",
        "odd_lengths",
        "others",
        "parents",
        "registered",
        "texts",
    )

    def __init__(self) -> None:
        self.count = 0
        self.counts: dict[int, int] = {}  # by type
        self.domains: set[str] = set()  # the domain and everything under it
        self.below: set[str] = set()  # given with a leading dot: only what is under it
        self.parents: set[str] = set()  # the domains one label above those
        self.dotted: set[str] = set()  # given with a trailing dot, which is not part of these
        self.all_dns = False
        self.odd_lengths = False  # there are address ranges of neither 8 nor 32 bytes
        self.odd_addresses: list[tuple[bytes, bytes]] = []  # those with masks that have holes
        self.addresses: list[tuple[bytes, bytes]] = []
        self.directories: list[bytes] = []
        self.texts: dict[int, list[str]] = {}
        self.others: set[int] = set()  # types of all others
        self.registered: set[bytes] = set()  # registered identifiers
        self.bounded: set[int] = set()  # types that have a minimum or maximum
        self._intervals: dict[int, tuple[list[int], list[int]]] | None = None
        self._directories: _Tree | None = None
        self._texts: dict[int, _Texts] = {}

    def has(self, tag: int) -> bool:
        """Return whether this side has subtrees of this type."""
        if tag == DNS:
            return bool(self.domains or self.below or self.all_dns or self.dotted)
        if tag == IP:
            return bool(self.addresses or self.odd_addresses or self.odd_lengths)
        if tag == DIRECTORY:
            return bool(self.directories)
        return tag in self.texts or tag in self.others

    def holds_dns(self, name: str) -> bool:
        """Return whether a dNSName, in lower case, is within."""
        if self.all_dns:
            return True
        if name in self.domains:
            return True
        at = name.find(".")
        while at >= 0:
            rest = name[at + 1 :]
            if rest in self.domains or rest in self.below:
                return True
            at = name.find(".", at + 1)
        return False

    def holds_dotted(self, name: str) -> bool:
        """Return whether a dNSName, in lower case, is within a domain that was given with a trailing dot."""
        while name and self.dotted:
            if name in self.dotted:
                return True
            name = name.partition(".")[2]
        return False

    def meets_wildcard(self, name: str) -> bool:
        """Return whether a wildcard matches some name that is within, even if not all are."""
        return name.startswith("*.") and name[2:] in self.parents

    def holds_address(self, address: bytes) -> bool:
        """Return whether an address is within; one of another family never is."""
        if self._intervals is None:
            self._intervals = _merged(self.addresses)
        for base, mask in self.odd_addresses:
            if len(base) == len(address) and all(a & m == b for a, b, m in zip(address, base, mask, strict=True)):
                return True
        found = self._intervals.get(len(address))
        if found is None:
            return False
        firsts, lasts = found
        value = int.from_bytes(address, "big")
        place = bisect_right(firsts, value)
        return place > 0 and value <= lasts[place - 1]

    def holds_directory(self, name: Normalised) -> bool:
        """Return whether a distinguished name is within; ``None``, one that cannot be read, never is."""
        if self._directories is None:
            self._directories = _tree([normalised(base) for base in self.directories])
        branch: _Tree = self._directories
        if name is None:
            return False
        if None in branch:
            return True
        for relative in name:
            following = branch.get(relative)
            if following is None:
                return False
            branch = following
            if None in branch:
                return True
        return False

    def holds_text(self, tag: int, text: str, *, below: bool = False) -> bool:
        """Return whether a mailbox or URI is within; ``below``: a domain also holds what is under it, as Go has it."""
        table = self._texts.get(tag)
        if table is None:
            table = self._texts[tag] = _Texts(tag, self.texts.get(tag, ()))
        if tag == EMAIL:
            local, at, domain = text.rpartition("@")
            domain = domain.lower()
            return (f"{local}@{domain}" if at else text) in table.mailboxes or table.holds_host(domain, below=below)
        host = host_of_uri(text)
        return host is not None and table.holds_host(host, below=below)


# Relative name -> what may follow it; the key ``None`` marks the end of a base
_Tree: TypeAlias = "dict[tuple[tuple[str, str], ...] | None, _Tree]"


def _tree(bases: Iterable[Normalised]) -> _Tree:
    tree: _Tree = {}
    for base in bases:
        if base is not None:
            branch = tree
            for relative in base:
                branch = branch.setdefault(relative, {})
            branch[None] = {}
    return tree


def _merged(networks: Iterable[tuple[bytes, bytes]]) -> dict[int, tuple[list[int], list[int]]]:
    """Return networks as disjoint intervals: bytes of an address -> (sorted first addresses, their last ones)."""
    found: dict[int, tuple[list[int], list[int]]] = {}
    for base, mask in sorted(networks):
        firsts, lasts = found.setdefault(len(base), ([], []))
        first = int.from_bytes(base, "big")
        last = first | int.from_bytes(mask, "big") ^ ((1 << 8 * len(base)) - 1)
        if lasts and first <= lasts[-1]:
            lasts[-1] = max(lasts[-1], last)
        else:
            firsts.append(first)
            lasts.append(last)
    return found


class _Texts:
    """The constraints on mailboxes or on URIs of one side."""

    __slots__ = ("domains", "everything", "hosts", "mailboxes")

    def __init__(self, tag: int, constraints: Iterable[str]) -> None:
        self.mailboxes: set[str] = set()
        self.hosts: set[str] = set()
        self.domains: set[str] = set()  # given with a leading dot: what is under it
        self.everything = False
        for constraint in constraints:
            local, at, domain = constraint.rpartition("@")
            if tag == EMAIL and at:
                self.mailboxes.add(f"{local}@{domain.lower()}")
            elif not constraint:
                self.everything = True
            else:
                # For mailboxes and URIs a domain without a leading dot means that host alone (RFC 5280 section
                # 4.2.1.10).
                self.hosts.add(constraint.lower())
                if constraint.startswith("."):
                    self.domains.add(constraint.lower())

    def holds_host(self, host: str, *, below: bool) -> bool:
        """Return whether a host, in lower case, is one of these or under one of these."""
        if self.everything or host in self.hosts:
            return True
        at = host.find(".") if self.domains or below else -1
        while at >= 0:
            if host[at:] in self.domains or (below and host[at + 1 :] in self.hosts):
                return True
            at = host.find(".", at + 1)
        return False


def host_of_uri(uri: str) -> str | None:
    """Return the host of a URI in lower case; ``None`` if it has none."""
    _, mark, rest = uri.partition("://")
    if not mark:
        return None
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0].rpartition("@")[2]
    host = authority.rsplit(":", 1)[0] if authority.count(":") == 1 else authority
    return host.lower() or None
