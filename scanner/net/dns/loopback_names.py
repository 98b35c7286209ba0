"""Names that mean this machine, whatever a name server says (RFC 6761 section 6.3)."""

from __future__ import annotations

from typing import Final

from scanner.model.evidence import DnsAnswer, DnsStatus

_LOOPBACK: Final = ("127.0.0.1", "::1")


def is_localhost(name: str) -> bool:
    """Return True for ``localhost`` and every name below it."""
    return name == "localhost" or name.endswith(".localhost")


def localhost(ipv4: bool, ipv6: bool) -> DnsAnswer:
    """Return the addresses of ``localhost`` of the families that are wanted."""
    addresses = tuple(a for a in _LOOPBACK if (ipv6 if ":" in a else ipv4))
    return DnsAnswer(
        DnsStatus.NOERROR, addresses, source="hosts", detail="names below localhost are loopback (RFC 6761)"
    )
