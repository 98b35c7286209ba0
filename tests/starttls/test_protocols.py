"""The table of protocols: names, ports, and who is offered ALPN."""

from __future__ import annotations

import pytest

from scanner.starttls import PROTOCOLS, upgrades_of
from scanner.starttls.protocols import WEB_ALPN
from scanner.tls.plaintext import SIGNATURES

# IANA's registry of service names: service, port
IANA = {
    "https": 443, "smtp": 25, "smtps": 465, "lmtp": 24, "imap": 143, "imaps": 993, "pop3": 110, "pop3s": 995, "sieve": 4190,
    "ftp": 21, "ftps": 990, "ldap": 389, "ldaps": 636, "xmpp": 5222, "xmpps": 5223, "xmpp-server": 5269, "nntp": 119,
    "nntps": 563, "irc": 6667, "ircs": 6697, "postgres": 5432, "mysql": 3306, "mssql": 1433, "rdp": 3389, "tls": 443,
}  # fmt: skip


def test_ports_are_those_of_iana() -> None:
    assert {name: protocol.port for name, protocol in PROTOCOLS.items()} == IANA


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_protocols_are_keyed_by_their_lower_case_name(name: str) -> None:
    assert PROTOCOLS[name].name == name
    assert name == name.lower()


def test_the_name_without_s_is_the_starttls_form() -> None:
    for name, protocol in PROTOCOLS.items():
        if name.endswith("s") and name[:-1] in PROTOCOLS and name != "https":
            assert not protocol.starttls
            assert PROTOCOLS[name[:-1]].starttls


def test_only_web_clients_offer_alpn() -> None:
    """A server that knows ALPN refuses a hello with none that it speaks: others' clients do not send any."""
    assert {name for name, protocol in PROTOCOLS.items() if protocol.alpn} == {"tls", "https"}
    assert PROTOCOLS["https"].alpn == WEB_ALPN == (b"h2", b"http/1.1")


@pytest.mark.parametrize(
    ("recognised", "protocols"),
    [
        ("smtp", ("smtp", "lmtp")),
        ("imap", ("imap",)),
        ("postgresql", ("postgres",)),
        ("ftp", ("ftp", "smtp")),
        ("xmpp", ("xmpp", "xmpp-server")),
        ("ldap", ("ldap",)),
        ("http", ()),
        ("ssh", ()),
        ("tls", ()),
        (None, ()),
    ],
)
def test_plain_text_that_is_recognised_leads_to_protocols_with_an_upgrade(
    recognised: str | None, protocols: tuple[str, ...]
) -> None:
    assert upgrades_of(recognised) == protocols
    assert all(PROTOCOLS[name].starttls for name in protocols)


def test_every_protocol_with_an_upgrade_is_reached_by_its_greeting() -> None:
    named = {signature.protocol for signature in SIGNATURES}
    reached = {protocol for name in named for protocol in upgrades_of(name)}
    assert reached == {name for name, protocol in PROTOCOLS.items() if protocol.starttls}
