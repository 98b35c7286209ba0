"""Findings met twice are counted, in any order and from any part."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import duplicates as module
from scanner.fleet.stats.duplicates import Duplicates

ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60) | st.integers(0, 10**5)), max_size=40)


def noted(rows: list[tuple[str, int]], waiting: int = 4) -> Duplicates:
    repeats = Duplicates()
    before, module.MAX_WAITING = module.MAX_WAITING, waiting  # type: ignore[misc]
    try:
        for run, row in rows:
            repeats.add(run, [row])
    finally:
        module.MAX_WAITING = before  # type: ignore[misc]
    return repeats


@given(ROWS, st.integers(0, 40))
def test_each_beyond_the_first_counts(rows: list[tuple[str, int]], cut: int) -> None:
    expected = len(rows) - len(set(rows))
    assert noted(rows).count == expected
    left, right = noted(rows[:cut]), noted(rows[cut:])
    left.merge(pickle.loads(pickle.dumps(right)))
    assert left.count == expected
    right.merge(noted(rows[:cut]))
    assert right.count == expected


def test_a_file_given_twice() -> None:
    rows = [("a", row) for row in range(1, 10_000)]
    assert noted([*rows, *rows[::-1]], 2048).count == len(rows)


def test_rows_beyond_belief_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = noted([("a", 10**18), ("a", 10**18), ("a", 1 << 24), ("a", 3), ("a", 3)])
    assert repeats.count == 1
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    many = Duplicates()
    for run in range(30):
        many.add(f"{run}", [8 * 500, 8 * 500])
    assert many.count == 2 and sum(map(len, many._rows.values())) < 2000
    many.merge(repeats)
    assert many.count == 3


def test_runs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 2)
    assert noted([(run, 1) for run in "abcabc"]).count == 2
    left = noted([("a", 1), ("b", 1)])
    left.merge(noted([("c", 1), ("c", 1), ("a", 1)]))
    assert left.count == 2
