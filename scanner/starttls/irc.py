"""IRC (RFC 2812) with STARTTLS, the ``tls`` capability of IRCv3.

::

    C: CAP LS 302 / STARTTLS
    S: :irc.example CAP * LS :tls ...
    S: :irc.example 670 * :STARTTLS successful
"""

from __future__ import annotations

import re
from typing import Final

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

# Both at once: STARTTLS may come at any time before registration, a server without CAP may ignore that, and the list
# is only needed to tell a server that has not got TLS from one that refuses.
OPENING: Final = b"CAP LS 302\r\nSTARTTLS\r\n"

# tags, source, command, parameters (RFC 2812 section 2.3.1, IRCv3 message tags)
_MESSAGE: Final = re.compile(rb"(?:@[^ \r\n]* +)?(?::([^ \r\n]*) +)?([A-Za-z]+|\d{3})(?= |\r?\n)([^\r\n]*)\r?\n\Z")
UNKNOWN_COMMAND: Final = b"421"
NOT_REGISTERED: Final = b"451"
STARTTLS_OK: Final = b"670"
STARTTLS_FAILED: Final = b"691"
# what a server may say to a client that has not registered; any other word is not IRC
_COMMANDS: Final = frozenset(
    {b"NOTICE", b"CAP", b"PING", b"ERROR", b"PRIVMSG", b"AUTHENTICATE", b"PONG", b"FAIL", b"NOTE", b"WARN"}
)


class IrcDialogue(DelimitedDialogue):
    """The IRCv3 specification ``tls``, numerics 670 (RPL_STARTTLS) and 691 (ERR_STARTTLS)."""

    def __init__(self, host: str, recognise: Recogniser | None = None) -> None:
        super().__init__(host, recognise)
        self._outgoing = OPENING
        self._advertised = False

    def _message_untrusted(self, message: bytes) -> Outcome:
        if not message.strip(b"\r\n"):  # empty messages are ignored (RFC 2812 section 2.3.1)
            return NEED_DATA
        read = _MESSAGE.match(message)
        if read is None or not (read[2].isdigit() or read[2].upper() in _COMMANDS):
            raise DialogueError
        command, parameters = read[2].upper(), read[3]
        if command.isdigit() and read[1] is None:  # a reply has a source; a bare number is SMTP's or FTP's
            raise DialogueError
        text = words(message.rstrip(b"\r\n"))
        if command == STARTTLS_OK:
            return READY
        if command == STARTTLS_FAILED:
            return Refused(text)
        if command == b"ERROR":  # the server closes the link
            return Refused(text)
        if command == b"PING":
            self._outgoing += b"PONG" + parameters + b"\r\n"
        elif command == b"CAP":
            capabilities = parameters.rpartition(b":")[2].split()
            self._advertised |= any(capability.split(b"=")[0].lower() == b"tls" for capability in capabilities)
        elif command in (UNKNOWN_COMMAND, NOT_REGISTERED) and b"CAP" not in parameters.upper().split()[:3]:
            return Refused(text) if self._advertised else NotOffered(text)
        return NEED_DATA
