"""What every opening dialogue has in common: bytes in, bytes out, and one outcome at the end.

A dialogue has no socket, clock or randomness. Its owner does this until the outcome is not ``NeedData``::

    send(dialogue.data_to_send())
    outcome = dialogue.outcome
    dialogue.receive_data(read())  # b"" is the end of the stream

Everything is decided in ``receive_data``, message by message, so chunking never changes the outcome.
``data_to_send`` may hold bytes beside a ``Ready``: with MySQL the request is followed by the ClientHello at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from msgspec import Struct

# The longest opening that is read, greeting and capabilities together: the longest known are a few kB (a banner of a
# hundred lines, the capabilities of a mail server); a peer that says more is not opening anything.
MAX_BYTES: Final = 32_768
# What is kept of the peer's text, in characters: it is evidence for a person, who reads a screen at most.
MAX_TEXT: Final = 1_000
# What is kept of the first bytes, by which another protocol is recognised.
MAX_FIRST_BYTES: Final = 512
# How much of a message of another protocol is waited for: enough to recognise it by, and no more than a greeting has.
MAX_FOREIGN_TEXT: Final = 64
MAX_FOREIGN_BINARY: Final = 9
# The name that we give where a protocol asks a client for one (RFC 5321 section 4.1.1.1); reserved by RFC 2606.
CLIENT_NAME: Final = "tlsweep.invalid"


class NeedData(Struct, frozen=True):
    """Nothing is decided yet: send what there is, then read."""


class Ready(Struct, frozen=True):
    """The next byte in either direction belongs to TLS."""


class NotOffered(Struct, frozen=True):
    """The server speaks the protocol without TLS. ``text`` is what it answered, or the name of its code."""

    text: str


class Refused(Struct, frozen=True):
    """The server was asked for TLS, and does not begin it now though it has it or may have it. ``text`` is what it answered."""

    text: str


class SessionRefused(Struct, frozen=True):
    """The server refuses or ends the whole session before it could be asked for TLS. ``text`` is what it said."""

    text: str


class Closed(Struct, frozen=True):
    """The server ended the connection between two messages. ``text`` is all that it had said."""

    text: str


class Malformed(Struct, frozen=True):
    """The peer speaks another protocol: ``recognised`` ("tls", "ssh", ...) where that is known. ``text`` is what it sent."""

    text: str
    recognised: str | None = None


# content types of RFC 8446 section 5.1 that a server could begin with
_TLS_RECORDS: Final = {0x15: "alert", 0x16: "handshake"}

Outcome = NeedData | Ready | NotOffered | Refused | SessionRefused | Closed | Malformed
NEED_DATA: Final = NeedData()
# What is awaited where the server speaks first
GREETING: Final = "greeting"
# Requests for TLS itself
UPGRADES: Final = frozenset(
    {"STARTTLS", "STLS", "AUTH TLS", "StartTLS", "SSLRequest", "PRELOGIN", "connection request"}
)
READY: Final = Ready()


Recogniser = Callable[[bytes], str | None]


class DialogueError(Exception):
    """The peer's bytes violate the protocol. Raised and caught within this package only."""


def peer_text(data: bytes) -> str:
    """Decode what a peer sent as UTF-8, with U+FFFD for the rest. Control characters are kept."""
    return data[: 4 * MAX_TEXT].decode("utf-8", "replace")[:MAX_TEXT]


