"""Text, numbers and times as JSON can hold them."""

from __future__ import annotations

from typing import Any

import orjson

from scanner.codec.json_safe import safe_text, safe_value, timestamp


def test_lone_surrogates_are_escaped() -> None:
    assert safe_text("plain") == "plain" and safe_text("müller") == "müller" and safe_text("a\x1bb") == "a\x1bb"
    assert safe_text("\ud800") == "\\ud800"


def test_values_of_any_depth_and_type_can_be_written() -> None:
    """Values that refer to themselves, or are nested without end, become text."""
    deep: list[Any] = []
    for _ in range(100):
        deep = [deep]
    assert orjson.dumps(safe_value(deep))
    assert safe_value({1: b"x", "y": (1, 2.5, None, True)}) == {"1": "b'x'", "y": [1, 2.5, None, True]}


def test_times_that_are_no_date_become_the_epoch() -> None:
    assert timestamp(0.0005) == "1970-01-01T00:00:00.000Z"
    assert timestamp(1e300) == "1970-01-01T00:00:00.000Z" == timestamp(float("nan"))
