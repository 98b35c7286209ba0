"""Text, numbers and times made into what JSON can hold, and otherwise kept exactly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from scanner.caching import bounded_memo

# What an inventory has in its own columns is flat, or nested a few times; anything deeper is written as text.
MAX_TAG_DEPTH: Final = 16
# Integers that orjson writes, and that readers of JSON take without loss.
_INTEGERS: Final = range(-(2**63), 2**63)


def safe_text(value: str) -> str:
    """Return ``value`` with each lone surrogate, which UTF-8 cannot hold, written as an escape."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def safe_value(value: Any, depth: int = MAX_TAG_DEPTH) -> Any:
    """Return ``value`` as JSON can hold it: valid text, integers of 64 bits, and text in place of other types."""
    if isinstance(value, str):
        return safe_text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else str(value)
    if depth > 0:
        if isinstance(value, Mapping):
            return {safe_text(str(key)): safe_value(item, depth - 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [safe_value(item, depth - 1) for item in value]
    return safe_text(str(value))


def safe_tags(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row's own columns as JSON can hold them. Plain ASCII text, which is all that most tables have, is not copied."""
    for name, cell in value.items():
        if type(cell) is not str or type(name) is not str or not cell.isascii() or not name.isascii():
            cleaned: Mapping[str, Any] = safe_value(value)
            return cleaned
    return value


def timestamp(seconds: float) -> str:
    """Format seconds since the epoch as RFC 3339 text in UTC, with milliseconds. What is not finite becomes the epoch."""
    whole = seconds // 1
    if whole != whole:  # the remainder of an infinity or NaN is NaN
        whole = seconds = 0.0
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@bounded_memo(16, None)
def _second(whole: float) -> str:
    """Format the second without its zone. Thousands of findings begin within one second."""
    try:
        moment = datetime.fromtimestamp(whole, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat()[:-6]
