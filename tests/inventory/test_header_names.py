"""What columns mean by their headers, in any case and punctuation, and which only look like it."""

from __future__ import annotations

import pytest

from scanner.inventory.header_names import (
    EMPTY_CELLS,
    FIELDS,
    MappingError,
    chosen,
    looks_like,
    meaning,
    refuse_twice,
)
from scanner.text import folded


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("FQDN", "host"), ("Host Name", "host"), ("host_name", "host"), ("DNS-Name", "host"), ("主机名", "host"),
        ("Server Name", "host"), ("URL", "host"), ("TCP Port", "port"), ("Port No.", "port"), ("ssl_port", "port"),
        ("HTTPS Port", "port"), ("端口", "port"), ("Port #", "port"), ("IP Address", "address"), ("IP-Adresse", "address"),
        ("ip.address", "address"), ("IPv4", "address"), ("Protokoll", "protocol"), ("PROTO", "protocol"), ("SNI", "sni"),
        ("ID", "id"),
    ],
)  # fmt: skip
def test_names_are_known_in_any_case_and_punctuation(name: str, field: str) -> None:
    found = meaning(name)
    assert found is not None and found[0] == field


@pytest.mark.parametrize("name", ["", "Owner", "Service", "Change-Nr.", "Support", "expect", "Environment", "负责人"])
def test_other_columns_have_no_meaning(name: str) -> None:
    assert meaning(name) is None


def test_every_name_of_the_table_is_written_as_it_is_compared() -> None:
    names = [name for ranks in FIELDS.values() for text in ranks for name in text.split()]
    assert names == [folded(name) for name in names]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["hostname", "domain", "fqdn"], "fqdn"),
        (["name", "fqdn"], "fqdn"),
        (["Domain", "Host Name"], "Host Name"),
        (["domain", "name"], "name"),
        (["hostname", "host"], "host"),
        (["name", "url"], "url"),
    ],
)
def test_the_most_specific_of_several_host_columns_is_the_host(names: list[str], host: str) -> None:
    choice = chosen(names, {})
    assert names[choice.places["host"]] == host
    assert choice.unused == {index: "host" for index, name in enumerate(names) if name != host}


def test_the_port_of_tls_goes_before_a_port_of_anything() -> None:
    choice = chosen(["host", "port", "ssl_port", "http_port"], {})
    assert choice.places["port"] == 2
    assert choice.unused == {1: "port", 3: "port"}


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Listen Port", "port"), ("mgmtPort", "port"), ("httpport2", "port"), ("Backend host", "host"), ("webhost", "host"),
        ("Public DNS", "host"), ("Site URL 2", "host"), ("App Protocol", "protocol"), ("VIP address", "address"),
        ("external_ip", "address"), ("Host", "host"),
    ],
)  # fmt: skip
def test_a_header_that_ends_like_a_known_one_looks_like_it(name: str, field: str) -> None:
    assert looks_like(name) == field


@pytest.mark.parametrize(
    "name",
    [
        "Support", "Report", "Export", "Airport", "Host Owner", "Port speed", "E-Mail Address", "MAC address", "Switch port",
        "Description", "IPAM", "shipping", "", "ID", "Wiki URL", "1", "_",
    ],
)  # fmt: skip
def test_other_headers_look_like_nothing(name: str) -> None:
    assert looks_like(name) is None


@pytest.mark.parametrize("header", ["TCP Port", "tcp_port", "TCPPORT"])
def test_a_mapping_decides_by_hand(header: str) -> None:
    choice = chosen(["host", "port", "TCP Port"], {"port": header})
    assert choice.places == {"host": 0, "port": 2} and choice.unused == {1: "port"}


def test_a_mapping_takes_the_column_from_its_own_meaning() -> None:
    choice = chosen(["host", "name"], {"sni": "host"})
    assert choice.places == {"sni": 0, "host": 1}


@pytest.mark.parametrize(
    ("names", "mapping", "words"),
    [
        (["host", "port"], {"port": "Listener"}, 'no column "Listener"'),
        (["host", "a b", "A_B"], {"port": "ab"}, "more than once"),
        (["host", "x", "x"], {"port": "x"}, "more than once"),
    ],
)
def test_a_mapping_to_a_column_that_is_not_there_is_refused(
    names: list[str], mapping: dict[str, str], words: str
) -> None:
    with pytest.raises(MappingError, match=words):
        chosen(names, mapping)


@pytest.mark.parametrize("names", [["host", "port", "Port"], ["Host Name", "host_name"], ["host", "ip", "IP"]])
def test_a_column_that_decides_and_is_there_twice_is_refused(names: list[str]) -> None:
    places = chosen(names, {}).places
    with pytest.raises(MappingError, match="twice"):
        refuse_twice(names, places, {})
    refuse_twice(names, places, dict.fromkeys(places, ""))


def test_empty_words_are_known_in_the_usual_cases() -> None:
    assert {"-", "n/a", "N/A", "None", "NULL", "tbd", "TBD", "#N/A", "?", "Unknown"} <= EMPTY_CELLS
    assert not {"", "0", "localhost", "a", "no"} & EMPTY_CELLS
