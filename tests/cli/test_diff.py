"""``tlsweep diff`` from outside."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import Call, refused
from tests.fleet.test_diff import seen, write


@pytest.fixture
def nights(tmp_path: Path) -> tuple[str, str]:
    """Two files: one target failed since."""
    old, new = [seen("a.example"), seen("b.example")], [seen("a.example", "fail", "dns"), seen("b.example")]
    return write(tmp_path / "old.ndjson", old), write(tmp_path / "new.ndjson", new)


def test_the_table_and_the_exit_status(call: Call, nights: tuple[str, str]) -> None:
    plain = call("diff", *nights)
    assert (plain.status, plain.err) == (0, "")
    assert "New failures" in plain.out

    assert call("diff", *nights, "--fail-on", "new").status == 1
    assert call("diff", *nights, "--fail-on", "fixed,vanished").status == 0


def test_json_is_one_document(call: Call, nights: tuple[str, str]) -> None:
    document = orjson.loads(call("diff", *nights, "--format", "json").out)
    assert document["counts"]["new"] == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{old}"], "two files"),
        (["{old}", "/nowhere"], "cannot read"),
        (["{old}", "{new}", "--fail-on", "everything"], "none of"),
        (["{empty}", "{new}"], "holds no findings"),
        (["-", "-"], "standard input"),
    ],
)
def test_what_cannot_be_compared(
    call: Call, nights: tuple[str, str], tmp_path: Path, words: list[str], reason: str
) -> None:
    (tmp_path / "empty").touch()
    places = {"old": nights[0], "new": nights[1], "empty": str(tmp_path / "empty")}
    assert reason in refused(call("diff", *(word.format(**places) for word in words)))
