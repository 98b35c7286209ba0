"""ManageSieve (RFC 5804) with STARTTLS (its section 2.2).

::

    S: "IMPLEMENTATION" "..." / "STARTTLS" / OK     C: STARTTLS
    S: OK begin
"""

from __future__ import annotations

import re
from typing import Final

from scanner.starttls.base import (
    MAX_BYTES,
    NEED_DATA,
    READY,
    DelimitedDialogue,
    DialogueError,
    NotOffered,
    Outcome,
    Recogniser,
    Refused,
    SessionRefused,
    peer_text,
)

_STATUS: Final = re.compile(rb"(OK|NO|BYE)(?=[ \r\n])", re.IGNORECASE)
# a string that follows on the next lines, with its length in bytes (RFC 5804 section 4)
_LITERAL: Final = re.compile(rb"\{(\d{1,6})\+?\}\r?\n\Z")


class SieveDialogue(DelimitedDialogue):
    """RFC 5804 section 1.7: the capabilities are the greeting."""

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._awaiting = self._greeting
        self._line = bytearray()  # a line together with the literals in it
        self._literal = 0  # bytes of a literal still to come, at the head of the next lines
        self._listed: list[bytes] = []

    def _message_untrusted(self, message: bytes) -> Outcome:
        self._line += message
        if self._literal >= len(message):
            self._literal -= len(message)
            return NEED_DATA
        tail = message[self._literal :]
        self._literal = 0
        if literal := _LITERAL.search(tail):
            self._literal = int(literal[1])
            if self._literal > MAX_BYTES:
                raise DialogueError
            return NEED_DATA
        line, self._line = bytes(self._line), bytearray()
        status = _STATUS.match(line)
        return self._awaiting(status[1].upper() if status else b"", line.rstrip(b"\r\n"))

    def _greeting(self, word: bytes, text: bytes) -> Outcome:
        if not word:
            if not text.startswith((b'"', b"{")):
                raise DialogueError
            self._listed.append(text)
            return NEED_DATA
        if word != b"OK":
            return SessionRefused(peer_text(text))
        if not any(line.upper().split()[:1] == [b'"STARTTLS"'] for line in self._listed):
            return NotOffered(peer_text(b"\n".join(self._listed)))
        return self._say(b"STARTTLS\r\n", self._answer, "STARTTLS")

    def _answer(self, word: bytes, text: bytes) -> Outcome:
        if not word:
            raise DialogueError
        return READY if word == b"OK" else Refused(peer_text(text))
