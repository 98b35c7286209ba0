"""The zone of the demo's DNS server: the addresses of all servers, and the names that misbehave."""

from __future__ import annotations

from collections.abc import Iterable

from scanner.demo.cases import DnsBehaviour
from scanner.demo.dns_server import Node


def records(host: str, addresses: Iterable[str], behaviour: DnsBehaviour | None) -> dict[str, Node]:
    """Return the nodes of one host (an A-label name) and of the names that it points at."""
    if behaviour is None:
        listed = tuple(addresses)
        return {host: Node(a=tuple(a for a in listed if ":" not in a), aaaa=tuple(a for a in listed if ":" in a))}
    if behaviour is DnsBehaviour.CNAME_LOOP:
        return {host: Node(cname=f"back-to-{host}"), f"back-to-{host}": Node(cname=host)}
    return {host: behaviour.value} if isinstance(behaviour.value, Node) else {}
