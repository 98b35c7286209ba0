"""The question that each protocol is asked after the handshake, to learn whether the service talks to us.

Every question is what a client of the protocol says first, before any login; nothing is changed by it.
An answer is FINE (the service goes on), REFUSED (in words of the protocol), or not complete yet.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from scanner.starttls.base import CLIENT_NAME


class ReplyProgress(Enum):
    """What has been heard so far."""

    INCOMPLETE = auto()
    FINE = auto()
    REFUSED = auto()


class ApplicationExchange(Struct, frozen=True):
    """``question`` is said after the handshake, ``farewell`` after the answer. ``classify`` looks at all that came so far;
    without one nothing can be asked before a login, and nothing is expected."""

    question: bytes = b""
    farewell: bytes = b""
    classify: Callable[[bytes], ReplyProgress] | None = None


_REPLY: Final = re.compile(rb"^([1-6][0-9]{2})(?: [^\n]*)?\r?\n", re.MULTILINE)


def _numeric(data: bytes) -> ReplyProgress:
    """Classify a reply of SMTP, FTP or NNTP: its last line has a space after the code (RFC 5321 section 4.2.1)."""
    found = _REPLY.search(data)
    if found is None:
        return ReplyProgress.INCOMPLETE
    return ReplyProgress.REFUSED if found[1][:1] in b"45" else ReplyProgress.FINE


def _words(fine: tuple[bytes, ...], refused: tuple[bytes, ...]) -> Callable[[bytes], ReplyProgress]:
    """Return a classifier by the beginnings of lines; other lines are skipped."""

    def classify(data: bytes) -> ReplyProgress:
        for line in data.split(b"\n")[:-1]:
            upper = line.upper()
            if upper.startswith(refused):
                return ReplyProgress.REFUSED
            if upper.startswith(fine):
                return ReplyProgress.FINE
        return ReplyProgress.INCOMPLETE

    return classify


def _ldap(data: bytes) -> ReplyProgress:
    """Classify a BindResponse (RFC 4511 section 4.2.2) by its resultCode."""
    # LDAPMessage { messageID 1, [APPLICATION 1] { ENUMERATED } }, lengths of one byte or in the long form
    found = re.match(
        rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x84....)\x02\x01\x01\x61(?:[\x00-\x7f]|\x81.|\x82..|\x84....)\x0a\x01(.)",
        data,
        re.DOTALL,
    )
    if found is None:
        # a notice of disconnection (section 4.4.1) has messageID 0
        return ReplyProgress.REFUSED if b"1.3.6.1.4.1.1466.20036" in data else ReplyProgress.INCOMPLETE
    return ReplyProgress.FINE if found[1] == b"\0" else ReplyProgress.REFUSED


def _postgres(data: bytes) -> ReplyProgress:
    """Classify a message of PostgreSQL (section "Message Formats" of its protocol): ErrorResponse, or any other."""
    if len(data) < 5 or len(data) < 1 + int.from_bytes(data[1:5], "big"):
        return ReplyProgress.INCOMPLETE
    return ReplyProgress.REFUSED if data[:1] == b"E" else ReplyProgress.FINE


def _xmpp(data: bytes) -> ReplyProgress:
    if b"<stream:error" in data:
        return ReplyProgress.REFUSED
    return ReplyProgress.FINE if b"<stream:features" in data else ReplyProgress.INCOMPLETE


def _anything(refused: bytes) -> Callable[[bytes], ReplyProgress]:
    def classify(data: bytes) -> ReplyProgress:
        if b"\n" not in data:
            return ReplyProgress.INCOMPLETE
        return ReplyProgress.REFUSED if refused in data else ReplyProgress.FINE

    return classify


def _startup() -> bytes:
    """Return a StartupMessage of protocol 3.0 for a user that does not exist."""
    body = (3 << 16).to_bytes(4, "big") + b"user\0tlsweep\0database\0tlsweep\0\0"
    return (len(body) + 4).to_bytes(4, "big") + body


# BindRequest, version 3, no name, no password (RFC 4513 section 5.1.1), and UnbindRequest
_LDAP: Final = ApplicationExchange(
    bytes.fromhex("300c020101600702010304008000"), bytes.fromhex("30050201024200"), _ldap
)
_IMAP: Final = _words((b"A OK", b"* OK", b"* PREAUTH"), (b"A NO", b"A BAD", b"* BYE"))
_POP3: Final = _words((b"+OK",), (b"-ERR",))
_SIEVE: Final = _words((b"OK",), (b"NO", b"BYE"))
_QUIT: Final = b"QUIT\r\n"
_QUIET: Final = ApplicationExchange()


def _xmpp_exchange(namespace: str, host: str) -> ApplicationExchange:
    quoted = host.replace("&", "&amp;").replace("'", "&apos;").replace("<", "&lt;")
    header = (
        f"<?xml version='1.0'?><stream:stream to='{quoted}' version='1.0' xmlns='jabber:{namespace}' "
        "xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    return ApplicationExchange(header.encode(), b"</stream:stream>", _xmpp)


# Where TLS begins with the first byte the server speaks first, as it would without TLS; after STARTTLS the client does.
_EXCHANGES: Final[dict[str, ApplicationExchange]] = {
    "smtp": ApplicationExchange(f"EHLO {CLIENT_NAME}\r\n".encode(), _QUIT, _numeric),
    "lmtp": ApplicationExchange(f"LHLO {CLIENT_NAME}\r\n".encode(), _QUIT, _numeric),
    "smtps": ApplicationExchange(b"", _QUIT, _numeric),
    "imap": ApplicationExchange(b"a NOOP\r\n", b"b LOGOUT\r\n", _IMAP),
    "imaps": ApplicationExchange(b"", b"b LOGOUT\r\n", _IMAP),
    "pop3": ApplicationExchange(b"CAPA\r\n", _QUIT, _POP3),
    "pop3s": ApplicationExchange(b"", _QUIT, _POP3),
    "sieve": ApplicationExchange(b"", b"LOGOUT\r\n", _SIEVE),
    "ftp": ApplicationExchange(b"FEAT\r\n", _QUIT, _numeric),
    "ftps": ApplicationExchange(b"", _QUIT, _numeric),
    "nntp": ApplicationExchange(b"MODE READER\r\n", _QUIT, _numeric),
    "nntps": ApplicationExchange(b"", _QUIT, _numeric),
    "irc": ApplicationExchange(b"PING tlsweep\r\n", b"QUIT\r\n", _anything(b"ERROR")),
    "ircs": ApplicationExchange(b"PING tlsweep\r\n", b"QUIT\r\n", _anything(b"ERROR")),
    "ldap": _LDAP,
    "ldaps": _LDAP,
    "postgres": ApplicationExchange(_startup(), b"X\0\0\0\x04", _postgres),
}


def exchange_for(protocol: str, host: str) -> ApplicationExchange:
    """Return the dialogue with a service of this protocol (HTTP apart); ``host`` is the name that was asked for."""
    if protocol in ("xmpp", "xmpps"):
        return _xmpp_exchange("client", host)
    if protocol == "xmpp-server":
        return _xmpp_exchange("server", host)
    return _EXCHANGES.get(protocol, _QUIET)
