"""Names, addresses and networks that are never contacted, whatever an inventory or a certificate says.

One entry per line; ``#`` starts a comment:

- ``www.example.com``: this name alone;
- ``*.example.com``: every name below it, at any depth, but not itself;
- ``.example.com``: itself and every name below it;
- ``192.0.2.1``, ``2001:db8::1``: an address; ``192.0.2.0/24``, ``2001:db8::/32``: a network.

An IPv4 network also covers its addresses embedded in IPv6 (IPv4-mapped, or NAT64 of RFC 6052).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from scanner.errors import TlsweepError
from scanner.inventory.hosts import Unusable, embedded_ipv4, parse_address, parse_name
from scanner.lines import StreamBroken, batches_of_lines, blocks, close_binary, decode, open_named
from scanner.model.evidence import InvalidRow, Target
from scanner.text import quoted

# Longer than any name or network with a comment.
MAX_LINE: Final = 4096

# Lists of whole registries have some hundred thousand entries; each takes about 100 bytes.
MAX_ENTRIES: Final = 5_000_000


class ExclusionError(TlsweepError):
    """The list of exclusions cannot be used; the message is one line for the user and names the bad line."""


class Exclusions:
    """A set of exclusions that finds the entry that applies to a name or an address.

    A query costs one look-up per label of the name, or per prefix length that occurs in the list.
    """

    def __init__(self) -> None:
        self._exact: set[str] = set()
        self._below: set[str] = set()  # names whose subdomains are excluded
        # prefix length -> network addresses as integers, by IP version
        self._networks: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entry: str) -> None:
        """Add one entry as written in a file. Raises ``ExclusionError``, without a line number."""
        try:
            self._add(entry.strip())
        except Unusable as error:
            raise ExclusionError(error.reason) from None
        self._count += 1

    def _add(self, entry: str) -> None:
        if "://" in entry:
            raise Unusable(f"{quoted(entry)} is a URL: give the name, address or network alone")
        if "/" in entry or ":" in entry or entry.startswith("["):
            self._add_network(entry)
            return
        if entry.startswith("*."):
            self._below.add(_suffix(entry[2:], entry))
            return
        if entry.startswith("."):
            suffix = _suffix(entry[1:], entry)
            self._below.add(suffix)
            self._exact.add(suffix)
            return
        if not entry.rpartition(".")[2].strip("0123456789-"):
            if "-" in entry:
                # it would pass as a name, and exclude nothing
                raise Unusable(f"{quoted(entry)} looks like a range of addresses: write networks, as 192.0.2.0/28")
            self._add_network(entry)
            return
        self._exact.add(parse_name(entry))

    def _add_network(self, entry: str) -> None:
        if "/" not in entry:
            network = ipaddress.ip_network(parse_address(entry))
        else:
            try:
                # 192.0.2.5/24 means the network that contains it: excluding too much is the safe side
                network = ipaddress.ip_network(entry, strict=False)
            except ValueError:
                raise Unusable(f"{quoted(entry)} is neither a name, an address nor a network") from None
        by_length = self._networks[network.version]
        by_length.setdefault(network.prefixlen, set()).add(int(network.network_address))
        if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96:
            inner = network.network_address.ipv4_mapped
            if inner is not None:  # ::ffff:192.0.2.0/120 is another spelling of 192.0.2.0/24
                self._networks[4].setdefault(network.prefixlen - 96, set()).add(int(inner))

    def name(self, host: str) -> str | None:
        """Return the entry that excludes this host name (any case, Unicode or A-labels), or ``None``."""
        if not self._exact and not self._below:
            return None
        try:
            name = parse_name(host)
        except Unusable:
            return None  # not a name that could be looked up
        if name in self._exact:
            return name
        start = name.find(".") + 1
        while start:
            suffix = name[start:]
            if suffix in self._below:
                return f"*.{suffix}"
            start = name.find(".", start) + 1
        return None

    def address(self, address: str) -> str | None:
        """Return the entry that excludes this IP address (as text; an IPv6 zone is ignored), or ``None``."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return None
        inner = embedded_ipv4(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
        return self._find(parsed) or (self._find(inner) if inner is not None else None)

    def host(self, host: str) -> str | None:
        """Return the entry that excludes this host, a name or an address, or ``None``."""
        return self.address(host) or self.name(host)

    def _find(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
        value = int(address)
        bits = address.max_prefixlen
        for length, networks in self._networks[address.version].items():
            network = value >> (bits - length) << (bits - length)
            if network in networks:
                shown = type(address)(network)
                return str(shown) if length == bits else f"{shown}/{length}"
        return None


def _suffix(name: str, entry: str) -> str:
    try:
        return parse_name(name)
    except Unusable:
        raise Unusable(f"{quoted(entry)} is not a domain with a leading dot or wildcard") from None


def load_exclusions(paths: Iterable[str]) -> Exclusions:
    """Read the exclusions of all these files.

    Raises ``ExclusionError`` on the first bad line: with a list that was read in part, a scan would contact what
    the list is meant to protect.
    """
    exclusions = Exclusions()
    for path in paths:
        _load(path, exclusions)
    return exclusions


def _load(path: str, exclusions: Exclusions) -> None:
    file, shown = open_named(path, ExclusionError, "the exclusions ")
    number = 0
    try:
        for batch in batches_of_lines(blocks(file), MAX_LINE):
            for raw in batch:
                number += 1
                if len(raw) > MAX_LINE:
                    raise ExclusionError(f"longer than {MAX_LINE} bytes")
                entry = decode(raw).lstrip("\ufeff").partition("#")[0].strip()
                if not entry:
                    continue
                if len(exclusions) >= MAX_ENTRIES:
                    raise ExclusionError(f"more than {MAX_ENTRIES} entries")
                exclusions.add(entry)
    except ExclusionError as error:
        raise ExclusionError(f"exclusions {shown}, line {number}: {error}") from None
    except StreamBroken as error:
        raise ExclusionError(f"the exclusions {shown}: the file {error.reason}") from error
    finally:
        close_binary(file)


def mark_excluded(rows: Iterator[Target | InvalidRow], exclusions: Exclusions) -> Iterator[Target | InvalidRow]:
    """Yield the rows, with excluded targets turned into invalid rows that say why."""
    for row in rows:
        if isinstance(row, Target):
            entry = exclusions.host(row.host) or (row.address and exclusions.address(row.address))
            if entry:
                row = InvalidRow(
                    row=row.row,
                    reason=f"excluded by '{entry}': it was not contacted",
                    host=row.host,
                    port=row.port,
                    protocol=row.protocol,
                    id=row.id,
                    tags=row.tags,
                )
        yield row
