"""PostgreSQL: SSLRequest (chapter 53.2.10 of its manual, "SSL Session Encryption").

::

    C: length 8, code 80877103
    S: "S", "N", or an ErrorResponse
"""

from __future__ import annotations

from typing import Final

from scanner.starttls.base import (
    MAX_BYTES,
    READY,
    DialogueError,
    NotOffered,
    Outcome,
    SessionRefused,
    SizedDialogue,
    peer_text,
)

SSL_REQUEST: Final = bytes.fromhex("00000008 04d2162f")
# an ErrorResponse is a handful of short fields; a larger number is text read as one
MAX_ERROR_BYTES: Final = 16_384


class PostgresDialogue(SizedDialogue):
    """One byte answers, or an error: of protocol 3 with typed fields, or of protocol 2 as text up to a zero byte."""

    opening = SSL_REQUEST
    awaited = "SSLRequest"

    def _size_untrusted(self, head: bytes) -> int | None:
        if not head:
            return None
        if head[:1] in b"SN":
            return 1
        if head[:1] != b"E":
            raise DialogueError
        if len(head) < 5:
            return None
        size = int.from_bytes(head[1:5], "big")
        if 5 <= size <= MAX_ERROR_BYTES:
            return 1 + size
        if b"EFATAL: "[: len(head)] != head[:8] and b"EERROR: "[: len(head)] != head[:8]:
            raise DialogueError
        end = self._received.find(b"\0", self._at, MAX_BYTES)
        return None if end < 0 else end + 1 - self._at

    def _message_untrusted(self, message: bytes) -> Outcome:
        if message == b"S":
            return READY
        if message == b"N":
            return NotOffered("N")
        if int.from_bytes(message[1:5], "big") + 1 != len(message):
            return SessionRefused(peer_text(message[1:-1].strip()))
        # fields of a type byte and a string each; M is the message, S the severity, C the SQLSTATE
        fields = {field[:1]: field[1:] for field in message[5:].split(b"\0") if field}
        if b"M" not in fields:
            raise DialogueError
        return SessionRefused(peer_text(b" ".join(fields[key] for key in (b"S", b"C", b"M") if key in fields)))
