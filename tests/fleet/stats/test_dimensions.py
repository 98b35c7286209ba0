"""Columns that every finding has, of real findings and of any others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats.dimensions import BUILT_IN
from scanner.fleet.stats.run_counts import RunCounts
from tests.helpers.made import RUN, certificate, diagnosis, finding, sha256

MADE = finding(
    7,
    "www.shop.example",
    diagnosis("expires-soon"),
    endpoint={"application": {"question": "http", "server": "nginx/1.22.1 (Debian)"}},
)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("protocol", "tls"),
        ("port", 443),
        ("host", "www.shop.example"),
        ("sni", "www.shop.example"),
        ("outcome", "warn"),
        ("stage", "done"),
        ("cause", None),
        ("run", RUN),
        ("domain", "shop.example"),
        ("issuer", "CN=Made CA"),
        ("key", "ec:P-256"),
        ("key_type", "ec"),
        ("signature", "ecdsa-with-SHA256"),
        ("certificate", sha256("www.shop.example")),
        ("server", "nginx"),
        ("server_version", "nginx/1.22.1 (Debian)"),
        ("family", "IPv4"),
        ("version", "TLSv1.3"),
        ("cipher", "TLS_AES_128_GCM_SHA256"),
        ("group", "x25519"),
        ("alpn", "h2"),
    ],
)
def test_every_built_in_column(column: str, value: Any) -> None:
    assert BUILT_IN[column](MADE) == value


def test_the_first_address_that_has_the_field() -> None:
    two = finding(endpoint={"version": None, "address": "2001:db8::1"})
    two["endpoints"].append({**two["endpoints"][0], "address": "192.0.2.1", "version": "TLSv1.2"})
    assert BUILT_IN["version"](two) == "TLSv1.2" and BUILT_IN["family"](two) == "IPv6"


@pytest.mark.parametrize(
    ("server", "product"),
    [("Apache", "Apache"), ("Microsoft-IIS/10.0", "Microsoft-IIS"), ("/5", "/5"), ("", None), (5, None), (None, None)],
)
def test_products(server: Any, product: str | None) -> None:
    assert BUILT_IN["server"](finding(endpoint={"application": {"server": server}})) == product


def test_a_certificate_whose_key_is_not_known() -> None:
    assert BUILT_IN["key_type"](finding(leaf={**certificate("a"), "key": None})) is None
    assert BUILT_IN["key_type"](finding(endpoints=[])) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["address", "version", "chain", "application", "server", "sha256", "key"]), inner
        )
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["endpoints", "certificates", "cause", "stage", "run"]), ANYTHING), ANYTHING)
def test_no_finding_is_too_odd(made: dict[str, Any], value: Any) -> None:
    stats = RunCounts([*BUILT_IN, "tag"])
    stats.add({**finding(tags={"tag": value}), **made})
    stats.add({"outcome": "ok", "target": {"host": value, "port": value, "tags": value}})
    assert stats.total.findings == 2
    stats.to_json()


def test_values_deeper_than_anything_written() -> None:
    deep: Any = 0
    for _ in range(900):
        deep = [deep]
    stats = RunCounts(["tag"])
    stats.add(finding(tags={"tag": deep}))
    stats.add(finding(tags={"tag": {"b": 1, "a": 2}}))
    stats.add(finding(tags={"tag": {"a": 2, "b": 1}}))
    assert {value: tally.findings for value, tally in stats.by["tag"].items()} == {"(list)": 1, '{"a":2,"b":1}': 2}
