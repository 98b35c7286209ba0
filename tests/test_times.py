from __future__ import annotations

import pytest

from scanner.times import moment


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00Z"),
        (1_700_000_000.9, "2023-11-14T22:13:20Z"),
        (1e300, "9999-12-31T23:59:59Z"),
        (float("inf"), "9999-12-31T23:59:59Z"),
        (-1e300, "0001-01-01T00:00:00Z"),
    ],
)
def test_moments_are_rfc_3339_text_within_the_calendar(seconds: float, text: str) -> None:
    assert moment(seconds) == text


def test_moments_with_milliseconds() -> None:
    assert moment(0.25, "milliseconds") == "1970-01-01T00:00:00.250Z"
