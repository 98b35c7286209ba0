"""When certificates expire: the calendar, and what expires first, exact however many there are."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import expiry as module
from scanner.fleet.stats.expiry import OTHER_DAYS, Expiry, week_of

LEAVES = [("2027-02-11T20:15:44Z", "aa")] * 3 + [("2026-12-31T00:00:00Z", "bb"), ("2027-01-01T00:00:00Z", "cc")]


def test_services_by_day_week_and_month() -> None:
    expiry = Expiry()
    expiry.add(LEAVES)
    shown = expiry.to_json()
    assert shown["by_day"] == {"2026-12-31": 1, "2027-01-01": 1, "2027-02-11": 3}
    assert shown["by_week"] == {"2026-W53": 2, "2027-W06": 3}, "ISO weeks go across the end of the year"
    assert shown["by_month"] == {"2026-12": 1, "2027-01": 1, "2027-02": 3}
    assert shown["certificates"] == [
        {"sha256": "bb", "not_after": "2026-12-31T00:00:00Z", "services": 1},
        {"sha256": "cc", "not_after": "2027-01-01T00:00:00Z", "services": 1},
        {"sha256": "aa", "not_after": "2027-02-11T20:15:44Z", "services": 3},
    ]
    assert expiry.within(date(2027, 1, 1)) == (1, {7: 1, 14: 1, 30: 1, 60: 4, 90: 4})


@pytest.mark.parametrize("text", ["soon", "2027-02-30", "2027-W06-1", "20270211T0", "２０２７-02-11", ""])
def test_dates_that_are_not_dates_count_under_one_name(text: str) -> None:
    expiry = Expiry()
    expiry.add([(text, "aa"), ("2027-02-11T00:00:00Z", "bb")])
    shown = expiry.to_json()
    for calendar in ("by_day", "by_week", "by_month"):
        assert list(shown[calendar].items())[-1] == (OTHER_DAYS, 1)
    assert week_of(text) == text
    assert expiry.within(date(2026, 1, 1))[0] == 0


PAIRS = st.lists(st.tuples(st.integers(0, 40).map(lambda n: f"2027-01-{n % 28 + 1:02}T"), st.sampled_from("abcdef")))


@given(PAIRS, st.integers(0, 40))
def test_the_first_to_expire_are_exact_beyond_every_bound(leaves: list[tuple[str, str]], cut: int) -> None:
    """Whatever is dropped, from whichever part, in whichever order."""
    before = module.MAX_LISTED, module.MAX_KEPT
    module.MAX_LISTED, module.MAX_KEPT = 3, 5  # type: ignore[misc]
    try:
        left, right = Expiry(), Expiry()
        for number, leaf in enumerate(leaves):
            (left if number < cut else right).add([leaf])
        left.merge(pickle.loads(pickle.dumps(right)))
        counted = Counter(leaves)
        first = [(leaf, counted[leaf]) for leaf in sorted(counted)[:3]]
        assert [
            ((one["not_after"], one["sha256"]), one["services"]) for one in left.to_json()["certificates"][:3]
        ] == first
        assert sum(left.days.values()) == len(leaves)
    finally:
        module.MAX_LISTED, module.MAX_KEPT = before  # type: ignore[misc]


def test_days_beyond_the_limit_count_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DAYS", 2)
    expiry = Expiry()
    expiry.add([(f"2027-01-0{day}T", "aa") for day in range(1, 8)])
    assert expiry.days == {"2027-01-01": 1, "2027-01-02": 1, OTHER_DAYS: 5}
