"""A glance sees whatever facts are made of, and passes over what tells nothing."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.fleet.correlate.facts import facts_of_finding
from scanner.fleet.correlate.glance import addresses_tell, tells
from tests.helpers.made import certificate, finding

UNTRUSTED = {"a": {"trusted": False, "error": "untrusted-root"}}
DATED = {"observed": {"completions": {"http": {"date": 5.0, "local_time": 5.0}}}}
LEAF = certificate("a.example", issuer="CN=Root")


def test_a_certificate_that_a_store_trusts_tells_nothing() -> None:
    assert not tells(finding()) and facts_of_finding(finding()) is None
    both = finding(leaf=LEAF, trust={**UNTRUSTED, "b": {"trusted": True}})
    assert not tells(both) and facts_of_finding(both) is None


def test_one_that_none_trusts_does() -> None:
    found = facts_of_finding(finding(leaf=LEAF, trust=UNTRUSTED))
    assert found is not None and [sign.text for sign in found.issuers] == ["CN=Root"]


def test_a_server_s_time() -> None:
    assert addresses_tell(finding(endpoint=DATED))
    silent = finding(endpoint={"observed": {"completions": {"http": {"status": 200}}, "probe": {}}})
    assert not tells(silent) and facts_of_finding(silent) is None


def test_what_was_asked_of_others() -> None:
    asked = finding(observed={"revocation": []})
    assert tells(asked) and not addresses_tell(asked)


@pytest.mark.parametrize(
    "endpoints",
    [
        None,
        {},
        "x",
        [5, None],
        [{"trust": []}],
        [{"trust": {}}],
        [{"observed": "completions"}],
        [{"observed": {"completions": [DATED]}}],
        [{"observed": {"completions": {"http": "date"}}}],
    ],
    ids=str,
)
def test_what_is_not_ours_tells_nothing(endpoints: Any) -> None:
    assert not tells(finding(endpoints=endpoints)) and facts_of_finding(finding(endpoints=endpoints)) is None


def test_stores_that_are_none_trust_nothing() -> None:
    assert addresses_tell(finding(trust={"a": 5}))
