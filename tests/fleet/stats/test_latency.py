"""Quantiles: right to one percent, and the same however the durations were put together."""

from __future__ import annotations

import pickle
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats.latency import LEAST, MOST, RELATIVE_ACCURACY, Latency

MILLISECONDS = st.floats(0, 2 * MOST, allow_nan=False) | st.integers(0, 10**6).map(lambda n: n / 1000)


def sketch(*parts: list[float]) -> Latency:
    whole = Latency()
    for part in parts:
        latency = Latency()
        latency.add("connect", part)
        whole.merge(pickle.loads(pickle.dumps(latency)))
    return whole


def test_quantiles_are_right_to_the_relative_accuracy() -> None:
    durations = [1 + number / 100 for number in range(10_000)]
    shown = sketch(durations).to_json()
    assert list(shown) == ["connect"] and shown["connect"]["count"] == 10_000
    cuts = quantiles(durations, n=100)
    for name, true in (("p50", cuts[49]), ("p90", cuts[89]), ("p99", cuts[98]), ("max", durations[-1])):
        assert shown["connect"][name] == pytest.approx(true, rel=2 * RELATIVE_ACCURACY)


@given(st.lists(st.lists(MILLISECONDS, max_size=20), max_size=5))
def test_parts_add_up_to_the_whole(parts: list[list[float]]) -> None:
    whole = sketch([duration for part in parts for duration in part])
    assert sketch(*parts).to_json() == sketch(*reversed(parts)).to_json() == whole.to_json()


@given(MILLISECONDS)
def test_one_duration_is_all_its_quantiles(duration: float) -> None:
    shown = sketch([duration]).to_json()["connect"]
    within = min(max(duration, LEAST), MOST)
    assert shown["p50"] == shown["max"] == pytest.approx(within, rel=1.1 * RELATIVE_ACCURACY, abs=0.001)


def test_stages_without_durations_are_left_out() -> None:
    latency = Latency()
    latency.add("starttls", [])
    assert latency.to_json() == {}
