"""What a server means by the words with which it refuses a session before TLS: by codes of its protocol first, then by phrases.

The phrases are those of Postfix, Exim, Sendmail, Exchange, Cisco's mail gateways, Dovecot, Cyrus, Courier, vsftpd, ProFTPD,
Pure-FTPd, FileZilla, INN, InspIRCd, MySQL, MariaDB, PostgreSQL and SQL Server.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from scanner.starttls.base import CLIENT_NAME
from scanner.starttls.protocols import PROTOCOLS


class RefusalMeaning(Struct, frozen=True):
    """Why a session is refused: a stable identifier, a clause that begins with what the server does, and what to do."""

    reason: str
    meaning: str
    advice: str


_CLIENT: Final = RefusalMeaning(
    "client-refused",
    "it does not serve clients at this address",
    "Allow this machine's address at the server, or scan from a machine that the service's clients use",
)
_CROWDED: Final = RefusalMeaning(
    "too-many-connections",
    "it has as many connections, of this client or of all, as it accepts",
    "Scan with smaller --concurrency-per-address and --rate-per-address, or raise the server's limit",
)
UNAVAILABLE: Final = RefusalMeaning(
    "unavailable",
    "the service does not work at the moment",
    "Look into the server's log for the reason, and scan again when it is up",
)
_NO_SERVICE: Final = RefusalMeaning(
    "no-service",
    "it does not give this service to anybody",
    "Name the host that gives the service (for mail, by the domain's MX records), or take the row out",
)
_NAMELESS: Final = RefusalMeaning(
    "client-without-name",
    "it serves only clients whose address has a name in DNS",
    "Give this machine's address a PTR record whose name leads back to it, or scan from a machine that has one",
)
_HELLO: Final = RefusalMeaning(
    "client-name-refused",
    f"it does not accept the name {CLIENT_NAME}, which tlsweep gives as its own",
    "Exempt this machine's address from checks of the EHLO name, or scan from a machine that is exempt",
)
_LISTED: Final = RefusalMeaning(
    "client-blocklisted",
    "it finds the address of this machine in a list of senders of spam",
    "Scan from an address that is not on such lists, or allow this one at the server",
)
_ERRORS: Final = RefusalMeaning(
    "client-blocked-after-errors",
    "too many connections of this client have ended without a login",
    "Run mysqladmin flush-hosts (FLUSH HOSTS) on the server, and raise max_connect_errors",
)
_DOMAIN: Final = RefusalMeaning(
    "domain-not-served",
    "it does not serve the XMPP domain that it was asked for",
    "",  # the remedy has a sentence of its own
)
_ELSEWHERE: Final = RefusalMeaning(
    "see-other-host",
    "it sends clients to another host",
    "Scan the host that the server names in its words",
)
_FORBIDDEN: Final = RefusalMeaning(
    "forbidden",
    "a rule of the server forbids such a session",
    "Look into the server's log and rules for the reason",
)
UNKNOWN: Final = RefusalMeaning(
    "refused",
    "it gives no reason that is known here",
    "Its words, and the server's log at that moment, say why",
)

MEANINGS: Final = (
    _CLIENT, _CROWDED, UNAVAILABLE, _NO_SERVICE, _NAMELESS, _HELLO, _LISTED, _ERRORS, _DOMAIN, _ELSEWHERE, _FORBIDDEN, UNKNOWN,
)  # fmt: skip

_XMPP: Final = frozenset({"xmpp", "xmpp-server"})
_MAIL: Final = frozenset({"smtp", "lmtp"})
# (protocols, how the words begin, meaning): what only means this in some protocol
_BY_CODE: Final = (
    # stream errors (RFC 6120 section 4.9.3)
    (_XMPP, r"host-unknown|host-gone|improper-addressing", _DOMAIN),
    (_XMPP, r"see-other-host", _ELSEWHERE),
    (_XMPP, r"not-authorized|policy-violation", _FORBIDDEN),
    (_XMPP, r"resource-constraint", _CROWDED),
    (_XMPP, r"system-shutdown|internal-server-error|remote-connection-failed|connection-timeout", UNAVAILABLE),
    ({"mysql"}, r"1129\b", _ERRORS),
    ({"mysql"}, r"(?:1040|1203|1226)\b", _CROWDED),
    ({"mysql"}, r"1130\b", _CLIENT),
    ({"mysql"}, r"(?:1053|1105|3032|4032)\b", UNAVAILABLE),
    ({"postgres"}, r"\w+ 53\w{3}\b", _CROWDED),
    ({"postgres"}, r"\w+ 57P\w{2}\b", UNAVAILABLE),
    ({"postgres"}, r"\w+ 28\w{3}\b", _CLIENT),
    ({"mssql"}, r"(?:17809|17300|17892)\b", _CROWDED),
    ({"mssql"}, r"(?:17830|17142|18451|18401)\b", UNAVAILABLE),
    ({"ldap"}, r"51\b", _CROWDED),
    ({"ldap"}, r"52\b", UNAVAILABLE),
    ({"irc"}, r"(?::\S+ +)?46[35]\b", _CLIENT),
    # RFC 7504: a host that never accepts mail; RFC 5321 section 3.1: no SMTP service at all
    (_MAIL, r"(?:521|556)[ -](?!.*(?:block|denied|reject|unavailable))", _NO_SERVICE),
)
_BY_PHRASE: Final = (
    (r"dnsbl|\brbl\b|spamhaus|spamcop|barracuda|blocked using|block ?list|black ?list|deny ?list|reputation|sorbs", _LISTED),
    (
        r"too many|too fast|maximum|\bmax\b|limit|throttl|concurren|rate|exceed|overload|server is full|all connections"
        r"|no more connections|server ports are busy|ratelimit",
        _CROWDED,
    ),
    (r"cannot find your (?:host|reverse)|reverse (?:dns|hostname|lookup|mapping)|\brdns\b|\bptr\b|no host ?name", _NAMELESS),
    (r"no smtp service|not accepting (?:mail|messages)|does not accept (?:mail|e-?mail)|null ?mx|no service here", _NO_SERVICE),
    (r"\b(?:helo|ehlo|lhlo)\b.*(?:name|host|invalid|reject|resolve)|(?:invalid|bad|your) (?:helo|ehlo)|helo command rejected", _HELLO),
    (
        r"not allowed|denied|reject|banned|\bban\b|[kgzd]-?lined?\b|prohibit|forbidden|permission|not permitted|blocked"
        r"|refused|no connections allowed|not authori[sz]ed|will not be accepted|\bacl\b",
        _CLIENT,
    ),
    (
        r"unavailable|not available|temporar|try (?:again|later)|trylater|shut|starting up|maintenance|fail|broken|error"
        r"|fatal|oops|internal|not running|going down|disabled|busy|sys/",
        UNAVAILABLE,
    ),
)  # fmt: skip
# How a reply begins whose code says that it is for the moment only (RFC 5321 section 4.2.1, RFC 959 section 4.2)
_FOR_THE_MOMENT: Final = "4"
_REPLY_CODES: Final = frozenset({"smtp", "lmtp", "ftp", "nntp"})
# An element, and its attributes; what an error is about is a child of it without text
_ELEMENT: Final = r"<(?:[\w.-]+:)?([a-z-]+)(?=[\s/>])"
_AROUND: Final = frozenset({"stream", "features", "error", "text"})
_TEXT: Final = r"<(?:[\w.-]+:)?text\b[^>]*>([^<]*)<"


def readable(protocol: str, words: str) -> str:
    """Return the words of a refusal for people: of an XMPP stream error its condition and text."""
    if protocol not in _XMPP:
        return words
    condition = next((name for name in re.findall(_ELEMENT, words) if name not in _AROUND), None)
    if condition is None:
        return words
    text = re.search(_TEXT, words)
    return f"{condition}: {text[1].strip()}" if text is not None and text[1].strip() else condition


def meaning_of(protocol: str, words: str, awaited: str | None) -> RefusalMeaning:
    """Return what ``words`` (``readable``) mean in a protocol, said in answer to ``awaited``."""
    for protocols, pattern, meaning in _BY_CODE:
        if protocol in protocols and re.match(pattern, words.lstrip(), re.DOTALL) is not None:
            return meaning
    if protocol == "irc":
        words = words.removeprefix("ERROR")  # the command that ends every link
    for pattern, meaning in _BY_PHRASE:
        if re.search(pattern, words, re.IGNORECASE | re.DOTALL) is not None:
            return meaning
    if protocol in _MAIL and words.startswith("554"):
        return _NO_SERVICE
    if protocol in _MAIL and words.startswith("5") and awaited in ("EHLO", "LHLO"):
        return _HELLO
    return UNAVAILABLE if protocol in _REPLY_CODES and words.startswith(_FOR_THE_MOMENT) else UNKNOWN


def is_for_the_moment(protocol: str, words: str) -> bool:
    """Return True if a service that refuses in these words may serve the same client later."""
    plain = protocol.removesuffix("s")
    protocol = plain if plain in PROTOCOLS else protocol
    return meaning_of(protocol, readable(protocol, words), None) in (_CROWDED, UNAVAILABLE)


# --- firewalls that mask -------------------------------------------------------------------------

# Cisco's inspection of SMTP ("inspect esmtp" of the ASA, "fixup protocol smtp" of the PIX) overwrites what it does not let pass:
# capabilities and commands with the letter X, the last of them sometimes with A; the banner with asterisks.
_MASKS: Final = (
    re.compile(r"^\d{3}[ -](X{4,}[A-Z]?)(?=\s|$)", re.MULTILINE),
    re.compile(r"(?<![A-Z])(X{4,}[A-Z]?)(?![A-Z])"),
    re.compile(r"^220[ -][*0-9 ]*?(\*{6,})", re.MULTILINE),
)


def mask_in(words: str) -> str | None:
    """Return what a firewall put in the place of a server's words, if it did."""
    for mask in _MASKS:
        found = mask.search(words)
        if found is not None:
            return found[1]
    return None
