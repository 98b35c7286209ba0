"""Exclusions match names and addresses in every spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.inventory.exclude import ExclusionError, Exclusions, load_exclusions, mark_excluded
from scanner.model.evidence import InvalidRow, Target


def made(*entries: str) -> Exclusions:
    exclusions = Exclusions()
    for entry in entries:
        exclusions.add(entry)
    return exclusions


@pytest.mark.parametrize(
    ("entry", "host", "excluded"),
    [
        ("www.example.com", "www.example.com", True),
        ("www.example.com", "WWW.Example.COM.", True),
        ("www.example.com", "a.www.example.com", False),
        ("www.example.com", "example.com", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        (".example.com", "example.com", True),
        (".example.com", "a.b.example.com", True),
        (".com", "anything.com", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "bücher.example", True),
        ("*.bücher.example", "a.xn--bcher-kva.example", True),
        ("localhost", "localhost", True),
        ("a.example", "192.0.2.1", False),
        ("a.example", "not a name", False),
    ],
)
def test_a_name_excludes_itself_and_a_pattern_what_it_covers(entry: str, host: str, excluded: bool) -> None:
    assert (made(entry).name(host) is not None) is excluded
    assert (made(entry).host(host) is not None) is excluded


@pytest.mark.parametrize(
    ("entry", "address", "excluded"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.0/24", "192.0.2.255", True),
        ("192.0.2.77/24", "192.0.2.255", True),
        ("192.0.2.0/24", "192.0.3.0", False),
        ("0.0.0.0/0", "203.0.113.1", True),
        ("0.0.0.0/0", "2001:db8::1", False),
        ("2001:db8::/32", "2001:db8:ffff::1", True),
        ("2001:db8::1", "2001:DB8:0::1", True),
        ("[2001:db8::1]", "2001:db8::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("192.0.2.0/24", "::ffff:192.0.2.9", True),
        ("192.0.2.0/24", "64:ff9b::c000:209", True),
        ("::ffff:192.0.2.0/120", "192.0.2.9", True),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("64:ff9b::/96", "64:ff9b::c000:209", True),
        ("64:ff9b::/96", "192.0.2.9", False),
        ("192.0.2.0/24", "a.example", False),
    ],
)
def test_an_address_or_network_excludes_what_it_contains_in_any_notation(
    entry: str, address: str, excluded: bool
) -> None:
    assert (made(entry).address(address) is not None) is excluded


def test_a_match_returns_the_entry_that_applies() -> None:
    exclusions = made("*.example.com", "192.0.2.0/24", "2001:db8::1", "a.example")
    assert exclusions.name("x.example.com") == "*.example.com"
    assert exclusions.name("a.example") == "a.example"
    assert exclusions.address("192.0.2.9") == "192.0.2.0/24"
    assert exclusions.address("2001:db8::1") == "2001:db8::1"


def test_several_files_are_read_as_one_list(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes("\ufeff# never\r\na.example # ours\r\n\r\n".encode() + b"b\xfccher.example\n")
    two.write_text("192.0.2.0/24")
    exclusions = load_exclusions([str(one), str(two)])
    assert len(exclusions) == 3
    assert exclusions.host("a.example") and exclusions.host("192.0.2.1") and exclusions.host("bücher.example")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("https://a.example/", "is a URL"),
        ("a.example/24", "neither a name"),
        ("a.example:443", "not an IP address"),
        ("192.0.2.0/33", "neither a name"),
        ("192.0.2", "not an IP address"),
        ("192.0.2.1-9", "range of addresses"),
        ("192.0.2.1-192.0.2.9", "range of addresses"),
        ("a b", "space"),
        ("*", "pattern"),
        ("*.", "leading dot or wildcard"),
        ("a.*.example", "no host name has"),
        ("\x1b[2J", "IP address|control"),
        ("x" * 5000, "longer than"),
    ],
)
def test_a_bad_line_is_named_in_the_error(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "never"
    path.write_text(f"a.example\n\n{line}\n")
    with pytest.raises(ExclusionError, match=words) as caught:
        load_exclusions([str(path)])
    assert "line 3: " in str(caught.value) and str(caught.value).isprintable()


def test_an_unreadable_list_raises_an_exclusion_error(tmp_path: Path) -> None:
    (tmp_path / "gz").write_bytes(b"\x1f\x8bxx")
    for name in ("absent", "", "gz"):
        with pytest.raises(ExclusionError):
            load_exclusions([str(tmp_path / name)])


def test_large_lists_are_queried_by_look_up() -> None:
    exclusions = Exclusions()
    for number in range(20_000):
        exclusions.add(f"h{number}.example")
        exclusions.add(f"10.{number >> 8}.{number & 255}.0/24")
    assert exclusions.name("h19999.example") and not exclusions.name("h20000.example")
    assert exclusions.address("10.78.31.200") and not exclusions.address("10.200.0.1")


def target(row: int, host: str) -> Target:
    return Target(row=row, host=host, port=443, protocol="tls", sni=host)


def test_only_excluded_targets_become_invalid_rows() -> None:
    rows: list[Target | InvalidRow] = [
        target(1, "ec.test"),
        target(2, "a.example"),
        InvalidRow(3, "bad", host="a.example"),
    ]
    assert list(mark_excluded(iter(rows), Exclusions())) == rows
    first, second, third = mark_excluded(iter(rows), made("a.example"))
    assert (first, third) == (rows[0], rows[2])
    assert isinstance(second, InvalidRow)
    assert second.reason == "excluded by 'a.example': it was not contacted"
    assert (second.row, second.host, second.port, second.protocol) == (2, "a.example", 443, "tls")
