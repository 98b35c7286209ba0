"""CSV as spreadsheets and people write it, and malformed CSV."""

from __future__ import annotations

from pathlib import Path

import pytest

from scanner.model.evidence import InvalidRow, Target
from tests.inventory.rows import hosts, read, reason, target


def test_known_columns_become_fields_and_others_tags(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "Domain, PORT ,protocol,sni,ip,id,Owner,note\n"
        'a.example,8443,https,b.example,192.0.2.1,7,"Team, web"," trimmed "\n'
        "b.example,,,,,,,\n",
    )
    assert rows == [
        Target(
            1, "a.example", 8443, "https", "b.example", "192.0.2.1", "7",
            {"Owner": "Team, web", "note": "trimmed"},
        ),
        Target(2, "b.example", 443, "tls", "b.example", tags={"Owner": "", "note": ""}),
    ]  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_any_line_end_delimiter_and_byte_order_mark_is_read(
    tmp_path: Path, newline: str, delimiter: str, bom: str
) -> None:
    lines = ["# made by hand", "", "host|owner", "a.example|web", "", "# x|y", "b.example|", "|"]
    rows = read(tmp_path, bom + newline.join(lines).replace("|", delimiter))
    assert [(row.row, target(row).host, row.tags) for row in rows] == [
        (1, "a.example", {"owner": "web"}),
        (2, "b.example", {"owner": ""}),
    ]


def test_quoted_cells_may_hold_delimiters_line_ends_and_quotes(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        "host,note\n"
        'a.example,"one, two"\n'
        'b.example,"first line\r\nsecond ""line"""\r\n'
        'c.example, "after a space"\n'
        'd.example,5" disk\n'
        '"e.example",""\n',
    )
    assert hosts(rows) == ["a.example", "b.example", "c.example", "d.example", "e.example"]
    assert [row.tags["note"] for row in rows] == [
        "one, two", 'first line\r\nsecond "line"', "after a space", '5" disk', "",
    ]  # fmt: skip


def test_an_unclosed_quote_spoils_only_its_line(tmp_path: Path) -> None:
    many = "".join(f"h{number}.example,x\n" for number in range(200))
    rows = read(tmp_path, 'host,note\na.example,"open\n' + many)
    assert reason(rows[0]) == "line 2: a quote is opened and never closed"
    assert hosts(rows[1:]) == [f"h{number}.example" for number in range(200)]


def test_an_unbalanced_quote_spoils_only_its_line(tmp_path: Path) -> None:
    rows = read(tmp_path, 'host,note\na.example,"open\nb.example,x\nc.example,"fine, here"\nd.example,y\n')
    assert "unbalanced" in reason(rows[0])
    assert hosts(rows) == [None, "b.example", "c.example", "d.example"]
    assert rows[2].tags == {"note": "fine, here"}


def test_a_quote_opened_on_one_line_and_closed_on_the_next_joins_the_two(tmp_path: Path) -> None:
    rows = read(tmp_path, "host,note\n" + 'a.example,"""\n' * 999)
    assert hosts(rows) == ["a.example"] * 499 + [None]


def test_an_unclosed_quote_on_the_last_line_is_reported(tmp_path: Path) -> None:
    rows = read(tmp_path, 'host,note\na.example,"x')
    assert reason(rows[0]) == "line 2: a quote is opened and never closed"


def test_missing_fields_are_empty_and_surplus_ones_make_a_row_invalid(tmp_path: Path) -> None:
    rows = read(tmp_path, "host,port,owner\na.example\nb.example,1,web,,\nc.example,1,web,more\n")
    assert target(rows[0]).tags == {"owner": ""}
    assert target(rows[1]).port == 1
    assert "4 fields where the header names 3" in reason(rows[2])
    assert isinstance(rows[2], InvalidRow) and rows[2].host == "c.example" and rows[2].tags == {"owner": "web"}


def test_unnamed_columns_become_tags_where_they_are_not_empty(tmp_path: Path) -> None:
    rows = read(tmp_path, "host,,owner,\na.example,,web,\nb.example,x,web,\n")
    assert [row.tags for row in rows] == [{"owner": "web"}, {"owner": "web", "column_2": "x"}]


def test_a_separator_line_sets_the_delimiter(tmp_path: Path) -> None:
    assert hosts(read(tmp_path, "sep=;\r\nhost;note\r\na.example;x,y\r\n")) == ["a.example"]


def test_each_line_may_be_utf8_or_latin1(tmp_path: Path) -> None:
    rows = read(tmp_path, b"host,owner\nb\xfccher.example,J\xf6rg\n" + "bücher.example,Jörg\n".encode())
    assert hosts(rows) == ["xn--bcher-kva.example"] * 2
    assert [row.tags["owner"] for row in rows] == ["Jörg", "Jörg"]


def test_control_characters_and_long_lines_spoil_only_their_row(tmp_path: Path) -> None:
    rows = read(
        tmp_path,
        b"host,note\na\0.example,x\n\x1b[2J,y\nb.example,\x1b[2J\0\n"
        + b"x" * 70_000
        + b",z\nc.example,\r\r\nd.example,w\n",
    )
    assert hosts(rows) == [None, None, "b.example", None, "c.example", "d.example"]
    assert "control" in reason(rows[0]) and reason(rows[1]).isprintable()
    assert rows[2].tags == {"note": "\x1b[2J\0"}
    assert "longer than 65536 bytes" in reason(rows[3])


def test_an_address_column_alone_is_enough(tmp_path: Path) -> None:
    rows = read(tmp_path, "ip,owner\n192.0.2.1,a\n2001:db8::1,b\nnone,c\n")
    assert hosts(rows) == ["192.0.2.1", "2001:db8::1", None]


@pytest.mark.parametrize("word", ["-", "n/a", "N/A", "none", "TBD", "?", "#N/A", " null "])
def test_empty_words_are_empty_cells(tmp_path: Path, word: str) -> None:
    rows = read(
        tmp_path,
        f"fqdn,port,protocol,ip,owner\na.example,{word},{word},{word},{word}\n{word},{word},,192.0.2.1,x\n{word},443,,,y\n",
    )
    assert rows[0] == Target(1, "a.example", 443, "tls", "a.example", tags={"owner": word.strip()})
    assert (target(rows[1]).host, target(rows[1]).port) == ("192.0.2.1", 443)
    assert "the host is empty" in reason(rows[2])


def test_an_empty_word_for_the_server_name_is_the_host_and_a_hyphen_none(tmp_path: Path) -> None:
    rows = read(tmp_path, "host,sni\na.example,n/a\nb.example,-\nc.example,tbd\n")
    assert [target(row).sni for row in rows] == ["a.example", None, "c.example"]