class Dialogue(ABC):
    """One protocol's opening, from the client's side; ``recognise`` names another protocol by its first bytes."""

    opening: bytes = b""  # what the client sends before the server has said anything
    awaited: str = GREETING  # what the server has not answered yet: the name of our last request
    _awaiting: Callable[..., Outcome]  # takes what the server says next

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        self.host = host
        self._recognise = recognise
        self.outcome: Outcome = NEED_DATA  # so far; all but ``NeedData`` are final
        self._outgoing = self.opening
        self._received = bytearray()
        self._at = 0  # where the next message begins

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.host}: {self.outcome}, {len(self._received)} bytes in>"

    def data_to_send(self) -> bytes:
        """Return what is to be sent now; each byte is returned once."""
        outgoing, self._outgoing = self._outgoing, b""
        return outgoing

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the peer, or ``b""`` for the end of its stream. Never raises, whatever they are."""
        self._received += data
        if self.outcome is not NEED_DATA:
            return
        if len(self._received) >= 2 and self._received[0] in _TLS_RECORDS and self._received[1] == 0x03:
            # none of these protocols begins so, or lets the server begin with TLS
            self._at = 2
            self.outcome = Malformed(f"a TLS record: {_TLS_RECORDS[self._received[0]]}", "tls")
            return
        try:
            while self.outcome is NEED_DATA and (message := self._take_untrusted()) is not None:
                self.outcome = self._message_untrusted(message)
        except DialogueError:
            self.outcome = self._malformed()
        if self.outcome is NEED_DATA and not data and 0 < self._at == len(self._received):
            self.outcome = Closed(peer_text(bytes(self._received)).rstrip("\r\n"))
        elif self.outcome is NEED_DATA and (not data or len(self._received) >= MAX_BYTES):
            # a message that is not complete within the limit never will be
            self._at = min(len(self._received), MAX_BYTES)
            self.outcome = self._malformed()

    @property
    def leftover(self) -> bytes:
        """What came after the message that decided; after ``Ready`` it should be empty, or a third party may have injected it."""
        return b"" if self.outcome is NEED_DATA else bytes(self._received[self._at :])

    @property
    def first_bytes(self) -> bytes:
        """The beginning of what the peer sent."""
        return bytes(self._received[:MAX_FIRST_BYTES])

    def wrap(self, data: bytes) -> bytes:
        """Return TLS records as the protocol carries them to the server: as they are, for all but TDS."""
        return data

    def unwrap(self, data: bytes) -> bytes:
        """Return the TLS records in what the server sent. Never raises."""
        return data

    def _say(self, data: bytes, awaiting: Callable[..., Outcome], awaited: str) -> Outcome:
        self._outgoing += data
        self._awaiting = awaiting
        self.awaited = awaited
        return NEED_DATA

    def _malformed(self) -> Malformed:
        seen = bytes(self._received[: self._at])
        return Malformed(peer_text(seen), self._recognise(seen[:MAX_FIRST_BYTES]) if self._recognise else None)

    @abstractmethod
    def _take_untrusted(self) -> bytes | None:
        """Return the next whole message, or None while it is incomplete. Raises ``DialogueError`` only."""

    @abstractmethod
    def _message_untrusted(self, message: bytes) -> Outcome:
        """Return the outcome after a message. Raises ``DialogueError`` only."""


class DelimitedDialogue(Dialogue):
    """A protocol whose messages end in one byte: lines for most of them, ``>`` for XML."""

    delimiter: bytes = b"\n"

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._searched = 0  # no delimiter before this offset: bytes that come one by one are searched once

    def _take_untrusted(self) -> bytes | None:
        end = self._received.find(self.delimiter, max(self._at, self._searched), MAX_BYTES)
        if end < 0:
            self._searched = min(len(self._received), MAX_BYTES)
            return None
        message = bytes(self._received[self._at : end + 1])
        self._at = end + 1
        return message


class ListingDialogue(DelimitedDialogue):
    """A protocol of commands and lines, in which capabilities are listed up to a line with a dot alone: POP3 and NNTP."""

    keyword: bytes  # the command for TLS, and the capability of servers that have it

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._awaiting = self._greeting
        self._listed: list[bytes] = []
        self._advertised = False

    def _message_untrusted(self, message: bytes) -> Outcome:
        return self._awaiting(message.rstrip(b"\r\n"))

    def _capability(self, text: bytes) -> Outcome:
        if text != b".":
            self._listed.append(text)
            return NEED_DATA
        self._advertised = any(line.upper().split()[:1] == [self.keyword] for line in self._listed)
        return self._ask() if self._advertised else NotOffered(peer_text(b"\n".join(self._listed)))

    def _ask(self) -> Outcome:
        return self._say(self.keyword + b"\r\n", self._answer, self.keyword.decode("ascii"))

    @abstractmethod
    def _greeting(self, text: bytes) -> Outcome:
        """Return the outcome after the server's first line. Raises ``DialogueError`` only."""

    @abstractmethod
    def _answer(self, text: bytes) -> Outcome:
        """Return the outcome after the answer to ``keyword``. Raises ``DialogueError`` only."""


class SizedDialogue(Dialogue):
    """A protocol whose messages contain their length."""

    def _take_untrusted(self) -> bytes | None:
        head = bytes(self._received[self._at : self._at + MAX_FOREIGN_TEXT])
        try:
            size = self._size_untrusted(head)
            if size is not None and self._at + size > MAX_BYTES:
                raise DialogueError
        except DialogueError:
            if (end := _foreign_end(head)) is None:
                return None
            self._at += end
            raise
        if size is None or len(self._received) < self._at + size:
            return None
        message = bytes(self._received[self._at : self._at + size])
        self._at += size
        return message

    @abstractmethod
    def _size_untrusted(self, head: bytes) -> int | None:
        """Return the size of the message that begins with ``head``, None if unknown yet; raises ``DialogueError`` if it is none."""


def _foreign_end(head: bytes) -> int | None:
    """Return where the first message of another protocol ends: after a line of text, or a few bytes of anything else."""
    line = head.find(b"\n") + 1
    start = head[: min(line or MAX_FOREIGN_BINARY, MAX_FOREIGN_BINARY)]
    if any(byte < 0x09 or byte == 0xFF for byte in start):
        return MAX_FOREIGN_BINARY if len(head) >= MAX_FOREIGN_BINARY else None
    if line:
        return line
    return MAX_FOREIGN_TEXT if len(head) >= MAX_FOREIGN_TEXT else None


class ReplyDialogue(DelimitedDialogue):
    """Numeric replies of one or more lines: SMTP (RFC 5321 section 4.2.1) and FTP (RFC 959 section 4.2)."""

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._reply = bytearray()
        self._awaiting = self._greeting  # takes the code and the whole text of a reply

    def _message_untrusted(self, message: bytes) -> Outcome:
        code, more = _reply_line_untrusted(message)
        if not self._reply:
            if code is None:
                raise DialogueError
        elif code is None or message[:3] != self._reply[:3]:
            # only FTP may have lines without the code inside a reply; nothing is lost by allowing it to all
            more = True
        self._reply += message
        if more:
            return NEED_DATA
        reply, self._reply = bytes(self._reply), bytearray()
        return self._awaiting(int(reply[:3]), reply.rstrip(b"\r\n"))

    @abstractmethod
    def _greeting(self, code: int, text: bytes) -> Outcome: ...


def _reply_line_untrusted(line: bytes) -> tuple[int | None, bool]:
    """Return (code, whether more lines follow) of one reply line; without a code, (None, False)."""
    code, separator = line[:3], line[3:4]
    if not (len(code) == 3 and code.isdigit() and b"1" <= code[:1] <= b"6" and separator in (b" ", b"-", b"\r", b"\n")):
        return None, False
    return int(code), separator == b"-"
