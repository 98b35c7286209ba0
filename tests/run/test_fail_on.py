"""The words of ``--fail-on``, and the findings that match them."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.errors import UsageProblem
from scanner.model.findings import CAUSES
from scanner.run.fail_on import WORDS, FailOn, parse_fail_on, words_of


def diagnosed(outcome: str, *diagnoses: tuple[str, str, str], **changes: Any) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "diagnoses": [{"severity": severity, "cause": cause, "code": code} for severity, cause, code in diagnoses],
        **changes,
    }


@pytest.mark.parametrize("cause", CAUSES)
def test_only_errors_match_by_cause_and_code(cause: str) -> None:
    assert words_of(diagnosed("fail", ("error", cause, "some-code"))) == {cause, "some-code", "any"}
    assert words_of(diagnosed("warn", ("warning", cause, "some-code"))) == {"warning"}
    assert words_of(diagnosed("ok", ("note", cause, "some-code"))) == set()


def test_each_diagnosis_adds_its_words() -> None:
    both = diagnosed("fail", ("error", "dns", "servfail"), ("error", "revoked", "revoked-crl"), ("warning", "dns", "x"))
    assert words_of(both) == {"dns", "servfail", "revoked", "revoked-crl", "any", "warning"}


def test_a_healthy_finding_has_no_words() -> None:
    assert words_of(diagnosed("ok")) == set()


def test_a_finding_that_was_not_fully_judged_matches_any() -> None:
    assert words_of(diagnosed("warn", error="tlsweep itself failed")) == {"any"}
    assert words_of(diagnosed("warn", ("warning", "dns", "x"), error="tlsweep itself failed")) == {"any", "warning"}


def test_an_invalid_row_matches_invalid_alone() -> None:
    assert words_of(diagnosed("invalid", error="no host")) == {"invalid"}


def test_the_general_words_are_not_causes() -> None:
    assert WORDS.isdisjoint(CAUSES)


def test_parse_fail_on() -> None:
    assert parse_fail_on(None) == parse_fail_on(" , ") == frozenset()
    assert parse_fail_on(" any,dns, nxdomain ") == {"any", "dns", "nxdomain"}
    assert parse_fail_on("warning,invalid") == {"warning", "invalid"}
    with pytest.raises(UsageProblem, match="neither a cause nor a code"):
        parse_fail_on("DNS")


@pytest.mark.parametrize(
    ("words", "matches"), [("any", True), ("dns", True), ("servfail", True), ("warning", False), ("dns-timeout", False)]
)
def test_one_matching_finding_is_enough(words: str, matches: bool) -> None:
    failed = diagnosed("fail", ("error", "dns", "servfail"))
    for given in (words, f"revoked,{words},invalid"):
        fail_on = FailOn(parse_fail_on(given))
        for finding in (diagnosed("ok"), failed, diagnosed("ok")):
            fail_on.add(finding)
        by_words = FailOn(parse_fail_on(given))
        by_words.add_words(words_of(failed))
        assert fail_on.matched is by_words.matched is matches
    without = FailOn(frozenset())
    without.add(failed)
    assert not without.matched
