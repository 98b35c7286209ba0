"""NNTP (RFC 3977) with STARTTLS (RFC 4642).

::

    S: 200 ready                          C: CAPABILITIES
    S: 101 list / STARTTLS / ... / .      C: STARTTLS
    S: 382 continue
"""

from __future__ import annotations

from scanner.starttls.base import (
    NEED_DATA,
    READY,
    DialogueError,
    ListingDialogue,
    NotOffered,
    Outcome,
    Refused,
    SessionRefused,
    peer_text,
)


class NntpDialogue(ListingDialogue):
    """RFC 3977 sections 5.1 and 5.2, RFC 4642 section 2.2. STARTTLS is sent to servers without CAPABILITIES too."""

    keyword = b"STARTTLS"

    def _greeting(self, text: bytes) -> Outcome:
        if _code_untrusted(text) not in (200, 201):
            return SessionRefused(peer_text(text))
        return self._say(b"CAPABILITIES\r\n", self._capabilities, "CAPABILITIES")

    def _capabilities(self, text: bytes) -> Outcome:
        code = _code_untrusted(text)
        if code == 101:
            self._awaiting = self._capability
            return NEED_DATA
        return SessionRefused(peer_text(text)) if code in (400, 502) else self._ask()

    def _answer(self, text: bytes) -> Outcome:
        code = _code_untrusted(text)
        if code == 382:
            return READY
        return Refused(peer_text(text)) if self._advertised or code == 580 else NotOffered(peer_text(text))


def _code_untrusted(text: bytes) -> int:
    if len(text) < 3 or not text[:3].isdigit() or text[3:4] not in (b"", b" "):
        raise DialogueError
    return int(text[:3])
