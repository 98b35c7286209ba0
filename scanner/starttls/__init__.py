"""Opening dialogues before TLS (STARTTLS), sans-IO, one module for each protocol.

``dialogue`` makes the one of a protocol of ``PROTOCOLS``. ``scanner.starttls.base`` shows how a dialogue is driven.
"""

from __future__ import annotations

from scanner.starttls.base import (
    Closed,
    Dialogue,
    Malformed,
    NeedData,
    NotOffered,
    Outcome,
    Ready,
    Recogniser,
    Refused,
    SessionRefused,
)
from scanner.starttls.protocols import PROTOCOLS, Protocol, upgrades_of

__all__ = [
    "PROTOCOLS",
    "Closed",
    "Dialogue",
    "Malformed",
    "NeedData",
    "NotOffered",
    "Outcome",
    "Protocol",
    "Ready",
    "Recogniser",
    "Refused",
    "SessionRefused",
    "dialogue",
    "upgrades_of",
]


def dialogue(protocol: str, *, host: str, recognise: Recogniser | None = None) -> Dialogue | None:
    """Return the opening dialogue with ``host``, or None where TLS begins at once. Raises ``KeyError`` for an unknown one."""
    if not PROTOCOLS[protocol].starttls:
        return None
    from scanner.starttls.dialogues import DIALOGUES  # the dialogues are not needed to read an inventory

    return DIALOGUES[protocol](host, recognise)
