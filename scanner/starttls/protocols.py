"""The protocols that an inventory may name: port, opening dialogue, and what is offered in ALPN."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Protocol(Struct, frozen=True):
    """How TLS begins on a service: IANA's port, whether a dialogue comes first, and ALPN (RFC 7301) by preference."""

    name: str
    port: int
    starttls: bool
    alpn: tuple[bytes, ...] = ()


# What web clients offer. The other protocols have identifiers too, but their clients do not send them, and a server
# that knows ALPN must refuse a hello that lists no protocol of its own (RFC 7301 section 3.2): an offer could fail
# where every client succeeds, and its absence never does.
WEB_ALPN: Final = (b"h2", b"http/1.1")

# What a greeting is recognised as -> the protocols whose opening is tried, in this order, where the row leaves the protocol open.
# "220" begins the greetings of three protocols, and a stream header does not say who is expected.
_UPGRADES: Final = {
    "ftp": ("ftp", "smtp"),
    "smtp": ("smtp", "lmtp"),
    "xmpp": ("xmpp", "xmpp-server"),
    "postgresql": ("postgres",),
}

PROTOCOLS: Final[dict[str, Protocol]] = {
    protocol.name: protocol
    for protocol in (
        Protocol("tls", 443, starttls=False, alpn=WEB_ALPN),
        Protocol("https", 443, starttls=False, alpn=WEB_ALPN),
        Protocol("smtp", 25, starttls=True),
        Protocol("smtps", 465, starttls=False),
        Protocol("lmtp", 24, starttls=True),
        Protocol("imap", 143, starttls=True),
        Protocol("imaps", 993, starttls=False),
        Protocol("pop3", 110, starttls=True),
        Protocol("pop3s", 995, starttls=False),
        Protocol("sieve", 4190, starttls=True),
        Protocol("ftp", 21, starttls=True),
        Protocol("ftps", 990, starttls=False),
        Protocol("ldap", 389, starttls=True),
        Protocol("ldaps", 636, starttls=False),
        Protocol("xmpp", 5222, starttls=True),
        Protocol("xmpps", 5223, starttls=False),
        Protocol("xmpp-server", 5269, starttls=True),
        Protocol("nntp", 119, starttls=True),
        Protocol("nntps", 563, starttls=False),
        Protocol("irc", 6667, starttls=True),
        Protocol("ircs", 6697, starttls=False),
        Protocol("postgres", 5432, starttls=True),
        Protocol("mysql", 3306, starttls=True),
        Protocol("mssql", 1433, starttls=True),
        Protocol("rdp", 3389, starttls=True),
    )
}


def upgrades_of(recognised: str | None) -> tuple[str, ...]:
    """Return the protocols with an upgrade to TLS that a server may speak whose plain text was recognised as this, likeliest first."""
    if recognised is None:
        return ()
    if recognised in _UPGRADES:
        return _UPGRADES[recognised]
    protocol = PROTOCOLS.get(recognised)
    return (recognised,) if protocol is not None and protocol.starttls else ()
