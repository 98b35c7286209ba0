"""POP3 (RFC 1939) with STLS (RFC 2595 section 4).

::

    S: +OK ready                     C: CAPA
    S: +OK / STLS / ... / .          C: STLS
    S: +OK begin
"""

from __future__ import annotations

from collections.abc import Callable

from scanner.starttls.base import (
    NEED_DATA,
    READY,
    DelimitedDialogue,
    DialogueError,
    NotOffered,
    Outcome,
    Recogniser,
    Refused,
    words,
)


class Pop3Dialogue(DelimitedDialogue):
    """RFC 2449 section 5 (CAPA) and RFC 2595 section 4. A server that does not know CAPA is asked for STLS all the same."""

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._awaiting: Callable[[bytes], Outcome] = self._greeting
        self._listed: list[bytes] = []
        self._advertised = False

    def _message_untrusted(self, message: bytes) -> Outcome:
        return self._awaiting(message.rstrip(b"\r\n"))

    def _greeting(self, text: bytes) -> Outcome:
        if not _positive_untrusted(text):
            return Refused(words(text))
        self._outgoing += b"CAPA\r\n"
        self._awaiting = self._capabilities
        return NEED_DATA

    def _capabilities(self, text: bytes) -> Outcome:
        if not _positive_untrusted(text):
            return self._ask()
        self._awaiting = self._capability
        return NEED_DATA

    def _capability(self, text: bytes) -> Outcome:
        if text != b".":
            self._listed.append(text)
            return NEED_DATA
        self._advertised = any(line.upper().split()[:1] == [b"STLS"] for line in self._listed)
        return self._ask() if self._advertised else NotOffered(words(b"\n".join(self._listed)))

    def _ask(self) -> Outcome:
        self._outgoing += b"STLS\r\n"
        self._awaiting = self._answer
        return NEED_DATA

    def _answer(self, text: bytes) -> Outcome:
        if _positive_untrusted(text):
            return READY
        return Refused(words(text)) if self._advertised else NotOffered(words(text))


def _positive_untrusted(text: bytes) -> bool:
    status = text.split(b" ", 1)[0].upper()
    if status not in (b"+OK", b"-ERR"):
        raise DialogueError
    return status == b"+OK"
