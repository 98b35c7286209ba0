"""Columns that every finding has without the inventory's help: issuer, version, key, ... for grouping by.

Each is a function of a finding as JSON has it; ``None`` is "not known". A tag of the same name goes before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from scanner.fleet.keys import domain_of, served

Finding = Mapping[str, Any]


def _endpoint(field: str) -> Callable[[Finding], Any]:
    """A field of the first address that has it."""

    def value(finding: Finding) -> Any:
        for endpoint in finding.get("endpoints") or ():
            if isinstance(endpoint, Mapping) and (found := endpoint.get(field)) is not None:
                return found
        return None

    return value


def _leaf(field: str) -> Callable[[Finding], Any]:
    def value(finding: Finding) -> Any:
        leaf = served(finding)[1]
        return None if leaf is None else leaf.get(field)

    return value


def _family(finding: Finding) -> str | None:
    address = _endpoint("address")(finding)
    if not isinstance(address, str):
        return None
    return "IPv6" if ":" in address else "IPv4"


def _server(finding: Finding) -> Any:
    """The product that the server named in an HTTP answer, where one was asked for."""
    for endpoint in finding.get("endpoints") or ():
        application = endpoint.get("application") if isinstance(endpoint, Mapping) else None
        for answer in application if isinstance(application, list) else (application,):
            if isinstance(answer, Mapping) and isinstance(answer.get("server"), str):
                return answer["server"]
    return None


def _target(field: str) -> Callable[[Finding], Any]:
    return lambda finding: finding["target"].get(field)


BUILT_IN: Final[Mapping[str, Callable[[Finding], Any]]] = {
    "protocol": _target("protocol"),
    "port": _target("port"),
    "host": _target("host"),
    "sni": _target("sni"),
    "address": _target("address"),
    "id": _target("id"),
    "outcome": lambda finding: finding.get("outcome"),
    "cause": lambda finding: finding.get("cause"),
    "stage": lambda finding: finding.get("stage"),
    "domain": domain_of,
    "issuer": _leaf("issuer"),
    "key": _leaf("key"),
    "signature": _leaf("signature"),
    "certificate": _leaf("sha256"),
    "server": _server,
    "family": _family,
    "version": _endpoint("version"),
    "cipher": _endpoint("cipher"),
    "group": _endpoint("group"),
    "alpn": _endpoint("alpn"),
}
