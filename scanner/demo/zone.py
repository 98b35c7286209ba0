"""What the demo's DNS server knows: an address for every server, and one misbehaving name for each way to misbehave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scanner.demo.cases import DOMAIN, DnsBehaviour
from scanner.demo.dnsserver import Node

# Extended DNS errors (RFC 8914 section 4) that say what a bare response code cannot.
NO_REACHABLE_AUTHORITY: Final = (22, "all name servers of the zone failed")
DNSSEC_BOGUS: Final = (6, "signature does not verify")


def records(host: str, addresses: Iterable[str], behaviour: DnsBehaviour | None) -> dict[str, Node]:
    """The nodes of one host (an A-label name): its own, and those that it points at."""
    match behaviour:
        case None:
            listed = tuple(addresses)
            return {host: Node(a=tuple(a for a in listed if ":" not in a), aaaa=tuple(a for a in listed if ":" in a))}
        case DnsBehaviour.NXDOMAIN:
            return {}
        case DnsBehaviour.NO_ADDRESS:
            return {host: Node()}
        case DnsBehaviour.SERVFAIL:
            return {host: Node(rcode="SERVFAIL", extended_errors=(NO_REACHABLE_AUTHORITY,))}
        case DnsBehaviour.REFUSED:
            return {host: Node(rcode="REFUSED")}
        case DnsBehaviour.SILENT:
            return {host: Node(silent=True)}
        case DnsBehaviour.CNAME_LOOP:
            return {host: Node(cname=f"back-to-{host}"), f"back-to-{host}": Node(cname=host)}
        case DnsBehaviour.DANGLING_CNAME:
            return {host: Node(cname=f"deleted-app.hosting.{DOMAIN}")}
        case DnsBehaviour.BOGUS:
            return {host: Node(a=("127.0.0.1",), bogus=True, extended_errors=(DNSSEC_BOGUS,))}
