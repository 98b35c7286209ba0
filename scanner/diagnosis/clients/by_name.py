"""What each client says to the names in a certificate: others than the one asked for, none, or some that a CA may not issue for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.diagnosis.clients.endings import verify_texts
from scanner.diagnosis.clients.texts import (
    ADDRESS_TEXTS,
    NAME_TEXTS,
    NAMELESS_ADDRESS_TEXTS,
    NAMELESS_TEXTS,
    TEXTS,
)
from scanner.model.evidence import Target

Texts = Mapping[str, str]


def name_texts(evidence: Mapping[str, Any], target: Target) -> Texts:
    """Return what each client says to a certificate for other names."""
    is_address = target.host_is_ip and target.sni is None
    texts = ADDRESS_TEXTS if is_address else NAME_TEXTS
    if evidence.get("names") == 0:
        return {**texts, **(NAMELESS_ADDRESS_TEXTS if is_address else NAMELESS_TEXTS)}
    return texts


def name_constraint_texts(evidence: Mapping[str, Any], _: Target) -> Texts:
    """Return what each client says to a name that a CA in the path may not issue for."""
    texts = dict(TEXTS["name-constraint-violated"])
    kind, name, verdict = [*str(evidence.get("name", "")).split(" ", 2), "", ""][:3]
    if verdict == "is excluded":
        texts |= verify_texts(48, "excluded subtree violation")
    if kind == "dNSName" and verdict in _GO_CONSTRAINTS:
        texts["go"] += f': DNS name "{name}" {_GO_CONSTRAINTS[verdict]}'
    return texts


_GO_CONSTRAINTS: Final = {
    "is excluded": "is excluded by constraint",
    "is not permitted": "is not permitted by any constraint",
}
