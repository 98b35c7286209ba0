"""Facts of findings that do not carry them are those that a new version writes, as far as they can be read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from scanner.fleet.correlate.gather import facts_of
from scanner.fleet.correlate.older_facts import older_facts
from scanner.model.evidence import Completion, Evidence, FetchedIssuer, RevocationAnswer, Stage
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, answered, at, chain, evidence, finding_of, issuing, verdicts
from tests.helpers.made import certificate, finding

DAY = 86_400.0
STRANGER = pki.root("Stranger")
EXPIRED = pki.certificate(HOST, issuer=issuing(), not_before=AT - 99 * DAY, not_after=AT - DAY)
BOXED = pki.certificate(HOST, issuer=STRANGER, private=STRANGER.private)
ANSWERS = (
    RevocationAnswer(
        "ab", "ocsp", "http://o.ca.test/x", "good", this_update=AT - 9, produced_at=AT, next_update=AT + DAY
    ),
    RevocationAnswer("ab", "crl", "http://gone.test/x", "unavailable", error="no route", blocked=True),
)
DATED = Completion(Stage.DONE, status=200, date=AT + 5, local_time=AT + 0.7)


@pytest.mark.parametrize(
    "seen",
    [
        evidence(answered()),
        replace(
            evidence(answered()),
            revocation=ANSWERS,
            issuers=(FetchedIssuer("ab", "http://aia.ca.test/i", error="404"),),
        ),
        evidence(at(answered([EXPIRED, issuing()]))),
        evidence(at(answered([chain()[0]]))),
        evidence(replace(at(answered([EXPIRED, issuing()])), completions={"http": DATED})),
        replace(evidence(replace(at(answered([BOXED, STRANGER])), completions={"http": DATED})), revocation=ANSWERS),
    ],
    ids=["healthy", "answered", "expired", "incomplete", "dated", "boxed"],
)
def test_older_findings_tell_what_new_ones_carry(seen: Evidence) -> None:
    judged = verdicts(seen)
    facts = facts_of(seen, judged)
    older = orjson.loads(orjson.dumps(finding_of(seen, judged, facts=facts)))
    older.get("observed", {}).pop("facts", None)
    assert older_facts(older) == facts


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"target": 5, "started": "x"},
        finding(endpoints=5),
        finding(endpoints=[5]),
        finding(endpoints=[{"trust": 5}]),
        finding(trust={"a": 5}),
        finding(endpoint={"observed": 5}),
        finding(endpoint={"observed": {"completions": {"http": {"date": True}}}}),
        finding(started="yesterday", observed={"revocation": []}),
        finding(observed={"revocation": [{"url": 5, "source": "ocsp", "this_update": "x"}, 7]}),
        finding(observed={"issuers": 5}),
        finding(observed={"revocation": [], "issuers": []}),
        finding(target={"host": None, "port": 443}, observed={}),
    ],
)
def test_findings_of_another_shape_tell_nothing(made: dict[str, Any]) -> None:
    assert older_facts(made) is None


def test_a_chain_that_one_store_trusts_tells_nothing() -> None:
    refused = {"trusted": False, "error": "untrusted-root"}
    leaf = certificate("a.example", issuer="CN=Root")
    assert older_facts(finding(leaf=leaf, trust={"a": refused, "b": {"trusted": True}})) is None
    found = older_facts(finding(leaf=leaf, trust={"a": refused}))
    assert found is not None and found.untrusted
