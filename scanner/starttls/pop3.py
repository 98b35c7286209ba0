"""POP3 (RFC 1939) with STLS (RFC 2595 section 4).

::

    S: +OK ready                     C: CAPA
    S: +OK / STLS / ... / .          C: STLS
    S: +OK begin
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


class Pop3Dialogue(ListingDialogue):
    """RFC 2449 section 5 (CAPA) and RFC 2595 section 4. STLS is sent to servers that do not know CAPA too."""

    keyword = b"STLS"

    def _greeting(self, text: bytes) -> Outcome:
        if not _positive_untrusted(text):
            return SessionRefused(peer_text(text))
        return self._say(b"CAPA\r\n", self._capabilities, "CAPA")

    def _capabilities(self, text: bytes) -> Outcome:
        if not _positive_untrusted(text):
            return self._ask()
        self._awaiting = self._capability
        return NEED_DATA

    def _answer(self, text: bytes) -> Outcome:
        if _positive_untrusted(text):
            return READY
        return Refused(peer_text(text)) if self._advertised else NotOffered(peer_text(text))


def _positive_untrusted(text: bytes) -> bool:
    status = text.split(b" ", 1)[0].upper()
    if status not in (b"+OK", b"-ERR"):
        raise DialogueError
    return status == b"+OK"
