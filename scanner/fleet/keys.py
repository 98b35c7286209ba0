"""Keys by which findings are joined and grouped: the target, its domain, its certificate.

Findings come from files that anybody may have written: what is missing or of another type gives ``None``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from scanner.fleet.correlate.domains import registrable

# Parts of the target that identify it in every run. The row is not among them: rows move.
IDENTITY: Final = ("host", "port", "protocol", "sni", "address", "id")

Identity = tuple[Any, ...]


def identity(finding: Mapping[str, Any]) -> Identity:
    """Return what identifies the target of a finding in every run: host, port, protocol, SNI, the address asked for, the row's id.

    Rows without a host (those that cannot be used) are identified by their number.
    """
    target = finding.get("target")
    if not isinstance(target, dict):
        return (None,) * len(IDENTITY)
    if target.get("host") is None and target.get("id") is None:
        return ("", 0, "", None, None, f"row {target.get('row')}")
    found = tuple(_plain(target.get(part)) for part in IDENTITY)
    # what was found out may differ between runs: a server that is down greets nobody
    return (*found[:2], "tls", *found[3:]) if target.get("auto") is True else found


def _plain(value: Any) -> Any:
    return value if value is None or type(value) in (str, int) else str(value)


def records_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects in a JSON array; none if ``value`` is something else."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def domain_of(finding: Mapping[str, Any]) -> str | None:
    """Return the registrable domain of the host asked for, or the address."""
    target = finding.get("target")
    host = target.get("host") if isinstance(target, dict) else None
    return registrable(host) if isinstance(host, str) and host else None


def served(finding: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Return the first endpoint that sent a certificate, and that certificate's record."""
    endpoints, certificates = finding.get("endpoints"), finding.get("certificates")
    if not isinstance(endpoints, list) or not isinstance(certificates, list):
        return None, None
    for endpoint in endpoints:
        chain = endpoint.get("chain") if isinstance(endpoint, dict) else None
        if isinstance(chain, list) and chain:
            for record in certificates:
                if isinstance(record, dict) and record.get("sha256") == chain[0]:
                    return endpoint, record
    return None, None


def leaf_of(finding: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the record of the leaf that the first answering address sent."""
    return served(finding)[1]
