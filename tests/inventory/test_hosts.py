"""Hosts, ports and addresses as people write them."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.inventory.hosts import Unusable, embedded_ipv4, parse_address, parse_host, parse_name, parse_port
from scanner.inventory.hosts import split_host_port as split


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("a.example", "a.example"),
        ("A.Example.", "a.example"),
        ("localhost", "localhost"),
        ("_dmarc.a_b.example", "_dmarc.a_b.example"),
        ("r3---sn-x.example", "r3---sn-x.example"),
        ("1e100.example", "1e100.example"),
        ("0xdead.example", "0xdead.example"),
        ("host1", "host1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER。example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),  # IDNA 2008, not "fass"
        ("a_b.bücher.example", "a_b.xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("ａ.example", "a.example"),
        ("x" * 63 + ".example", "x" * 63 + ".example"),
    ],
)
def test_names_are_normalised_to_lower_case_a_labels(text: str, host: str) -> None:
    assert parse_host(text) == (host, False)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("２０３.0.113.5", "203.0.113.5"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::", "::"),
    ],
)
def test_addresses_are_normalised_to_their_shortest_form(text: str, address: str) -> None:
    assert parse_host(text) == (address, True)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (".", "empty"),
        ("*.example.com", "pattern"),
        ("a..example", "empty label"),
        (".example.com", "empty label"),
        ("x" * 64 + ".example", "63"),
        ("a." * 126 + "ab", "253"),
        ("a b.example", "space"),
        ("a\x1b[1m.example", "control"),
        ("a\0.example", "control"),
        ("me@a.example", "e-mail"),
        ("a.example/24", "network"),
        ("a\\b", "no host name has"),
        ("ex%61mple", "no host name has"),
        ("☃.example", "IDNA 2008"),
        ("ü" * 2000, "longer"),
        ("ü" * 64 + ".example", "IDNA 2008"),
        ("1.2.3", "ends in a number"),
        ("0177.1", "ends in a number"),
        ("0x7f.1", "ends in a number"),
        ("0x7f000001", "ends in a number"),
        ("2130706433", "ends in a number"),
        ("1.2.3.4.5", "ends in a number"),
        ("a.example.7", "ends in a number"),
        ("010.0.0.1", "leading zero"),
        ("256.1.1.1", "not an IP address"),
        ("1:2", "not an IP address"),
        ("fe80::1%eth0", "zone"),
        ("[fe80::1%25eth0]", "zone"),
        ("[a.example]", "not an IP address"),
    ],
)
def test_an_unusable_host_is_refused_with_a_reason(text: str, word: str) -> None:
    with pytest.raises(Unusable) as caught:
        parse_host(text)
    assert word in caught.value.reason
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 400


@pytest.mark.parametrize(("text", "port"), [("1", 1), ("443", 443), ("00443", 443), ("443.0", 443), ("65535", 65535)])
def test_a_port_may_have_leading_zeros_or_be_written_as_a_decimal(text: str, port: int) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "+1", "4 4", "https", "١", "1e3", "443.5", "9" * 10_000, ".0"])
def test_an_unusable_port_is_refused(text: str) -> None:
    with pytest.raises(Unusable):
        parse_port(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a.example", ("a.example", None)),
        ("a.example:25", ("a.example", "25")),
        ("[::1]", ("[::1]", None)),
        ("[::1]:25", ("[::1]", "25")),
        ("::1", ("::1", None)),
        ("a:", ("a", "")),
    ],
)
def test_host_and_port_are_split_at_the_colon_that_separates_them(text: str, parts: tuple[str, str | None]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["[::1", "[::1]25"])
def test_brackets_must_close(text: str) -> None:
    with pytest.raises(Unusable):
        split(text)


@pytest.mark.parametrize(
    ("text", "inner"),
    [("::ffff:192.0.2.1", "192.0.2.1"), ("64:ff9b::c000:201", "192.0.2.1"), ("2001:db8::1", None)],
)
def test_an_ipv4_address_embedded_in_ipv6_is_found(text: str, inner: str | None) -> None:
    found = embedded_ipv4(ipaddress.IPv6Address(text))
    assert (str(found) if found else None) == inner


@given(st.text(max_size=300))
def test_any_text_parses_to_a_canonical_host_or_is_unusable(text: str) -> None:
    for parse in (parse_host, parse_name, parse_address):
        try:
            result = parse(text)
        except Unusable as error:
            assert error.reason.isprintable()
            continue
        host = result if isinstance(result, str) else result[0]
        assert host.isascii() and host == host.lower() and 0 < len(host) <= 253
        again = parse(host)
        assert again == result
