"""The cells of one row: defaults, conflicts, URLs, and reasons."""

from __future__ import annotations

import pytest

from scanner.inventory.row_parser import RowCells, RowParser
from scanner.model.evidence import InvalidRow, Target
from scanner.starttls import PROTOCOLS as STARTTLS_PROTOCOLS
from tests.inventory.rows import PROTOCOLS, reason, target


def read(
    cells: dict[str, str], *, default_protocol: str = "tls", default_port: int | None = None
) -> Target | InvalidRow:
    return RowParser(default_protocol, default_port, PROTOCOLS).parse(1, 7, RowCells(**cells), {})


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"host": "a.example"}, ("a.example", 443, "tls")),
        ({"host": "a.example:8443"}, ("a.example", 8443, "tls")),
        ({"host": "a.example", "port": "8443"}, ("a.example", 8443, "tls")),
        ({"host": "a.example:8443", "port": "8443"}, ("a.example", 8443, "tls")),
        ({"host": "a.example", "protocol": "SMTP"}, ("a.example", 25, "smtp")),
        ({"host": "a.example", "protocol": "postgresql"}, ("a.example", 5432, "postgres")),
        ({"host": "smtp://a.example"}, ("a.example", 25, "smtp")),
        ({"host": "smtp://a.example:587"}, ("a.example", 587, "smtp")),
        ({"host": "smtp://a.example", "protocol": "smtp", "port": "26"}, ("a.example", 26, "smtp")),
        ({"host": "HTTPS://A.example/path?q#f"}, ("a.example", 443, "https")),
        ({"host": "https://a.example?q"}, ("a.example", 443, "https")),
        ({"host": "https://a.example:/"}, ("a.example", 443, "https")),
        ({"host": "https://[2001:db8::1]:444/"}, ("2001:db8::1", 444, "https")),
        ({"host": "wss://a.example"}, ("a.example", 443, "https")),
        ({"host": "postgresql://user:secret@a.example/db"}, ("a.example", 5432, "postgres")),
        ({"host": "a.example/login"}, ("a.example", 443, "tls")),
        ({"host": "2001:db8::1"}, ("2001:db8::1", 443, "tls")),
        ({"address": "192.0.2.1"}, ("192.0.2.1", 443, "tls")),
    ],
)
def test_host_port_and_protocol_are_taken_from_cells_or_a_url(
    cells: dict[str, str], expected: tuple[str, int, str]
) -> None:
    row = target(read(cells))
    assert (row.host, row.port, row.protocol) == expected


@pytest.mark.parametrize(
    ("cells", "expected", "auto"),
    [
        ({"host": "a.example"}, ("tls", 443), False),
        ({"host": "a.example", "port": "587"}, ("smtp", 587), False),
        ({"host": "a.example:5432"}, ("postgres", 5432), False),
        ({"host": "a.example", "port": "993", "protocol": "tcp"}, ("imaps", 993), False),
        ({"host": "tcp://a.example:25"}, ("smtp", 25), False),
        ({"host": "a.example", "port": "2525"}, ("tls", 2525), True),
        ({"host": "a.example:2525", "protocol": "auto"}, ("tls", 2525), True),
        # what is said goes before what the port would say
        ({"host": "a.example", "port": "25", "protocol": "tls"}, ("tls", 25), False),
        ({"host": "https://a.example:25"}, ("https", 25), False),
        ({"host": "a.example", "protocol": "submission", "port": "587/tcp"}, ("smtp", 587), False),
        ({"host": "https://a.example", "protocol": "SSL"}, ("https", 443), False),
        ({"host": "ssl://a.example:465", "protocol": "smtps"}, ("smtps", 465), False),
    ],
)
def test_auto_takes_the_protocol_of_the_port(cells: dict[str, str], expected: tuple[str, int], auto: bool) -> None:
    parser = RowParser("auto", None, STARTTLS_PROTOCOLS)
    row = target(parser.parse(1, 7, RowCells(**cells), {}))
    assert ((row.protocol, row.port), row.auto) == (expected, auto)
    assert row.asked_protocol == ("auto" if auto else row.protocol)


