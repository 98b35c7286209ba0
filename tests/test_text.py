"""Text from outside never acts on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.text import display_width, pad, printable, quoted, shorten, span


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("", ""),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("nul\0", "nul\\x00"),
        ("\x9b31m", "\\x9b31m"),
        ("exe.\u202efdp", "exe.\\u202efdp"),
        ("\u2066isolate\u2069", "\\u2066isolate\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028sep", "line\\u2028sep"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("Bücher 書店 é", "Bücher 書店 é"),
        ("back\\slash", "back\\slash"),
    ],
)
def test_printable_escapes(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_stacked_combining_marks_are_escaped() -> None:
    shown = printable("a" + "\u0301" * 50)
    assert sum(1 for character in shown if unicodedata.combining(character)) == 4


@given(st.text(st.characters(exclude_categories=())))
def test_printable_is_always_printable_and_encodable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_shorten_and_quote() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"
    assert quoted("a\nb") == '"a\\nb"'
    assert len(quoted("\x1b" * 1_000_000)) <= 82


def test_width_counts_columns() -> None:
    assert display_width("abc") == 3
    assert display_width("書店") == 4
    assert display_width("e\u0301") == 1
    assert pad("書", 4) == "書  "
    assert pad("7", 3, right=True) == "  7"
    assert pad("long", 2) == "long"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (90, "90 seconds"),
        (150, "2 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (3 * 86_400, "3 days"),
        (5000 * 86_400, "5,000 days"),
    ],
)
def test_spans_of_time(seconds: float, words: str) -> None:
    assert span(seconds) == words
