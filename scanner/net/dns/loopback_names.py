"""Names that are this machine, whatever a name server may say of them (RFC 6761 section 6.3)."""

from __future__ import annotations

from typing import Final

from scanner.model.evidence import DnsAnswer, DnsStatus

_LOOPBACK: Final = ("127.0.0.1", "::1")


def is_localhost(name: str) -> bool:
    """``localhost`` and every name below it."""
    return name == "localhost" or name.endswith(".localhost")


def localhost(ipv4: bool, ipv6: bool) -> DnsAnswer:
    """Its addresses of the families that are wanted."""
    addresses = tuple(a for a in _LOOPBACK if (ipv6 if ":" in a else ipv4))
    return DnsAnswer(
        DnsStatus.NOERROR, addresses, source="hosts", detail="names below localhost are loopback (RFC 6761)"
    )
