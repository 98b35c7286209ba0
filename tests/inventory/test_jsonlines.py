"""NDJSON inventories: tags keep their types, and every malformed line is an invalid row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.inventory import InventoryError, open_inventory
from scanner.model.evidence import InvalidRow, Target
from tests.inventory.rows import PROTOCOLS, hosts, read, reason, target


def one(tmp_path: Path, value: Any) -> Target | InvalidRow:
    (row,) = read(tmp_path, orjson.dumps(value) + b"\n") if isinstance(value, dict) else read(tmp_path, value)
    return row


def test_known_keys_become_fields_and_others_tags_of_their_type(tmp_path: Path) -> None:
    tags = {"owner": None, "weight": 1.5, "live": True, "list": [1, {"a": []}], "tags": {"x": 1}, "row": 9}
    row = one(
        tmp_path,
        {"Host": "a.example", "port": 8443, "protocol": "https", "sni": None, "ip": "192.0.2.1", "id": 7, **tags},
    )
    assert row == Target(1, "a.example", 8443, "https", "a.example", "192.0.2.1", 7, tags)


@pytest.mark.parametrize(("port", "read_as"), [(25, 25), ("25", 25), (25.0, 25), (None, 443), ("", 443)])
def test_a_port_is_a_number_or_text(tmp_path: Path, port: Any, read_as: int) -> None:
    assert target(one(tmp_path, {"host": "a.example", "port": port})).port == read_as


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"port": 1}, "none of host, fqdn"),
        ({"host": None}, "the host is empty"),
        ({"host": True}, "host is not a string"),
        ({"host": ["a.example"]}, "host is not a string"),
        ({"host": "a.example", "port": True}, "port is not a whole number"),
        ({"host": "a.example", "port": 1.5}, "port is not a whole number"),
        ({"host": "a.example", "port": 1e300}, "port is not a whole number"),
        ({"host": "a.example", "port": -1}, "1 to 65535"),
        ({"host": "a.example", "sni": 1}, "sni is not a string"),
        ({"host": "a.example", "id": 1.5}, "id is neither"),
        ({"host": "a.example", "id": {}}, "id is neither"),
        (b'{"host": "a.example"', "not JSON"),
        (b'{"host": "a.example"} {}', "not JSON"),
        (b'{"host": "\\ud800"}', "not JSON"),
        (b'{"host": ' + b"[" * 30_000, "not JSON"),
        (b'{"host": "a.example", "x": "' + b"y" * 70_000 + b'"}', "longer than 65536 bytes"),
        (b'{"host": "a.example", "x": ' + b"[" * 40 + b"]" * 40 + b"}", "nested more than 32"),
    ],
)
def test_a_broken_row_has_a_reason(tmp_path: Path, value: Any, words: str) -> None:
    row = one(tmp_path, value)
    assert words in reason(row)
    orjson.dumps(row.tags)


def test_a_broken_line_is_one_row(tmp_path: Path) -> None:
    rows = read(tmp_path, '{"host":"a.example"}\n\n# note\n[1]\n"b.example"\n12\n{"host":"c.example"}\r\n')
    assert hosts(rows) == ["a.example", None, None, None, "c.example"]
    assert reason(rows[1]) == "line 4: the line is JSON but not an object"


def test_the_preferred_of_two_host_keys_is_the_host(tmp_path: Path) -> None:
    row = target(one(tmp_path, {"name": "n", "Host": "big", "host": "a.example", "domain": "d"}))
    assert row.host == "a.example"
    assert row.tags == {"name": "n", "Host": "big", "domain": "d"}
    assert target(one(tmp_path, {"host": "a", "FQDN": "a.example"})).host == "a.example"


def test_a_line_that_is_not_utf8_is_read_as_latin1(tmp_path: Path) -> None:
    row = target(one(tmp_path, b'{"host":"b\xfccher.example","owner":"J\xf6rg"}'))
    assert (row.host, row.tags) == ("xn--bcher-kva.example", {"owner": "Jörg"})


def test_more_keys_than_are_cached_still_become_tags(tmp_path: Path) -> None:
    lines = b"".join(b'{"host":"a.example","k%d":1}\n' % number for number in range(12_000))
    rows = read(tmp_path, lines)
    assert rows[-1].tags == {"k11999": 1} and len(rows) == 12_000


def test_keys_are_matched_like_a_header_and_empty_words_are_empty(tmp_path: Path) -> None:
    row = target(one(tmp_path, {"FQDN": " a.example ", "TCP Port": "8443", "IP Address": "n/a", " Owner ": " web "}))
    assert (row.host, row.port, row.address, row.tags) == ("a.example", 8443, None, {"Owner": " web "})


def test_a_mapping_decides_which_key_is_used(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_bytes(b'{"fqdn":"a.example","mgmt":"b.example","listener":8443}\n{"fqdn":"c.example"}\n')
    columns = {"host": "mgmt", "port": "Listener"}
    rows = list(open_inventory(str(path), protocols=PROTOCOLS, columns=columns).rows)
    assert (target(rows[0]).host, target(rows[0]).port) == ("b.example", 8443)
    assert rows[0].tags == {"fqdn": "a.example"} and "none of" in reason(rows[1])


@pytest.mark.parametrize("columns", [{"port": "listener"}, {"host": "mgmt"}])
def test_a_mapping_to_a_key_that_no_row_has_is_refused(tmp_path: Path, columns: dict[str, str]) -> None:
    path = tmp_path / "inventory"
    path.write_bytes(b'{"host":"a.example","port":1}\n')
    with pytest.raises(InventoryError, match="no column"):
        open_inventory(str(path), protocols=PROTOCOLS, columns=columns)


def test_the_keys_of_the_first_rows_are_told_and_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "inventory"
    path.write_bytes(b'{"host":"a.example"}\n{"host":"b.example","http_port":8080,"where":"192.0.2.1"}\n' * 2)
    layout = open_inventory(str(path), protocols=PROTOCOLS).layout
    assert layout.used == {"host": "host"} and layout.unused == {"http_port": "port", "where": "address"}
