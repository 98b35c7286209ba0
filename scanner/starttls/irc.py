"""IRC (RFC 2812) with STARTTLS, the ``tls`` capability of IRCv3.

::

    C: CAP LS 302 / LUSERS
    S: :irc.example CAP * LS :tls ...      C: STARTTLS
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
    Refused,
    SessionRefused,
    peer_text,
)

# tags, source, command, parameters (RFC 2812 section 2.3.1, IRCv3 message tags)
_MESSAGE: Final = re.compile(rb"(?:@[^ \r\n]* +)?(?::([^ \r\n]*) +)?([A-Za-z]+|\d{3})(?= |\r?\n)([^\r\n]*)\r?\n\Z")
# "* LS :names", with another asterisk where more lines follow (IRCv3 capability negotiation 302)
_LISTED: Final = re.compile(rb" +[^ ]+ +LS +(\* +)?:?(.*)\Z", re.IGNORECASE)
STARTTLS_OK: Final = b"670"
STARTTLS_FAILED: Final = b"691"
# ERR_NOPERMFORHOST and ERR_YOUREBANNEDCREEP (RFC 2812 section 5.2)
BANNED: Final = frozenset({b"463", b"465"})
# what a server may send to a client that has not registered; any other command is not IRC
_COMMANDS: Final = frozenset(
    {b"NOTICE", b"CAP", b"PING", b"PONG", b"ERROR", b"PRIVMSG", b"AUTHENTICATE", b"FAIL", b"NOTE", b"WARN"}
)


class IrcDialogue(DelimitedDialogue):
    """The IRCv3 specification ``tls``, numerics 670 (RPL_STARTTLS) and 691 (ERR_STARTTLS)."""

    # Before registration some servers (InspIRCd) do not answer commands that they do not know, so the answer to CAP alone could
    # be waited for in vain. LUSERS is known to all (RFC 2812 section 3.4.2) and refused with 451, in any case after a list.
    opening = b"CAP LS 302\r\nLUSERS\r\n"
    awaited = "CAP LS"

    _capabilities: tuple[bytes, ...] = ()
    _asked = False  # STARTTLS is sent, and only its answer counts

    def _message_untrusted(self, message: bytes) -> Outcome:
        if not message.strip(b"\r\n"):  # empty messages are ignored (RFC 2812 section 2.3.1)
            return NEED_DATA
        read = _MESSAGE.match(message)
        if read is None or not (read[2].isdigit() or read[2].upper() in _COMMANDS):
            raise DialogueError
        command, parameters = read[2].upper(), read[3]
        if command.isdigit() and read[1] is None:  # a reply has a source; a bare number is SMTP's or FTP's
            raise DialogueError
        text = peer_text(message.rstrip(b"\r\n"))
        if command == b"ERROR":  # the server closes the link
            return Refused(text) if self._asked else SessionRefused(text)
        if command in BANNED:
            return SessionRefused(text)
        if command == b"PING":
            self._outgoing += b"PONG" + parameters + b"\r\n"
        elif self._asked:
            return self._answered(command, parameters, text)
        elif command == b"CAP":
            return self._listed(parameters)
        elif command.isdigit():  # the answer to LUSERS, or to CAP where that is not known
            return NotOffered(text)
        return NEED_DATA

    def _listed(self, parameters: bytes) -> Outcome:
        listed = _LISTED.match(parameters)
        if listed is None:
            return NEED_DATA
        self._capabilities += tuple(listed[2].split())
        if listed[1]:
            return NEED_DATA
        if not any(capability.split(b"=")[0].lower() == b"tls" for capability in self._capabilities):
            return NotOffered(peer_text(b" ".join(self._capabilities)))
        self._asked = True
        self._outgoing += b"STARTTLS\r\n"
        self.awaited = "STARTTLS"
        return NEED_DATA

    @staticmethod
    def _answered(command: bytes, parameters: bytes, text: str) -> Outcome:
        if command == STARTTLS_OK:
            return READY
        if command == STARTTLS_FAILED or (command.isdigit() and b"STARTTLS" in parameters.upper().split()[:2]):
            return Refused(text)
        return NEED_DATA  # what LUSERS brought
