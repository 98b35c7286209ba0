"""Which words of --fail-on a finding matches."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.model.findings import CAUSES
from scanner.run.fail_on import WORDS, words_of


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


def test_each_of_several_matches() -> None:
    both = diagnosed("fail", ("error", "dns", "servfail"), ("error", "revoked", "revoked-crl"), ("warning", "dns", "x"))
    assert words_of(both) == {"dns", "servfail", "revoked", "revoked-crl", "any", "warning"}


def test_what_is_healthy_matches_nothing() -> None:
    assert words_of(diagnosed("ok")) == set()


def test_what_was_not_fully_judged_is_not_in_order() -> None:
    assert words_of(diagnosed("warn", error="tlsweep itself failed")) == {"any"}
    assert words_of(diagnosed("warn", ("warning", "dns", "x"), error="tlsweep itself failed")) == {"any", "warning"}


def test_a_row_that_cannot_be_used_has_a_word_of_its_own() -> None:
    assert words_of(diagnosed("invalid", error="no host")) == {"invalid"}


def test_no_word_is_a_cause() -> None:
    assert WORDS.isdisjoint(CAUSES)
