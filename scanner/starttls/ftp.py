"""FTP (RFC 959) with AUTH TLS (RFC 4217).

::

    S: 220 ready        C: AUTH TLS
    S: 234 proceed
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import (
    NEED_DATA,
    READY,
    NotOffered,
    Outcome,
    Refused,
    ReplyDialogue,
    SessionRefused,
    peer_text,
)

# Syntax error, not implemented, bad sequence, not for that parameter (RFC 959 section 4.2.1); a server without TLS may
# also demand a login before anything it does not know (530).
NOT_SUPPORTED: Final = frozenset({500, 501, 502, 503, 504, 530})
# "Service not available, closing control connection", in answer to any command
CLOSING: Final = 421


class FtpDialogue(ReplyDialogue):
    """RFC 4217 section 4. FEAT is not asked: servers take AUTH TLS without listing it, and the answer to AUTH decides."""

    def _greeting(self, code: int, text: bytes) -> Outcome:
        if code == 120:  # "ready in nnn minutes": another greeting follows (RFC 959 section 5.4)
            return NEED_DATA
        if code != 220:
            return SessionRefused(peer_text(text))
        return self._say(b"AUTH TLS\r\n", self._answer, "AUTH TLS")

    def _answer(self, code: int, text: bytes) -> Outcome:
        if code == 234:
            return READY
        if code == CLOSING:
            return SessionRefused(peer_text(text))
        return NotOffered(peer_text(text)) if code in NOT_SUPPORTED else Refused(peer_text(text))
