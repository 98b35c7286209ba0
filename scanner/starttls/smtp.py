"""SMTP (RFC 5321) and LMTP (RFC 2033) with STARTTLS (RFC 3207).

::

    S: 220 mail.example ESMTP          C: EHLO tlsweep.invalid        (LMTP: LHLO)
    S: 250-mail.example / 250 STARTTLS C: STARTTLS
    S: 220 go ahead
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import (
    CLIENT_NAME,
    READY,
    NotOffered,
    Outcome,
    Refused,
    ReplyDialogue,
    SessionRefused,
    peer_text,
)

# the command is not known or not implemented (RFC 5321 section 4.2.2): a server from before extensions, so without TLS
UNKNOWN_COMMAND: Final = frozenset({500, 501, 502, 503, 504, 555})


class SmtpDialogue(ReplyDialogue):
    """RFC 3207. A greeting other than 220 is a refusal of the whole session (RFC 5321 section 3.1)."""

    hello = b"EHLO"

    def _greeting(self, code: int, text: bytes) -> Outcome:
        if code != 220:
            return SessionRefused(peer_text(text))
        hello = self.hello.decode("ascii")
        return self._say(f"{hello} {CLIENT_NAME}\r\n".encode("ascii"), self._extensions, hello)

    def _extensions(self, code: int, text: bytes) -> Outcome:
        if code != 250:
            return NotOffered(peer_text(text)) if code in UNKNOWN_COMMAND else SessionRefused(peer_text(text))
        # the first line is the greeting; the keyword is the first word of each other (RFC 5321 section 4.1.1.1)
        keywords = {line[4:].split(maxsplit=1)[0].upper() for line in text.splitlines()[1:] if line[4:].strip()}
        if b"STARTTLS" not in keywords:
            return NotOffered(peer_text(text))
        return self._say(b"STARTTLS\r\n", self._answer, "STARTTLS")

    def _answer(self, code: int, text: bytes) -> Outcome:
        return READY if code == 220 else Refused(peer_text(text))


class LmtpDialogue(SmtpDialogue):
    """LMTP differs in the name of its hello (RFC 2033 section 4.1)."""

    hello = b"LHLO"
