"""The message about a comparison: small, whatever was compared, and nothing in its text acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from scanner.fleet.diff.comparison import Diff
from scanner.fleet.diff.message import MAX_BYTES, MAX_NAMED, NAMED, message
from scanner.fleet.diff.target_states import CATEGORIES
from tests.fleet.diff.test_comparison import FAIL, seen, write
from tests.fleet.diff.test_diff_tables import EVIL, some


def sent(tmp_path: Path, old: list[dict[str, Any]], new: list[dict[str, Any]], *matched: str) -> dict[str, Any]:
    paths = [write(tmp_path / "old.ndjson", old), write(tmp_path / "new.ndjson", new, b"torn")]
    with Diff(paths) as diff:
        raw = message(diff, matched)
    assert len(raw) <= MAX_BYTES
    document: dict[str, Any] = orjson.loads(raw)
    assert tuple(document["targets"]) == NAMED
    assert set(document["counts"]) == {*CATEGORIES, "unchanged"}
    return document


def test_the_message_counts_and_names_targets(tmp_path: Path) -> None:
    document = sent(tmp_path, *some(), "new")
    assert document["text"] == "tlsweep: new failures: 1, fixed: 1, vanished: 1, certificates replaced: 1"
    assert document["matched"] == ["new"]
    assert document["new"]["unreadable_lines"] == 1
    assert document["old"]["path"].endswith("old.ndjson")
    assert document["targets"]["new"] == [
        {"target": "was-fine.example:443", "row": 1, "was": "ok", "is": "revoked", "codes": ["code-of-revoked"]}
    ]
    assert document["targets"]["vanished"][0]["is"] is None


def test_the_message_where_nothing_changed(tmp_path: Path) -> None:
    assert sent(tmp_path, [seen("a.example")], [seen("a.example")])["text"] == "tlsweep: nothing changed"


def test_only_the_first_are_named(tmp_path: Path) -> None:
    hosts = [f"h{number:03}.example" for number in range(100)]
    document = sent(tmp_path, [seen(host) for host in hosts], [seen(host, *FAIL) for host in hosts])
    assert document["counts"]["new"] == 100
    assert len(document["targets"]["new"]) == MAX_NAMED


def test_hostile_names_are_cut_and_stay_out_of_the_text(tmp_path: Path) -> None:
    hosts = [EVIL + "\x01" * 5000 + str(number) for number in range(40)]
    old = [seen(host, run=EVIL * 1000) for host in hosts]
    new = [seen(host, "fail", "\x02" * 9000, run=EVIL * 1000) for host in hosts]
    document = sent(tmp_path, old, new)
    assert document["text"] == "tlsweep: new failures: 40"
    assert document["targets"]["new"]
