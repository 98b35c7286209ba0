"""What a verdict of the fleet changes."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.fleet.stats.reclassified import Reclassified, causes_of, merge_each
from tests.helpers.made import diagnosis, finding

UNTRUSTED = diagnosis("untrusted-root", root="CN=Box")
ACROSS = diagnosis("issuer-across-unrelated-names", issuer="CN=Box")
MISMATCH = diagnosis("name-not-in-san")


def explained(*findings: dict[str, Any], **options: Any) -> Reclassified:
    found = Reclassified("interception")
    for one in findings:
        found.add(*causes_of(one), **options)
    return found


def test_targets_by_the_cause_they_would_have_and_by_the_one_they_have() -> None:
    found = explained(
        finding(1, "a", ACROSS, UNTRUSTED, MISMATCH),
        finding(2, "b", ACROSS, MISMATCH),
        finding(3, "c", UNTRUSTED),
        finding(4, "d", ACROSS),
        finding(5, "e"),
    )
    assert found.to_json() == {
        "targets": 5,
        "said": 0,
        "reclassified": {"hostname-mismatch": 1, "untrusted-ca": 1},
        "otherwise": {"untrusted-ca": 1},
    }


def test_a_warning_of_the_fleet_reclassifies_nothing() -> None:
    warned = diagnosis("issuer-across-unrelated-names", "warning", issuer="CN=Box")
    assert explained(finding(1, "a", warned, UNTRUSTED), said=True).to_json() == {
        "targets": 1,
        "said": 1,
        "reclassified": {},
        "otherwise": {"untrusted-ca": 1},
    }


def test_errors_are_those_given_not_those_of_the_diagnoses() -> None:
    found = Reclassified("clock-skew")
    found.add(["expired-or-self-signed"], "clock-skew", said=True)
    assert found.to_json()["reclassified"] == {"expired-or-self-signed": 1}


def test_merging_does_not_change_what_is_merged_in() -> None:
    whole = {"a": explained(finding(1, "a", UNTRUSTED))}
    part = {"a": explained(finding(2, "b", UNTRUSTED)), "b": explained(finding(3, "c")), "c": explained()}
    merge_each(whole, part, 2)
    assert {key: found.targets for key, found in whole.items()} == {"a": 2, "b": 1}
    whole["b"].merge(part["a"])
    assert part["b"].targets == 1, "what was added to is not what was added"


@pytest.mark.parametrize(
    "made", [{}, {"cause": [], "diagnoses": 5}, {"cause": "x", "diagnoses": [5, {"severity": "error", "cause": {}}]}]
)
def test_odd_findings_have_no_causes(made: dict[str, Any]) -> None:
    assert explained(made).to_json() == {"targets": 1, "said": 0, "reclassified": {}, "otherwise": {}}
