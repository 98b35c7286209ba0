"""The rows of an inventory, and the true finding of each.

A row is a kind and a number, which determine its name, address and port, so that servers and resolvers need no list of
the rows.
"""

from __future__ import annotations

import csv
import ipaddress
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

ZONE: Final = "farm.test"
# Only used inside the namespace. One address per row, so that no limit per address slows a scan down.
FIRST_ADDRESS: Final = int(ipaddress.IPv4Address("10.64.0.0"))
ADDRESSES: Final = "10.64.0.0/12"
# Routed to the farm, which neither has these addresses nor forwards packets: connections get no answer.
FIRST_DEAD: Final = int(ipaddress.IPv4Address("10.128.0.0"))
# The number of a row fits both networks.
MOST_ROWS: Final = 1 << 20

ANY: Final = "any"


class Truth(NamedTuple):
    """What a finding must say; a cause or codes of ``ANY`` are not compared."""

    outcome: str
    cause: str | None
    codes: tuple[str, ...] | str


OK: Final = Truth("ok", None, ())


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row: the server at ``port`` answers all of them alike."""

    name: str
    port: int
    truth: Truth
    share: int = 0  # per thousand rows
    protocol: str = "tls"
    by_name: bool = False  # the scanner asks the resolver for the address
    dead: bool = False
    hostile: bool = False


def _fail(cause: str, *codes: str) -> Truth:
    return Truth("fail", cause, codes)


_ANY_FAILURE: Final = Truth("fail", ANY, ANY)
# The certificate is for another name, which must be reported whatever else the server sends.
_NAME_FAILURE: Final = Truth("fail", "hostname-mismatch", ANY)

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("tls13", 4431, OK, 300),
        Kind("tls12", 4432, OK, 130),
        Kind("named", 4431, OK, 250, by_name=True),
        Kind("smtp", 2525, OK, 150, "smtp"),
        Kind("smtp-named", 2525, OK, 100, "smtp", by_name=True),
        Kind("expired", 4433, _fail("expired-or-self-signed", "certificate-expired"), 20),
        Kind("misnamed", 4434, _fail("hostname-mismatch", "default-certificate", "name-not-in-san"), 15),
        Kind("closed", 4499, _fail("network-blocked", "connection-refused"), 20),
        Kind("nxdomain", 4431, _fail("dns", "nxdomain"), 15, by_name=True),
        # Rows that only end with a timeout: few, and only in inventories with slow rows
        Kind("silent", 4498, _fail("network-blocked", "silent-after-hello"), 4),
        Kind("mute", 2526, _ANY_FAILURE, 3, "smtp"),
        Kind("dead", 4431, _fail("network-blocked", "connect-timeout"), 3, dead=True),
        # Hostile servers; only in inventories of the fault "hostile"
        Kind("drip", 4510, _ANY_FAILURE, hostile=True),
        Kind("endless-records", 4511, _ANY_FAILURE, hostile=True),
        Kind("endless-greeting", 2527, _ANY_FAILURE, protocol="smtp", hostile=True),
        Kind("huge-flight", 4512, _ANY_FAILURE, hostile=True),
        Kind("garbage", 4513, _ANY_FAILURE, hostile=True),
        Kind("changed-flight", 4514, _ANY_FAILURE, hostile=True),
        Kind("huge-cookie", 4515, _ANY_FAILURE, hostile=True),
        Kind("garbage-staple", 4516, _NAME_FAILURE, hostile=True),
        Kind("garbage-scts", 4517, _NAME_FAILURE, hostile=True),
        Kind("hostile-chain", 4518, _ANY_FAILURE, hostile=True),
        Kind("endless-encrypted", 4519, _ANY_FAILURE, hostile=True),
        # Valid certificates whose URLs of issuers, OCSP responders and CRLs lead to hostile servers.
        Kind("garbage-issuer", 4520, Truth("fail", "missing-intermediate", ANY), hostile=True),
        Kind("garbage-ocsp", 4521, Truth("ok", None, ANY), hostile=True),
        Kind("garbage-crl", 4522, Truth("ok", None, ANY), hostile=True),
    )
}
SLOW: Final = frozenset({"silent", "mute", "dead"})
# The server at the URLs in certificates.
HOSTILE_URL_ADDRESS: Final = "10.79.255.254"
HOSTILE_URL_PORT: Final = 8080
# Rows of each hostile kind in an inventory.
HOSTILE_EACH: Final = 4


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the inventory; ``number`` is its ``id``."""

    number: int
    kind: Kind

    @property
    def host(self) -> str:
        return f"{self.kind.name}-{self.number}.{ZONE}"

    @property
    def address(self) -> str:
        return str(ipaddress.IPv4Address((FIRST_DEAD if self.kind.dead else FIRST_ADDRESS) + self.number))


def make_rows(count: int, *, slow: bool = False, hostile: bool = False, seed: int = 0) -> list[Row]:
    """Return ``count`` rows in random order: each kind by its share, and at least one of each slow or hostile kind."""
    if not 0 < count <= MOST_ROWS:
        raise ValueError(f"an inventory has 1 to {MOST_ROWS} rows")
    few: list[Kind] = []
    undisturbed: list[Kind] = []
    for kind in KINDS.values():
        if kind.hostile:
            few += [kind] * (HOSTILE_EACH if hostile else 0)
        elif kind.name not in SLOW:
            undisturbed += [kind] * kind.share
        elif slow:
            few += [kind] * max(1, count * kind.share // 1000)
    order = random.Random(seed)
    order.shuffle(undisturbed)
    kinds = [*few, *(undisturbed[number % len(undisturbed)] for number in range(count))][:count]
    order.shuffle(kinds)
    return [Row(number, kind) for number, kind in enumerate(kinds)]


def write_inventory(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows as a CSV inventory."""
    with path.open("w", encoding="ascii", newline="") as file:
        out = csv.writer(file)
        out.writerow(("id", "host", "port", "address", "protocol"))
        for row in rows:
            out.writerow(
                (row.number, row.host, row.kind.port, "" if row.kind.by_name else row.address, row.kind.protocol)
            )


def resolve(name: str) -> str | None:
    """Return the address of a name, or ``None`` for NXDOMAIN."""
    label, _, zone = name.rstrip(".").lower().partition(".")
    kind, _, number = label.rpartition("-")
    if zone != ZONE or kind not in KINDS or kind == "nxdomain" or not number.isdigit():
        return None
    return Row(int(number), KINDS[kind]).address


def resolver_records(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Return (name, address) of the rows that the scanner resolves."""
    return [(row.host, row.address) for row in rows if row.kind.by_name and resolve(row.host) is not None]
