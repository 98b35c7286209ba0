"""Encodes a record as one line of JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from scanner.text import shorten


def dumps_line(record: Mapping[str, Any]) -> bytes:
    """Return a record as a line of JSON. Values that JSON does not have are written as text."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_writable(record, 0), option=orjson.OPT_APPEND_NEWLINE)


# Deeper than any record of ours; what is below is written as text.
_MAX_DEPTH: Final = 100


def _writable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, float, orjson.Fragment)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {_writable(str(key), depth + 1): _writable(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [_writable(item, depth + 1) for item in value]
    return _writable(shorten(repr(value) if depth < _MAX_DEPTH else "...", 1000), depth)
