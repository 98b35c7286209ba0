"""Findings of one run and row that were counted already, in any order and from any part."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import duplicates as module
from scanner.fleet.stats.duplicates import Duplicates

ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 60) | st.integers(0, 10**5)), max_size=40)


def counted(rows: list[tuple[str, int]], together: int = 1) -> Duplicates:
    duplicates = Duplicates()
    for start in range(0, len(rows), together):
        for run in sorted({run for run, _ in rows[start : start + together]}):
            duplicates.add(run, [row for of, row in rows[start : start + together] if of == run])
    return duplicates


@given(ROWS, st.integers(0, 40), st.integers(1, 9))
def test_each_beyond_the_first_counts(rows: list[tuple[str, int]], cut: int, together: int) -> None:
    expected = len(rows) - len(set(rows))
    assert counted(rows, together).count == expected
    left, right = counted(rows[:cut]), counted(rows[cut:])
    left.merge(pickle.loads(pickle.dumps(right)))
    assert left.count == expected
    right.merge(counted(rows[:cut]))
    assert right.count == expected


def test_a_file_given_twice_has_every_row_twice() -> None:
    rows = [("a", row) for row in range(1, 10_000)]
    assert counted([*rows, *rows[::-1]], 250).count == len(rows)


def test_huge_row_numbers_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    duplicates = counted([("a", 10**18), ("a", 10**18), ("a", 1 << 24), ("a", 3), ("a", 3)])
    assert duplicates.count == 1
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    many = Duplicates()
    for run in range(30):
        many.add(f"{run}", [8 * 500, 8 * 500])
    assert many.count == 2 and sum(map(len, many._seen.values())) < 2000
    many.merge(duplicates)
    assert many.count == 3


def test_runs_beyond_the_limit_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RUNS", 2)
    assert counted([(run, 1) for run in "abcabc"]).count == 2
    left = counted([("a", 1), ("b", 1)])
    left.merge(counted([("c", 1), ("c", 1), ("a", 1)]))
    assert left.count == 2
