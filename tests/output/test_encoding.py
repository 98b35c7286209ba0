"""One line a record, whatever the record holds."""

from __future__ import annotations

from typing import Any

import orjson

from scanner.output import dumps_line


def test_values_that_json_does_not_have_are_written_as_text() -> None:
    deep: list[Any] = []
    for _ in range(1000):
        deep = [deep]
    record = {"a": "x\ud800", "b\udfff": 2**70, "c": b"\xff", "d": deep, "e": {1, 2}, "f": (1, None, 1.5)}
    read = orjson.loads(dumps_line(record))
    assert (read["a"], read["b\\udfff"], read["e"], read["f"]) == ("x\\ud800", str(2**70), [1, 2], [1, None, 1.5])
    fragment = {"a": "x\ud800", "b": orjson.Fragment(b'{"c":1}')}
    assert orjson.loads(dumps_line(fragment)) == {"a": "x\\ud800", "b": {"c": 1}}
    assert b"\n" not in dumps_line({"a": "line\nbreak"})[:-1]
