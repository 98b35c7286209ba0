"""Malformed findings: real ones, with each field in turn replaced by each kind of absurd value."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

# Control sequences and markup of terminals, HTML, CSV, Markdown, Prometheus and SQL.
ESCAPES: Final = (
    "\x1b]0;owned\x07\x1b[31mred\u202e\x9b2J\r\nnext\x00end<script>alert(1)</script>"
    "\"'=cmd|' /C calc'!A0|`x`\\{a=\"b\"}; DROP TABLE"
)
ABSENT: Final = object()
# JSON that orjson does not write: such numbers, lone surrogates, duplicate keys.
RAW: Final = (
    b"1e400", b"-1e400", b"NaN", b"1e308", b"123456789012345678901234567890", b"-9223372036854775809", b"18446744073709551615",
    b'"\\ud800"', b'"\\udfff\\ud800x"', b'{"a":1,"a":2}', b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"-0.0",
    b"[" * 200 + b"]" * 200,
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    ABSENT, None, True, 0, -1, 1.5, 2**63, 1e300, "", "NaN", ESCAPES, "x" * 100_000, [], {}, [None], [[[]]], {"": None}, [ESCAPES],
    {ESCAPES: ESCAPES}, "9999999-01-01T00:00:00Z", "10000-12-31T23:59:59.999Z", "0000-00-00T00:00:00Z", "-1-1-1", "2026-02-30T25:61:61Z",
    "\ud7ff\ue000\ufeff", "256.256.256.256", "::1%eth0", "a" * 64, "../../../etc/passwd", ["a", 1, None, {}], "2026-11-23T01:02:03.456Z",
)  # fmt: skip
_MARK: Final = b'"\xef\xbf\xbemark"'


def paths(value: Any, at: tuple[str | int, ...] = (), *, items: int = 2) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every field; only the first ``items`` of each list."""
    if at:
        yield at
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from paths(inner, (*at, key), items=items)
    elif isinstance(value, list):
        for number, inner in enumerate(value[:items]):
            yield from paths(inner, (*at, number), items=items)


def replaced(finding: Mapping[str, Any], at: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return a copy with another value at a path, or without it."""
    made: Any = copy.deepcopy(finding)
    place = made
    for step in at[:-1]:
        place = place[step]
    if value is ABSENT:
        del place[at[-1]]
    else:
        place[at[-1]] = value
    return made  # type: ignore[no-any-return]


def forged(findings: Iterable[Mapping[str, Any]], *, every: int = 1) -> Iterator[bytes]:
    """Yield lines with one field replaced, each field by each value; with ``every``, only every so manieth of them."""
    number = 0
    for finding in findings:
        for at in paths(finding):
            for value in (*VALUES, *RAW):
                number += 1
                if number % every:
                    continue
                if isinstance(value, bytes):
                    yield orjson.dumps(replaced(finding, at, "\ufffemark")).replace(_MARK, value) + b"\n"
                else:
                    yield orjson.dumps(replaced(finding, at, value)) + b"\n"
