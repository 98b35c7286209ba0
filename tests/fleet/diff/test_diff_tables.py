"""The comparison for readers: all of it in JSON, the most of it in tables, nothing that acts in either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from scanner.fleet.diff.comparison import Diff
from scanner.fleet.diff.diff_tables import FORMATS, MAX_SHOWN
from scanner.fleet.diff.target_states import CATEGORIES
from tests.fleet.diff.test_comparison import B, seen, write

EVIL = 'a\x1b[31m|<script>alert(1)</script>\n"`*_[x](y).example'


def printed(tmp_path: Path, form: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> str:
    paths = [write(tmp_path / "old.ndjson", old), write(tmp_path / "new.ndjson", new, b"torn")]
    with Diff(paths) as diff:
        return "".join(FORMATS[form](diff))


def some() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    old = [
        seen("was-fine.example"),
        seen("was-broken.example", "fail", "dns"),
        seen("gone.example"),
        seen("cert.example"),
    ]
    new = [
        seen("was-fine.example", "fail", "revoked"),
        seen("was-broken.example"),
        seen("cert.example", leaf=B, issuer="CN=Two"),
    ]
    return old, new


def test_json_has_everything(tmp_path: Path) -> None:
    document = orjson.loads(printed(tmp_path, "json", *some()))

    assert document["schema"] == "tlsweep-diff/1"
    assert [file["unreadable_lines"] for file in document["files"]] == [0, 1]
    assert document["counts"] == {name: len(document[name]) for name in CATEGORIES} | {"unchanged": 0}
    (new,) = document["new"]
    assert new["target"]["host"] == "was-fine.example"
    assert (new["old"]["outcome"], new["new"]["outcome"], new["new"]["cause"]) == ("ok", "fail", "revoked")
    assert new["new"]["codes"] == ["code-of-revoked"]
    assert document["replaced"][0]["same_issuer"] is False
    assert document["vanished"][0]["new"] is None


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_tables_list_every_category(tmp_path: Path, form: str) -> None:
    text = printed(tmp_path, form, *some())
    for words in ("New failures", "Fixed", "Vanished", "revoked", "CN", "1 unreadable line"):
        assert words in text


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_long_lists_are_cut_and_say_so(tmp_path: Path, form: str) -> None:
    hosts = [f"h{number:03}.example" for number in range(MAX_SHOWN + 5)]
    text = printed(tmp_path, form, [seen(host) for host in hosts], [seen(host, "fail", "dns") for host in hosts])
    assert "h000" in text
    assert f"h{MAX_SHOWN + 4:03}" not in text
    assert "and 5 more" in text


def test_text_from_findings_is_escaped_in_every_format(tmp_path: Path) -> None:
    evil = seen(EVIL, "fail", EVIL, leaf=B, issuer=EVIL)
    for form in FORMATS:
        text = printed(tmp_path, form, [seen(EVIL)], [evil])
        assert "\x1b" not in text
        if form == "json":
            assert orjson.loads(text)["new"][0]["target"]["host"] == EVIL
        else:
            assert EVIL not in text
        if form == "markdown":
            assert "<script>" not in text
            assert "[x](y)" not in text
            assert all(line.count("|") - line.count("\\|") in (0, 3, 6) for line in text.splitlines())


def test_prometheus_counts_every_category(tmp_path: Path) -> None:
    lines = printed(tmp_path, "prometheus", *some()).splitlines()
    assert [line.split()[1] for line in lines[:2]] == ["HELP", "TYPE"]
    assert 'tlsweep_diff_targets{change="new"} 1' in lines
    assert len(lines) == 2 + len(CATEGORIES) + 1


def test_a_file_name_that_is_not_utf_8_is_shown_with_an_escape(tmp_path: Path) -> None:
    path = write(tmp_path / "caf\udce9.ndjson", [seen("a.example")])
    with Diff([path, path]) as diff:
        texts = {form: "".join(make(diff)) for form, make in FORMATS.items()}
    assert orjson.loads(texts["json"])["files"][0]["path"].endswith("/caf\ufffd.ndjson")
    assert r"caf\udce9.ndjson" in texts["table"] and "udce9" in texts["markdown"]
    assert texts["prometheus"].isascii()


def test_a_target_without_a_port(tmp_path: Path) -> None:
    text = printed(tmp_path, "table", [seen("a.example")], [seen("a.example"), seen("b.example", "invalid", port=None)])
    assert "b.example  " in text
    assert "None" not in text
