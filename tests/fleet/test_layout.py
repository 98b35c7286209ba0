"""Tables hold whatever is put into them, and nothing in a cell acts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.layout import LAST_COLUMN, MAX_CELL, markdown_table, markdown_text, text_table
from scanner.text import display_width
from tests.helpers.hostile import TEXTS

ROWS = st.lists(st.tuples(*[st.text(max_size=60) | st.sampled_from(TEXTS)] * 3), max_size=4)


def test_a_text_table() -> None:
    assert text_table(("name", "n", "list"), [("a", "1", "x"), ("long name", "100", "x, y")], (1,)) == (
        "name         n  list\n"
        "---------  ---  ----\n"
        "a            1  x\n"
        "long name  100  x, y"
    )  # fmt: skip


def test_the_last_column_goes_on_below() -> None:
    words = [f"word{number:02}" for number in range(30)]
    lines = text_table(("a", "list"), [("x", ", ".join(words))]).splitlines()[2:]
    assert len(lines) > 2 and all(line.startswith("   word") for line in lines[1:])
    assert max(map(len, lines)) <= 3 + LAST_COLUMN + 1
    assert " ".join(line[3:] for line in lines).split(", ") == words


def test_long_cells_are_shortened() -> None:
    cell, last = text_table(("a", "b"), [("x" * 500, "y" * 500)]).splitlines()[2].split("  ")
    assert display_width(cell) == MAX_CELL and last == "y" * 500


@given(ROWS)
def test_any_text_keeps_a_table_aligned(rows: list[tuple[str, ...]]) -> None:
    lines = text_table(("a", "b", "c"), rows, (1,)).split("\n")
    assert all(line.isprintable() for line in lines) and len(lines) >= 2 + len(rows)


@given(ROWS)
def test_any_text_stays_in_its_markdown_cell(rows: list[tuple[str, ...]]) -> None:
    lines = markdown_table(("a", "b", "c"), rows).split("\n")
    assert len(lines) == 2 + len(rows)
    for line in lines:
        assert line.isprintable() and line.replace("\\\\", "").replace("\\|", "").count("|") == 4
        assert "<" not in line and "](" not in line


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a|b", "a\\|b"), ("<b>", "&lt;b&gt;"), ("[x](y)", "\\[x\\]\\(y\\)"), ("@all", "&#64;all"), ("a\nb", "a\\\\nb")],
)
def test_markdown_text(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_numbers_are_on_the_right_in_markdown() -> None:
    assert markdown_table(("a", "n"), [("x", "1")], (1,)) == "| a | n |\n| --- | ---: |\n| x | 1 |"
