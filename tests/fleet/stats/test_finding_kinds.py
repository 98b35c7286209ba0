"""What is remembered of a sort of findings is what each of them would give by itself, and it is bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.fleet.stats import finding_kinds as module
from scanner.fleet.stats.finding_kinds import kind_of
from scanner.fleet.stats.reclassified import causes_of
from scanner.fleet.stats.run_counts import codes_of
from scanner.fleet.stats.shared_causes import NOTES, roots_among, roots_of
from tests.helpers.made import diagnosis, finding

odd = st.sampled_from([None, True, 1, 1.0, "", "x", [], {}, ["x"], {"code": "nxdomain"}])
codes = st.sampled_from(["nxdomain", "certificate-expired", "revocation-unknown", "captive-portal", "strange", *NOTES])
causes = st.sampled_from(["dns", "expired-or-self-signed", "strange"])
severities = st.sampled_from(["error", "warning", "note", "strange"])
diagnoses = st.fixed_dictionaries(
    {"code": codes | odd, "cause": causes | odd, "severity": severities | odd},
    optional={"evidence": st.just({"certificate": "ab"}) | odd, "endpoints": st.just(["192.0.2.1"]) | odd},
)
outcomes = st.sampled_from(["ok", "warn", "fail", "invalid"])


@given(outcomes, causes | odd, st.lists(diagnoses | odd, max_size=4) | odd)
def test_what_is_remembered_is_what_each_gives(outcome: str, cause: Any, given: Any) -> None:
    made = finding(1, "a.example", outcome=outcome, cause=cause, diagnoses=given)
    for _ in range(2):
        sort = kind_of(made)
        assert (sort.outcome, list(sort.codes)) == (outcome, codes_of(made))
        assert sort.primary == (cause if type(cause) is str else None)
        assert (list(sort.errors), sort.named) == causes_of(made)
        assert sort.says == any(code == "captive-portal" for _, code in codes_of(made))
        if sort.codes and (outcome != "ok" or any(code in NOTES for _, code in sort.codes)):
            found = roots_of(made) if sort.rootings is None else roots_among(made, given, sort.rootings)
            assert found == roots_of(made)
        else:
            assert not sort.rootings


def test_it_is_found_once() -> None:
    one = kind_of(finding(1, "a.example", diagnosis("nxdomain")))
    assert kind_of(finding(2, "b.example", diagnosis("nxdomain"))) is one
    assert kind_of(finding(2, "b.example", diagnosis("nxdomain", severity="warning"))) is not one


def test_sorts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SORTS", 10)
    for number in range(100):
        strange = {**diagnosis("nxdomain"), "code": f"code-{number}"}
        assert [code for _, code in kind_of(finding(1, "a", strange)).codes] == [f"code-{number}"]
        assert len(module._SORTS) <= 10
    long = finding(1, "a", {**diagnosis("nxdomain"), "code": "x" * module.MAX_CHARACTERS})
    assert kind_of(long) is not kind_of(long)
