"""Counts of one group: what counts where, shares, bounds, and that parts add up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import counts as module
from scanner.fleet.stats.counts import (
    OTHER_CAUSES,
    OTHER_CODES,
    OUTCOMES,
    CauseCounts,
    GroupCounts,
    causes_seen,
    percent,
    share,
)
from scanner.model.findings import CAUSES

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
    tally = GroupCounts()
    for outcome, primary, codes in targets:
        if codes or primary:
            tally.add(outcome, primary, codes)
        else:
            tally.add_quiet(outcome, 1)
    return tally


def test_a_target_counts_once_for_a_cause() -> None:
    tally = counted([("fail", "dns", [("dns", "one"), ("dns", "two"), ("revoked", "one")])])
    dns = tally.causes["dns"]
    assert (dns.targets, dns.primary, dns.codes) == (1, 1, {"one": 1, "two": 1})
    assert (tally.causes["revoked"].targets, tally.causes["revoked"].primary) == (1, 0)


def test_a_cause_without_a_diagnosis_counts_all_the_same() -> None:
    dns = counted([("fail", "dns", [])]).causes["dns"]
    assert (dns.targets, dns.primary, dns.codes) == (1, 1, {})


@given(TARGETS, st.integers(0, 8))
def test_parts_add_up(targets: list[tuple[str, str | None, list[tuple[str, str]]]], cut: int) -> None:
    left, right = counted(targets[:cut]), counted(targets[cut:])
    right.merge(left)
    whole = counted(targets).to_json()
    assert right.to_json() == whole and whole["findings"] == len(targets)
    assert tuple(whole["causes"])[: len(CAUSES)] == CAUSES


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CODES", 2)
    monkeypatch.setattr(module, "MAX_CAUSES", 1)
    tally = counted([("fail", None, [("dns", f"code{n}"), (f"cause{n}", "x")]) for n in range(30)])
    assert tally.causes["dns"].codes == {"code0": 1, "code1": 1, OTHER_CODES: 28}
    assert len(tally.causes) <= len(CAUSES) + 2 and tally.causes[OTHER_CAUSES].targets > 0


def test_shares() -> None:
    assert share(1, 3) == 0.333333 and share(0, 0) == 0.0
    assert percent(1, 8) == "12.5 %" and percent(0, 0) == "-"


def test_those_that_were_met() -> None:
    tally = counted([("fail", "dns", []), ("fail", "revoked", []), ("fail", "revoked", [])])
    assert [name for name, _ in causes_seen(tally)] == ["revoked", "dns"]
    assert CauseCounts().to_json(0) == {"targets": 0, "share": 0.0, "primary": 0, "codes": {}}