@pytest.mark.parametrize(("port", "expected"), [(None, ("tls", False)), (25, ("smtp", False)), (2525, ("tls", True))])
def test_a_plain_line_is_as_auto_as_a_cell(port: int | None, expected: tuple[str, bool]) -> None:
    parser = RowParser("auto", port, STARTTLS_PROTOCOLS)
    for row in (parser.parse_line(1, 7, "a.example"), parser.parse(1, 7, RowCells("a.example"), {})):
        assert (target(row).protocol, target(row).auto) == expected


@pytest.mark.parametrize(
    ("cells", "port"),
    [
        ({"host": "a.example"}, 2525),
        ({"host": "a.example", "protocol": "imap"}, 2525),
        ({"host": "imap://a.example"}, 143),
        ({"host": "a.example:1"}, 1),
        ({"host": "a.example", "port": "2"}, 2),
    ],
)
def test_the_default_port_applies_to_rows_without_a_port(cells: dict[str, str], port: int) -> None:
    assert target(read(cells, default_protocol="smtp", default_port=2525)).port == port


@pytest.mark.parametrize(
    ("cells", "sni"),
    [
        ({"host": "a.example"}, "a.example"),
        ({"host": "192.0.2.1"}, None),
        ({"host": "192.0.2.1", "sni": "B.example"}, "b.example"),
        ({"host": "a.example", "sni": "-"}, None),
        ({"host": "a.example", "sni": "bücher.example"}, "xn--bcher-kva.example"),
        ({"address": "192.0.2.1", "host": "a.example"}, "a.example"),
    ],
)
def test_the_server_name_is_the_host_unless_given(cells: dict[str, str], sni: str | None) -> None:
    assert target(read(cells)).sni == sni


def test_an_address_column_keeps_the_host() -> None:
    row = target(read({"host": "a.example", "address": "::ffff:192.0.2.7"}))
    assert (row.host, row.host_is_ip, row.address) == ("a.example", False, "192.0.2.7")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({}, "the host is empty"),
        ({"host": "http://a.example/"}, "not TLS"),
        ({"host": "gopher://a.example/"}, "no protocol that is known"),
        ({"host": "https:///path"}, "names no host"),
        ({"host": "a.example", "port": "0"}, "1 to 65535"),
        ({"host": "a.example:x"}, "1 to 65535"),
        ({"host": "a.example:1", "port": "2"}, "port column says 2"),
        ({"host": "https://a.example", "protocol": "smtp"}, "protocol column says smtp"),
        ({"host": "a.example", "protocol": "telnet"}, '"telnet" is not known'),
        ({"host": "a.example", "protocol": "HTTP"}, '"HTTP" is not TLS'),
        ({"host": "a.example", "protocol": "udp"}, '"udp" is not TLS'),
        ({"host": "a.example", "port": "443/udp"}, "1 to 65535"),
        ({"host": "a.example", "protocol": "odd"}, "no usual port"),
        ({"host": "a.example", "address": "b.example"}, "not an IP address"),
        ({"host": "a.example", "sni": "192.0.2.1"}, "RFC 6066"),
        ({"host": "a.example", "sni": "*.example"}, "the sni column"),
        ({"host": "192.0.2.0/24"}, "networks are not expanded"),
        ({"host": "2001:db8::/32"}, "networks are not expanded"),
        ({"host": "user:secret@a.example"}, "user name"),
    ],
)
def test_an_invalid_row_gives_the_reason(cells: dict[str, str], words: str) -> None:
    row = read(cells)
    assert words in reason(row)
    assert reason(row).startswith("line 7: ")


@pytest.mark.parametrize("host", ["user:secret@a.example", "nosuch://user:secret@a.example/x", "https://:secret@/"])
def test_a_password_is_not_carried_into_the_finding(host: str) -> None:
    row = read({"host": host})
    assert isinstance(row, InvalidRow)
    assert "secret" not in repr(row)


def test_an_invalid_row_keeps_its_identifying_columns() -> None:
    parser = RowParser("tls", None, PROTOCOLS)
    row = parser.parse(3, 9, RowCells("*.example", "8443", "https", id="x1"), {"owner": "web"})
    assert row == InvalidRow(3, reason(row), "*.example", 8443, "https", "x1", {"owner": "web"})


def test_a_huge_cell_is_truncated_in_the_invalid_row() -> None:
    row = read({"host": "x" * 60_000})
    assert isinstance(row, InvalidRow) and row.host is not None
    assert len(row.host) == 1000 and len(row.reason) < 300
