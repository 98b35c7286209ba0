"""Recognise the protocol of a peer that does not speak TLS, by the first bytes that it sent.

A table of signatures is tried from top to bottom, the certain ones first. A signature is a regular expression, anchored at
the start and without nested repetition, so that its time is linear, or a function where there are lengths to check. Bytes
that begin like a TLS record match none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final

from msgspec import Struct

# Every signature decides within the first line or header; more would only cost time.
MAX_BYTES: Final = 512


class Signature(Struct, frozen=True):
    """The first bytes of one protocol. ``reference`` is the document and section that defines them."""

    protocol: str
    looks_like: str
    reference: str
    pattern: bytes | Callable[[bytes], bool]


def recognise(first: bytes) -> str | None:
    """Return the name of the protocol whose server begins with these bytes, or None: unknown, too few, or TLS. Never raises."""
    if looks_like_tls(first):
        return None
    head = bytes(first[:MAX_BYTES])
    for protocol, matches in _matchers():
        if matches(head):
            return protocol
    return None


def looks_like_tls(first: bytes) -> bool:
    """Return whether the bytes begin a TLS record: with a content type of RFC 8446 section 5.1, then major version 3."""
    return len(first) >= 2 and 0x14 <= first[0] <= 0x18 and first[1] == 0x03


@cache
def _matchers() -> tuple[tuple[str, Callable[[bytes], object]], ...]:
    # compiled at first use: a healthy fleet never needs them
    return tuple(
        (
            signature.protocol,
            re.compile(signature.pattern, re.DOTALL).match
            if isinstance(signature.pattern, bytes)
            else signature.pattern,
        )
        for signature in SIGNATURES
    )


# --- signatures with lengths -------------------------------------------------------------------


def _is_http2(head: bytes) -> bool:
    # a SETTINGS frame on stream 0 whose payload is whole parameters: what a server sends without being asked
    return len(head) >= 9 and head[3] == 4 and head[4] <= 1 and head[5:9] == bytes(4) and _length(head, 0, 3) % 6 == 0


def _is_mysql(head: bytes) -> bool:
    if len(head) < 6:
        return False
    size = int.from_bytes(head[:3], "little")
    if head[4] == 10 and head[3] == 0:
        version = head[5:].split(b"\0", 1)[0]
        return 30 <= size <= 4096 and version[:1].isdigit() and all(0x20 <= byte < 0x7F for byte in version)
    if head[4] == 0xFF and head[3] <= 3 and len(head) >= 7:
        # server errors are numbered from 1000, MariaDB's own to 4999
        return 3 < size <= 4096 and 1000 <= int.from_bytes(head[5:7], "little") < 6000
    return False


def _is_mysql_x(head: bytes) -> bool:
    # a Notice frame (type 11) of a few bytes: the session greets with an empty list of capabilities
    return len(head) >= 6 and head[4] == 0x0B and head[5] == 0x08 and 3 <= int.from_bytes(head[:4], "little") <= 64


def _is_postgresql(head: bytes) -> bool:
    if head == b"N":
        return True
    if len(head) < 6 or head[:1] != b"E":
        return False
    # an ErrorResponse whose first field is the severity, or the bare text that servers sent before protocol 3
    return (8 <= _length(head, 1, 4) <= 30_000 and head[5:6] in b"SCMV") or head.startswith(
        (b"EFATAL:  ", b"EERROR:  ")
    )


def _is_ldap(head: bytes) -> bool:
    at = 2
    if head[:1] != b"\x30" or len(head) < 7:
        return False
    if head[1] >= 0x80:
        at += head[1] & 0x7F
        if not 0x81 <= head[1] <= 0x84 or len(head) < at + 4:
            return False
    if head[at] != 0x02 or not 1 <= head[at + 1] <= 4:
        return False
    at += 2 + head[at + 1]
    # the protocolOp of a response: BindResponse, SearchResultEntry, SearchResultDone, ... ExtendedResponse
    return at < len(head) and head[at] in (0x61, 0x64, 0x65, 0x67, 0x69, 0x6B, 0x6D, 0x6F, 0x73, 0x78, 0x79)


def _is_rdp(head: bytes) -> bool:
    # TPKT version 3 around an X.224 Connection Confirm, Disconnect Request or Error
    if len(head) < 6 or head[:2] != b"\x03\x00":
        return False
    return 7 <= _length(head, 2, 2) <= 1024 and head[4] < _length(head, 2, 2) and head[5] in (0xD0, 0x80, 0x70)


def _is_mssql(head: bytes) -> bool:
    # a TDS packet of type 4, last of its message, with no window; then a PRELOGIN option or an ERROR token
    if len(head) < 9 or head[:2] != b"\x04\x01":
        return False
    return 9 <= _length(head, 2, 2) <= 4096 and head[7] == 0 and head[8] in (0x00, 0xAA)


def _is_mongodb(head: bytes) -> bool:
    if len(head) < 16:
        return False
    size, opcode = int.from_bytes(head[:4], "little"), int.from_bytes(head[12:16], "little")
    return 16 < size <= 48_000_000 and opcode in (1, 2013)


def _is_sslv2(head: bytes) -> bool:
    if len(head) < 5 or not head[0] & 0x80:
        return False
    size = _length(head, 0, 2) & 0x7FFF
    if head[2] == 0:  # ERROR: the type and a code of two bytes
        return size == 3 and head[3] == 0 and head[4] in (1, 2, 4, 6)
    # SERVER-HELLO: session-id-hit, certificate-type, then the version 0.2
    return len(head) >= 7 and head[2] == 4 and head[3] <= 1 and head[4] <= 1 and head[5:7] == b"\x00\x02" and size >= 11


def _is_tns(head: bytes) -> bool:
    # a packet as long as it says, of type REFUSE (4) or RESEND (11)
    return len(head) >= 8 and 8 <= _length(head, 0, 2) <= 4096 and head[2:4] == bytes(2) and head[4] in (4, 11)


def _length(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


# --- the table ---------------------------------------------------------------------------------

# The word by itself, not as part of a host name: "ftp.example ESMTP" is a greeting of SMTP.
_FTP_WORDS: Final = rb"[^\r\n]{0,400}?(?:ftpd?(?![\w.-])|filezilla|file transfer|control connection)"
_SMTP_WORDS: Final = (
    rb"[^\r\n]{0,400}?(?:(?<![\w.-])e?smtp(?![\w.-])|postfix|exim|sendmail|dovecot|mail ?server|mail service|mailenable"
    rb"|transmission channel)"
)
_DOMAIN: Final = rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){1,9}\.?(?:[ \r\n]|$)"

SIGNATURES: Final[tuple[Signature, ...]] = (
    Signature("http", "a status line", "RFC 9112 section 4", rb"HTTP/\d"),
    Signature(
        "http",
        "a request line: the peer is a client",
        "RFC 9112 section 3",
        rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PRI) [^ \r\n]{1,450} HTTP/",
    ),
    Signature(
        "http",
        "HTML without a status line",
        "RFC 1945 section 1.1, Simple-Response",
        rb"(?i)\s{0,16}(?:<\?xml[^>]{0,100}\?>\s{0,16})?<(?:!doctype html|html|head|title|body)[\s>]",
    ),
    Signature("http2", "a SETTINGS frame, without TLS", "RFC 9113 section 6.5", _is_http2),
    Signature("rtsp", "a status line", "RFC 7826 section 8.1", rb"RTSP/\d"),
    Signature("sip", "a status line", "RFC 3261 section 7.2", rb"SIP/\d"),
    Signature("ssh", "an identification string", "RFC 4253 section 4.2", rb"SSH-\d\.\d"),
    Signature("ssh", "OpenSSH has no room for another", "sshd_config(5), MaxStartups", rb"(?:Exceeded MaxS|Not allowed at this)"),
    Signature("vnc", "a protocol version", "RFC 6143 section 7.1.1", rb"RFB \d{3}\.\d{3}"),
    Signature("amqp", "a protocol header", "AMQP 0-9-1 section 4.2.2, AMQP 1.0 section 2.2", rb"AMQP[\x00-\x03]"),
    Signature("rsync", "a greeting", "rsyncd(5), daemon protocol", rb"@RSYNCD: \d"),
    Signature("nats", "an INFO message", "NATS client protocol", rb'INFO \{"'),
    # 220 means "ready" to both SMTP (RFC 5321 section 4.2.3) and FTP (RFC 959 section 5.4): the text decides, then
    # whether a domain follows, which SMTP demands and FTP does not
    Signature("lmtp", "a 220 greeting that says LMTP", "RFC 2033 section 4.1", rb"(?i)220[ -][^\r\n]{0,400}?\blmtp\b"),
    Signature("ftp", "a reply that says FTP", "RFC 959 section 5.4", rb"(?i)(?:220|421|5[0-3]0)[ -]" + _FTP_WORDS),
    Signature("smtp", "a reply that says SMTP", "RFC 5321 section 4.3.1", rb"(?i)(?:220|421|450|521|554)[ -]" + _SMTP_WORDS),
    Signature("smtp", "a reply with an enhanced status code", "RFC 2034 section 4", rb"[45]\d\d[ -][45]\.\d{1,3}\.\d{1,3}\b"),
    Signature("smtp", "a greeting with a domain", "RFC 5321 section 4.2", rb"(?i)(?:220|421|521|554)[ -]" + _DOMAIN),
    Signature("ftp", "any other greeting with 220", "RFC 959 section 5.4", rb"220[ -]"),
    Signature("ftp", "please log in first", "RFC 959 section 5.4", rb"(?i)530[ -][^\r\n]{0,100}?log ?in"),
    Signature("imap", "an untagged greeting", "RFC 9051 section 7.1", rb"(?i)\* (?:OK|PREAUTH|BYE|BAD)(?:[ \r\n]|$)"),
    Signature("sieve", "a capability of ManageSieve", "RFC 5804 section 1.7", rb'(?i)"(?:IMPLEMENTATION|SIEVE|SASL|VERSION)" "'),
    Signature(
        "redis",
        "an error reply",
        "RESP, simple errors",
        rb"(?i)-(?:NOAUTH|DENIED|NOPERM|LOADING|MISCONF|WRONGPASS|MASTERDOWN|ERR (?:unknown command|protocol error|max number of"
        rb" clients|operation not permitted|wrong number of|invalid (?:bulk|multibulk)|unbalanced))",
    ),
    Signature("pop3", "a positive or negative greeting", "RFC 1939 section 3", rb"(?:\+OK|-ERR)(?:[ \r\n]|$)"),
    Signature(
        "nntp",
        "a greeting 200 or 201 that says so, or a refusal",
        "RFC 3977 section 5.1",
        rb"(?i)(?:20[01]|400|502) [^\r\n]{0,400}?(?:\bnntp|\binn\b|\bnnrpd?\b|\bnews|\busenet|\bposting)",
    ),
    Signature(
        "xmpp",
        "a stream header, perhaps after an XML declaration",
        "RFC 6120 section 4.7",
        rb"\s{0,16}(?:<\?xml[^>]{0,100}\?>\s{0,16})?<stream:",
    ),
    Signature(
        "irc",
        "a NOTICE, a numeric reply or an ERROR",
        "RFC 2812 section 2.3",
        rb"(?i)(?::[^ \r\n]{1,255} (?:NOTICE|CAP|PING|ERROR|\d{3}) |NOTICE (?:AUTH|\*) :|ERROR :|PING :)",
    ),
    Signature(
        "memcached",
        "an error line",
        "memcached protocol.txt, error strings",
        rb"(?:ERROR|(?:CLIENT|SERVER)_ERROR [^\r\n]{1,400})\r\n",
    ),
    Signature("mysql", "a handshake of protocol 10, or an error packet", "MySQL client/server protocol", _is_mysql),
    Signature("mysqlx", "a notice frame", "MySQL X protocol", _is_mysql_x),
    Signature("postgresql", "an ErrorResponse, or N to an SSLRequest", "PostgreSQL chapter 53.7", _is_postgresql),
    Signature("ldap", "an LDAPMessage with a response", "RFC 4511 section 4.1.1", _is_ldap),
    Signature("rdp", "an X.224 TPDU in TPKT", "MS-RDPBCGR section 2.2.1.2, RFC 1006", _is_rdp),
    Signature("mssql", "a TDS response", "MS-TDS section 2.2.3.1", _is_mssql),
    Signature("oracle", "a TNS refusal", "Oracle Net, transparent network substrate", _is_tns),
    Signature("mongodb", "an OP_REPLY or OP_MSG", "MongoDB wire protocol", _is_mongodb),
    Signature("telnet", "option negotiation", "RFC 854", rb"\xff[\xfb-\xfe][\x00-\x31\xff]"),
    Signature("mqtt", "a CONNACK", "MQTT 3.1.1 section 3.2", rb"\x20\x02[\x00\x01][\x00-\x05]\Z"),
    Signature(
        "socks",
        "a method selection, or a reply of SOCKS 4",
        "RFC 1928 section 3",
        rb"(?:\x05[\x00\x02\xff]|\x00[\x5a-\x5d].{6})\Z",
    ),
    Signature("sslv2", "an SSL 2.0 SERVER-HELLO or ERROR", "draft-hickman-netscape-ssl-00 section 2.2", _is_sslv2),
)  # fmt: skip
