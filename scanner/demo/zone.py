"""The zone of the demo's DNS server: the addresses of all servers, and the names that misbehave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from scanner.demo.cases import DOMAIN, DnsBehaviour
from scanner.demo.dns_server import Node

# Extended DNS errors (RFC 8914 section 4) that explain a SERVFAIL.
NO_REACHABLE_AUTHORITY: Final = (22, "all name servers of the zone failed")
DNSSEC_BOGUS: Final = (6, "signature does not verify")


def records(host: str, addresses: Iterable[str], behaviour: DnsBehaviour | None) -> dict[str, Node]:
    """Return the nodes of one host (an A-label name) and of the names that it points at."""
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
