"""The format of an inventory, detected from its first line."""

from __future__ import annotations

import pytest

from scanner.inventory.shapes import (
    CsvColumns,
    InventoryError,
    separator_line,
    shape_of,
    strip_comment,
)


@pytest.mark.parametrize(
    ("line", "delimiter", "tags"),
    [
        ("host", ",", ()),
        ("domain", ",", ()),
        (" FQDN \r", ",", ()),
        ("ip", ",", ()),
        ("host,port,owner", ",", ("owner",)),
        ("Host;Port;Team Name", ";", ("Team Name",)),
        ("id\thostname\tnote", "\t", ("note",)),
        ('"host","the, owner"', ",", ("the, owner",)),
        ('owner, "name"', ",", ("owner",)),
        ("name,host", ",", ("name",)),
        ("hostname,fqdn,domain", ",", ("hostname", "domain")),
        ("url;owner", ";", ("owner",)),
        ("host,owner,owner", ",", ("owner", "owner (2)")),
        ("address,ip,host", ",", ("ip",)),
        ("host,", ",", ()),
        ("host,Owner,owner", ",", ("Owner", "owner")),
    ],
)
def test_csv_headers_are_detected(line: str, delimiter: str, tags: tuple[str, ...]) -> None:
    shape = shape_of(line)
    assert isinstance(shape, CsvColumns)
    assert shape.delimiter == delimiter
    assert tuple(name for name, _ in shape.tags) == tags


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,a.example", "without a host column"),
        ("port,owner\x1b[31m", "without a host column"),
        ("host,port,PORT", '"PORT" twice'),
        ("host" + ",x" * 20_000, "columns"),
        ("{", "NDJSON"),
        ("[", "NDJSON"),
        ('[{"host":"a.example"}]', "NDJSON"),
    ],
)
def test_an_unusable_header_is_refused_with_a_reason(line: str, words: str) -> None:
    with pytest.raises(InventoryError) as caught:
        shape_of(line)
    message = str(caught.value)
    assert words in message and message.isprintable() and len(message) < 400


@pytest.mark.parametrize(
    "line",
    [
        "a.example",
        "a.example:25 # mail, old; one",
        "https://a.example/x;y,z",
        "[2001:db8::1]:443",
        "[::1]",
        "hosts.example",
    ],
)
def test_plain_lines_are_detected(line: str) -> None:
    assert shape_of(line) == "plain"


def test_json_lines_are_detected_even_if_broken() -> None:
    assert shape_of(' {"host": "a.example"}') == "json"
    assert shape_of('{"broken') == "json"


def test_a_separator_line_names_the_delimiter() -> None:
    assert separator_line("sep=;\r") == ";"
    assert separator_line("SEP=\t") == "\t"
    assert separator_line("sep=example") is None
    shape = shape_of("host;a,b", ";")
    assert isinstance(shape, CsvColumns) and shape.delimiter == ";"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a.example # note", "a.example"),
        ("a.example\t#note # more", "a.example"),
        ("https://a.example/#part", "https://a.example/#part"),
        ("# all", ""),
        ("  ", ""),
    ],
)
def test_comments_are_stripped_and_fragments_kept(line: str, text: str) -> None:
    assert strip_comment(line) == text


@pytest.mark.parametrize(
    ("line", "mapping", "places"),
    [
        ("Server;TCP;Team", {"port": "TCP"}, (0, 1)),
        ("System;Listener", {"host": "system", "port": "Listener"}, (0, 1)),
        ("host,port,https port", {"port": "port"}, (0, 1)),
    ],
)
def test_columns_may_be_named_by_hand(line: str, mapping: dict[str, str], places: tuple[int, int]) -> None:
    shape = shape_of(line, None, mapping)
    assert isinstance(shape, CsvColumns) and (shape.host, shape.port) == places


@pytest.mark.parametrize(
    ("line", "mapping", "words"),
    [
        ("host,port", {"port": "Listener"}, 'no column "Listener"'),
        ("Name;Port", {"host": "System"}, 'no column "System"'),
        ("a.example", {"port": "x"}, "no columns for --column"),
        ("System;Listener", {}, "--column host=NAME"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(line: str, mapping: dict[str, str], words: str) -> None:
    with pytest.raises(InventoryError) as caught:
        shape_of(line, None, mapping)
    assert words in str(caught.value) and str(caught.value).isprintable()


def test_further_columns_of_one_name_become_tags_with_a_number() -> None:
    shape = shape_of("host,Notes,notes,Notes,Notes (2),Notes")
    assert isinstance(shape, CsvColumns)
    assert [name for name, _ in shape.tags] == ["Notes", "notes", "Notes (3)", "Notes (2)", "Notes (4)"]
    assert shape.layout.renamed == [("Notes", "Notes (3)"), ("Notes", "Notes (4)")]
