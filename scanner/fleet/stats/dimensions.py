"""Columns for grouping that every finding has, whatever the inventory: issuer, version, key, ... for grouping by.

Each is a function of a finding as JSON has it; ``None`` is "not known". A tag with the name of one takes precedence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from scanner.fleet.keys import domain_of, records_in, served

Finding = Mapping[str, Any]


def _endpoint(field: str) -> Callable[[Finding], Any]:
    """Return a getter of a field of the first address that has it."""

    def value(finding: Finding) -> Any:
        for endpoint in records_in(finding.get("endpoints")):
            if (found := endpoint.get(field)) is not None:
                return found
        return None

    return value


def _leaf(field: str) -> Callable[[Finding], Any]:
    def value(finding: Finding) -> Any:
        leaf = served(finding)[1]
        return None if leaf is None else leaf.get(field)

    return value


def _key_type(finding: Finding) -> Any:
    key = _leaf("key")(finding)
    return key.partition(":")[0] if isinstance(key, str) else key


def _family(finding: Finding) -> str | None:
    address = _endpoint("address")(finding)
    if not isinstance(address, str):
        return None
    return "IPv6" if ":" in address else "IPv4"


def _server(finding: Finding) -> str | None:
    """Return what the server called itself in an HTTP answer, if one was asked for."""
    for endpoint in records_in(finding.get("endpoints")):
        answer = endpoint.get("application")
        if isinstance(answer, dict) and isinstance(server := answer.get("server"), str) and server:
            return server
    return None


def _product(finding: Finding) -> str | None:
    """Return the first product of that, without its version (RFC 9110 section 10.2.4)."""
    server = _server(finding)
    return None if server is None else server.split("/", 1)[0].strip() or server


def _target(field: str) -> Callable[[Finding], Any]:
    return lambda finding: finding["target"].get(field)


def _finding(field: str) -> Callable[[Finding], Any]:
    return lambda finding: finding.get(field)


BUILT_IN: Final[Mapping[str, Callable[[Finding], Any]]] = {
    "protocol": _target("protocol"),
    "port": _target("port"),
    "host": _target("host"),
    "sni": _target("sni"),
    "address": _target("address"),
    "id": _target("id"),
    "outcome": _finding("outcome"),
    "cause": _finding("cause"),
    "stage": _finding("stage"),
    "run": _finding("run"),
    "domain": domain_of,
    "issuer": _leaf("issuer"),
    "key": _leaf("key"),
    "key_type": _key_type,
    "signature": _leaf("signature"),
    "certificate": _leaf("sha256"),
    "server": _product,
    "server_version": _server,
    "family": _family,
    "version": _endpoint("version"),
    "cipher": _endpoint("cipher"),
    "group": _endpoint("group"),
    "alpn": _endpoint("alpn"),
}
