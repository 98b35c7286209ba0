"""Protocols by the name of a service and by the port."""

from __future__ import annotations

import pytest

from scanner.starttls import PROTOCOLS
from scanner.starttls.services import AUTO, NAMES, PORTS, protocol_named, protocol_of_port
from scanner.text import folded


@pytest.mark.parametrize(
    ("text", "protocol"),
    [
        ("submission", "smtp"), ("Submissions", "smtps"), ("SMTP (STARTTLS)", "smtp"), ("starttls/imap", "imap"), ("IMAP4", "imap"),
        ("IMAP over SSL", "imaps"), ("POP", "pop3"), ("postgresql", "postgres"), ("pgsql", "postgres"), ("MariaDB", "mysql"),
        ("SQL Server", "mssql"), ("ms-wbt-server", "rdp"), ("xmpp-client", "xmpp"), ("XMPP Server", "xmpp-server"),
        ("managesieve", "sieve"),
        ("HTTP/2", "https"), ("wss", "https"), ("ssl", "tls"), ("SSL/TLS", "tls"), ("tcp", AUTO), ("auto", AUTO), ("FTPES", "ftp"),
        ("secure-mqtt", "tls"), ("global catalog", "ldap"),
    ],
)  # fmt: skip
def test_services_are_known_by_the_names_that_people_use(text: str, protocol: str) -> None:
    assert protocol_named(text.lower(), PROTOCOLS) == protocol


@pytest.mark.parametrize("text", ["", "http", "udp", "telnet", "gopher", "starttls", "smtp!x", "443"])
def test_other_names_name_no_protocol(text: str) -> None:
    assert protocol_named(text, PROTOCOLS) is None


def test_both_tables_only_name_protocols_that_there_are() -> None:
    assert set(NAMES.values()) - {AUTO} == set(PROTOCOLS)
    assert set(PORTS.values()) <= set(PROTOCOLS)
    assert list(NAMES) == [folded(name) for name in NAMES]


def test_the_usual_port_of_each_protocol_leads_to_it() -> None:
    for protocol in PROTOCOLS.values():
        assert PORTS[protocol.port] == ("tls" if protocol.name == "https" else protocol.name)


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        (25, "smtp"),
        (587, "smtp"),
        (465, "smtps"),
        (143, "imap"),
        (389, "ldap"),
        (5432, "postgres"),
        (443, "tls"),
        (2525, None),
    ],
)
def test_a_well_known_port_names_its_protocol(port: int, protocol: str | None) -> None:
    assert protocol_of_port(port, PROTOCOLS) == protocol


def test_a_protocol_that_is_not_known_is_never_returned() -> None:
    assert protocol_of_port(25, {"tls"}) is None and protocol_named("submission", {"tls"}) is None
