"""Text, numbers and times as JSON holds them: exact, and always valid."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

# Values nested deeper than this in a row's own columns are no inventory; they are written as text.
MAX_TAG_DEPTH: Final = 16
# What JSON readers take for a number without loss, and what orjson writes.
_INTEGERS: Final = range(-(2**63), 2**63)


def text(value: str) -> str:
    """``value``, with lone surrogates, which UTF-8 cannot hold, written as escapes."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def clean(value: Any, depth: int = MAX_TAG_DEPTH) -> Any:
    """``value`` as JSON can hold it: valid text, integers of 64 bits, text for what is anything else."""
    if isinstance(value, str):
        return text(value)
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return value if value in _INTEGERS else str(value)
    if depth > 0:
        if isinstance(value, Mapping):
            return {text(str(key)): clean(item, depth - 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [clean(item, depth - 1) for item in value]
    return text(str(value))


def tags(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row's own columns as JSON can hold them: themselves where they are plain text, as those of a table are."""
    for name, cell in value.items():
        if type(cell) is not str or type(name) is not str or not cell.isascii() or not name.isascii():
            cleaned: Mapping[str, Any] = clean(value)
            return cleaned
    return value


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 text with milliseconds, in UTC."""
    whole = seconds // 1
    if whole != whole:  # of what is not finite nothing is left
        whole = seconds = 0.0
    return f"{_second(whole)}.{int((seconds - whole) * 1000):03d}Z"


@lru_cache(maxsize=16)
def _second(whole: float) -> str:
    """The second as text; thousands of findings begin within the same one."""
    try:
        moment = datetime.fromtimestamp(whole, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.isoformat()[:-6]
