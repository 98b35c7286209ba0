"""What is memoised of a kind of finding is what each of them would give by itself, and it is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.caching import Cache
from scanner.fleet.stats import finding_kinds as module
from scanner.fleet.stats.finding_kinds import Kind, kind_of
from scanner.fleet.stats.shared_causes import NOTE_CODES_WITH_ROOTS, roots_of
from tests.helpers.made import diagnosis, finding

odd = st.sampled_from([None, True, 1, 1.0, "", "x", [], {}, ["x"], {"code": "nxdomain"}])
codes = st.sampled_from(
    ["nxdomain", "certificate-expired", "revocation-unknown", "captive-portal", "strange", *NOTE_CODES_WITH_ROOTS]
)
causes = st.sampled_from(["dns", "expired-or-self-signed", "strange"])
severities = st.sampled_from(["error", "warning", "note", "strange"])
diagnoses = st.fixed_dictionaries(
    {"code": codes | odd, "cause": causes | odd, "severity": severities | odd},
    optional={"evidence": st.just({"certificate": "ab"}) | odd, "endpoints": st.just(["192.0.2.1"]) | odd},
)
outcomes = st.sampled_from(["ok", "warn", "fail", "invalid"])


@given(outcomes, causes | odd, st.lists(diagnoses | odd, max_size=4) | odd)
def test_a_memoised_kind_is_what_the_finding_itself_gives(outcome: str, cause: Any, given: Any) -> None:
    made = finding(1, "a.example", outcome=outcome, cause=cause, diagnoses=given)
    fresh = Kind(made)
    for _ in range(2):
        kind = kind_of(made)
        for name in set(Kind.__slots__) - {"root_finders"}:
            assert getattr(kind, name) == getattr(fresh, name)
        assert roots_of(made, kind.root_finders) == roots_of(made, fresh.root_finders)


def test_equal_outcome_cause_and_codes_share_one_kind() -> None:
    one = kind_of(finding(1, "a.example", diagnosis("nxdomain")))
    assert kind_of(finding(2, "b.example", diagnosis("nxdomain"))) is one
    assert kind_of(finding(2, "b.example", diagnosis("nxdomain", severity="warning"))) is not one


def test_findings_in_order_have_no_roots_but_those_of_some_notes() -> None:
    assert kind_of(finding(1, "a", diagnosis("root-sent"))).root_finders == []
    (found,) = kind_of(finding(1, "a", diagnosis("revocation-unknown"))).root_finders
    assert found[:2] == (0, "revocation-unknown")


def test_kinds_are_bounded_in_number_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kinds", Cache(10, module.MAX_BYTES, module._size))
    for number in range(100):
        strange = {**diagnosis("nxdomain"), "code": f"code-{number}"}
        assert [code for _, code in kind_of(finding(1, "a", strange)).codes] == [f"code-{number}"]
        assert len(module._kinds) <= 10
    long = finding(1, "a", {**diagnosis("nxdomain"), "code": "x" * module.MAX_BYTES})
    assert kind_of(long) is not kind_of(long)
