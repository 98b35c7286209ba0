"""JSON values are converted to a type or refused with one error that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pytest

from scanner.codec.decode import RecordedError, decode, decode_fields
from scanner.model.evidence import ClientAuthRequest, Completion, EndpointEvidence, Probe, Stage


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
def test_values_of_the_right_type_are_converted(hint: Any, value: Any, read: Any) -> None:
    assert decode(value, hint, "field") == read


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (str, 1),
        (str, None),
        (int, True),
        (int, 1.0),
        (float, "1"),
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
        (Completion, {"stage": "done", "date": []}),
    ],
)
def test_values_of_another_type_are_refused(hint: Any, value: Any) -> None:
    with pytest.raises(RecordedError, match=r": not what a finding has there$"):
        decode(value, hint, "field")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Completion, {}, "stage: missing"),
        (Completion, {"stage": "moon"}, "stage: not what"),
        (Probe, {"offer": "modern", "sni": None, "stage": "done", "flight": {"scts": ["%"]}}, "scts: not what"),
        (Mapping[str, Completion], {"a.b`": {"stage": "done", "offered": ["AQI=", 1]}}, "offered: not what"),
        (Mapping[str, Completion], {"a.b`": 1}, "field: not what"),
    ],
)
def test_the_message_names_the_innermost_field(kind: Any, values: Any, message: str) -> None:
    with pytest.raises(RecordedError) as caught:
        decode(values, kind, "field")
    assert str(caught.value).startswith(message)


def test_only_fields_that_were_written_are_returned() -> None:
    written = {"accepted": {"772": [1]}, "address": 1, "later": True}
    assert decode_fields(written, EndpointEvidence, ("address", "probe")) == {"accepted": {772: (1,)}}
    with pytest.raises(RecordedError, match=r"^address: not what"):
        decode_fields(written, EndpointEvidence, ())
    with pytest.raises(RecordedError, match=r"^observed: not what"):
        decode_fields([], EndpointEvidence, ())
