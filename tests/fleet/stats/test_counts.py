"""Counts of one group: what counts where, shares, bounds, and that parts add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import counts as module
from scanner.fleet.stats.counts import (
    OTHER_CAUSES,
    OTHER_CODES,
    CauseCounts,
    GroupCounts,
    causes_seen,
    percent,
    share,
)
from scanner.model.findings import CAUSES, OUTCOMES

CODES = st.tuples(st.sampled_from([*CAUSES[:3], "beyond"]), st.sampled_from(["one", "two"]))
TARGETS = st.lists(
    st.tuples(
        st.sampled_from(OUTCOMES),
        st.none() | st.sampled_from(CAUSES[:4]),
        st.lists(CODES, max_size=3, unique=True),
    ),
    max_size=8,
)


def counted(targets: list[tuple[str, str | None, list[tuple[str, str]]]]) -> GroupCounts:
    counts = GroupCounts()
    for outcome, primary, codes in targets:
        counts.add(outcome, primary, codes)
    return counts


def test_a_target_counts_once_for_a_cause() -> None:
    counts = counted([("fail", "dns", [("dns", "one"), ("dns", "two"), ("revoked", "one")])])
    dns = counts.causes["dns"]
    assert (dns.targets, dns.primary, dns.codes) == (1, 1, {"one": 1, "two": 1})
    assert (counts.causes["revoked"].targets, counts.causes["revoked"].primary) == (1, 0)


def test_a_cause_without_a_diagnosis_is_counted() -> None:
    dns = counted([("fail", "dns", [])]).causes["dns"]
    assert (dns.targets, dns.primary, dns.codes) == (1, 1, {})


@given(TARGETS, st.integers(0, 8))
def test_counts_of_parts_add_up_to_the_whole(
    targets: list[tuple[str, str | None, list[tuple[str, str]]]], cut: int
) -> None:
    left, right = counted(targets[:cut]), counted(targets[cut:])
    right.merge(left)
    whole = counted(targets).to_json()
    assert right.to_json() == whole and whole["findings"] == len(targets)
    assert tuple(whole["causes"])[: len(CAUSES)] == CAUSES


def test_codes_and_causes_beyond_the_limits_count_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CODES", 2)
    monkeypatch.setattr(module, "MAX_CAUSES", 1)
    counts = counted([("fail", None, [("dns", f"code{n}"), (f"cause{n}", "x")]) for n in range(30)])
    assert counts.causes["dns"].codes == {"code0": 1, "code1": 1, OTHER_CODES: 28}
    assert len(counts.causes) <= len(CAUSES) + 2 and counts.causes[OTHER_CAUSES].targets > 0


def test_shares_of_nothing_are_zero() -> None:
    assert share(1, 3) == 0.333333 and share(0, 0) == 0.0
    assert percent(1, 8) == "12.5 %" and percent(0, 0) == "-"


def test_causes_seen_are_ordered_by_frequency() -> None:
    counts = counted([("fail", "dns", []), ("fail", "revoked", []), ("fail", "revoked", [])])
    assert [name for name, _ in causes_seen(counts)] == ["revoked", "dns"]
    assert CauseCounts().to_json(0) == {"targets": 0, "share": 0.0, "primary": 0, "codes": {}}
