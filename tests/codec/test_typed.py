"""Values of JSON read as what a field's type says, or refused by one error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from scanner.codec.typed import Reading, RecordedError, known, take
from scanner.model.evidence import ClientAuthRequest, Completion, FetchedIssuer, Stage

NONE = Reading(lambda _: None)


@pytest.mark.parametrize(
    ("hint", "value", "read"),
    [
        (str, "a", "a"),
        (int, 5, 5),
        (float, 5, 5.0),
        (bool, True, True),
        (bytes, "AQI=", b"\x01\x02"),
        (Any, {"x": [1]}, {"x": [1]}),
        (str | None, None, None),
        (str | int | None, 7, 7),
        (Literal["a", "b"], "b", "b"),
        (Stage, "done", Stage.DONE),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "x"], (1, "x")),
        (Mapping[str, float], {"a": 1.5}, {"a": 1.5}),
        (Mapping[int, tuple[int, ...]], {"772": [1]}, {772: (1,)}),
        (ClientAuthRequest, {"schemes": [5], "later": 1}, ClientAuthRequest((), (5,))),
    ],
)
def test_what_is_right(hint: Any, value: Any, read: Any) -> None:
    assert take({"field": value}, "field", hint, NONE) == read


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, 1),
        (str, None),
        (int, True),
        (int, 1.0),
        (float, "1"),
        (float, float("inf")),
        (float, True),
        (bool, 1),
        (bytes, "%"),
        (bytes, "AQI"),
        (bytes, [1]),
        (str | int, []),
        (Literal["a"], "b"),
        (Literal["a"], []),
        (Stage, "moon"),
        (Stage, ["done"]),
        (tuple[int, ...], {"a": 1}),
        (tuple[int, str], [1]),
        (Mapping[str, float], [1]),
        (Mapping[int, int], {"x": 1}),
        (ClientAuthRequest, []),
        (Completion, {}),
        (Completion, {"stage": "done", "date": []}),
    ],
)
def test_what_is_wrong(hint: Any, value: Any) -> None:
    with pytest.raises(RecordedError, match=r": not what a finding has there$"):
        take({"field": value}, "field", hint, NONE)


def test_what_is_missing() -> None:
    assert take({}, "field", int, NONE, default=3) == 3
    with pytest.raises(RecordedError, match=r"^field: missing$"):
        take({}, "field", int, NONE)


def test_certificates_are_asked_for_once() -> None:
    asked: list[str] = []

    def certificate_of(sha256: str) -> bytes:
        asked.append(sha256)
        return sha256.encode()

    reading = Reading(certificate_of)
    fetched = {"certificate": "c", "url": "u", "certificates": ["a", "b", "a"]}
    assert known(FetchedIssuer, fetched, reading, frozenset())["certificates"] == (b"a", b"b", b"a")
    assert asked == ["a", "b"]
    with pytest.raises(RecordedError, match=r"the certificate 'x.n' is in none of the files"):
        NONE.certificate("x\n")
