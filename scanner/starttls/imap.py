"""IMAP (RFC 9051) with STARTTLS (its section 6.2.1).

::

    S: * OK ready                          C: c1 CAPABILITY
    S: * CAPABILITY IMAP4rev1 STARTTLS
    S: c1 OK                               C: c2 STARTTLS
    S: c2 OK begin
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from scanner.starttls.base import (
    NEED_DATA,
    READY,
    DelimitedDialogue,
    DialogueError,
    NotOffered,
    Outcome,
    Refused,
    SessionRefused,
    peer_text,
)

_STATUS: Final = re.compile(rb"(\S+) (OK|NO|BAD|PREAUTH|BYE)(?=[ \r\n])", re.IGNORECASE)
_CAPABILITIES: Final = re.compile(rb"\* CAPABILITY ([^\r\n]*)", re.IGNORECASE)


class ImapDialogue(DelimitedDialogue):
    """RFC 9051 sections 7.1 (greetings), 6.1.1 (CAPABILITY) and 6.2.1 (STARTTLS)."""

    _tag = b""  # of the command whose answer is awaited
    _capabilities: bytes | None = None

    def _message_untrusted(self, message: bytes) -> Outcome:
        text = message.rstrip(b"\r\n")
        status = _STATUS.match(message)
        tag, word = (status[1], status[2].upper()) if status else (b"", b"")
        if not self._tag:
            return self._greeting(tag, word, text)
        if tag == b"*" and word == b"BYE":
            said = peer_text(text)
            return Refused(said) if self.awaited == "STARTTLS" else SessionRefused(said)
        if tag.lower() == self._tag:
            return self._awaiting(word, text)
        if listed := _CAPABILITIES.match(text):
            self._capabilities = (self._capabilities or b"") + b" " + listed[1]
        elif not message.startswith((b"* ", b"+")):
            raise DialogueError
        return NEED_DATA

    def _greeting(self, tag: bytes, word: bytes, text: bytes) -> Outcome:
        if tag != b"*" or word not in (b"OK", b"PREAUTH", b"BYE"):
            raise DialogueError
        if word == b"PREAUTH":  # authenticated already: STARTTLS is not allowed in that state
            return NotOffered(peer_text(text))
        if word == b"BYE":
            return SessionRefused(peer_text(text))
        return self._command(b"c1", b"CAPABILITY", self._listed)

    def _command(self, tag: bytes, command: bytes, awaiting: Callable[[bytes, bytes], Outcome]) -> Outcome:
        self._tag = tag
        return self._say(tag + b" " + command + b"\r\n", awaiting, command.decode("ascii"))

    def _listed(self, word: bytes, text: bytes) -> Outcome:
        if word == b"NO":
            return SessionRefused(peer_text(text))
        if self._capabilities is None:
            return NotOffered(peer_text(text))
        if b"STARTTLS" not in self._capabilities.upper().split():
            return NotOffered(peer_text(self._capabilities.strip()))
        return self._command(b"c2", b"STARTTLS", self._answer)

    def _answer(self, word: bytes, text: bytes) -> Outcome:
        return READY if word == b"OK" else Refused(peer_text(text))
