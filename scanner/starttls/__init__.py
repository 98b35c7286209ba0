"""The words before TLS: one module for each protocol's opening dialogue, sans-IO.

``dialogue`` gives the one of a protocol, ``PROTOCOLS`` says which there are. See ``scanner.starttls.base`` for how a
dialogue is driven.
"""

from __future__ import annotations

from scanner.starttls.base import Dialogue, Malformed, NeedData, NotOffered, Outcome, Ready, Recogniser, Refused
from scanner.starttls.protocols import PROTOCOLS, Protocol

__all__ = [
    "PROTOCOLS",
    "Dialogue",
    "Malformed",
    "NeedData",
    "NotOffered",
    "Outcome",
    "Protocol",
    "Ready",
    "Recogniser",
    "Refused",
    "dialogue",
]


def dialogue(protocol: str, *, host: str, recognise: Recogniser | None = None) -> Dialogue | None:
    """The opening dialogue of a protocol of ``PROTOCOLS``; ``None`` where TLS begins with the first byte.

    ``host`` is the name or address that was asked for; XMPP says it to the server. ``recognise`` names what a peer
    speaks by its first bytes when it is not the protocol. ``KeyError`` for a protocol that is not in ``PROTOCOLS``.
    """
    if not PROTOCOLS[protocol].starttls:
        return None
    from scanner.starttls.dialogues import DIALOGUES  # the dialogues are not needed to read an inventory

    return DIALOGUES[protocol](host, recognise)
