"""What a target tells: from its evidence, and the same from the finding that was written of it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from scanner.fleet.correlate.facts import (
    Facts,
    IssuerSign,
    ReachSign,
    Validity,
    Witness,
    facts_of,
    facts_of_finding,
    issuer_key,
    sntp_witness,
    told_by_servers,
)
from scanner.model.evidence import Completion, EndpointEvidence, Evidence, FetchedIssuer, RevocationAnswer, Stage
from scanner.trust.ct_logs import log_list_untrusted
from scanner.trust.transparency import Transparency
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki, scts
from tests.helpers.evidence import (
    ADDRESS,
    AT,
    HOST,
    answered,
    at,
    chain,
    evidence,
    finding_of,
    issuing,
    verdicts,
    verifier,
)

DAY = 86_400.0


def leaf(**changes: Any) -> pki.Issued:
    return pki.certificate(HOST, **{"issuer": issuing(), **changes})


def both(
    seen: Evidence, by: ChainVerifier | None = None, transparency: Transparency | None = None
) -> tuple[Facts | None, Facts | None]:
    """The facts from the evidence, and from its finding as a file holds it."""
    judged = verdicts(seen, by)
    finding = finding_of(seen, judged, transparency=transparency)
    return facts_of(seen, judged, transparency), facts_of_finding(orjson.loads(orjson.dumps(finding)))


def with_http(endpoint: EndpointEvidence, date: float, **changes: Any) -> EndpointEvidence:
    answer = Completion(Stage.DONE, status=200, date=date, local_time=AT + 0.7, **changes)
    return replace(endpoint, completions={"http": answer})


def test_a_healthy_target_tells_nothing() -> None:
    assert facts_of(evidence(answered()), verdicts(evidence(answered()))) is None
    assert facts_of(evidence(at(answered())), []) is None
    assert both(evidence(answered())) == (None, None)


@pytest.mark.parametrize(
    ("begins", "ends", "code"),
    [(-99 * DAY, -DAY, "certificate-expired"), (DAY, 9 * DAY, "certificate-not-yet-valid")],
)
def test_out_of_its_time(begins: float, ends: float, code: str) -> None:
    certificate = leaf(not_before=AT + begins, not_after=AT + ends)
    seen = evidence(with_http(at(answered([certificate, issuing()])), AT + 5))
    told, recorded = both(seen)
    assert told == recorded
    assert told is not None
    assert told.validity == (Validity(code, certificate.sha256, int(AT + begins), int(AT + ends)),)
    via = (f"address:{ADDRESS}", f"certificate:{certificate.sha256}")
    assert told.witnesses == (Witness("http-date", "example.org", int(AT + 5), int(AT), None, via),)
    assert (told.row, told.name, told.domain, told.local) == (1, HOST, "example.org", int(AT))
    assert told.issuers == ()


def test_nobody_vouches() -> None:
    """An untrusted issuer's servers speak with one voice, and what it signs is no witness."""
    stranger = pki.root("Stranger")
    certificate = pki.certificate(HOST, issuer=stranger, not_after=AT - DAY)
    seen = evidence(with_http(at(answered([certificate, stranger])), AT))
    answer = RevocationAnswer(
        certificate.sha256, "crl", "http://crl.test/", "good", this_update=AT - DAY, next_update=AT + DAY
    )
    told, recorded = both(replace(seen, revocation=(answer,)))
    assert told is not None
    assert recorded is not None
    assert replace(told, sightings=()) == replace(recorded, sightings=())
    assert told.issuers == (IssuerSign("CN=Stranger", "CN=Stranger", ADDRESS),)
    assert [witness.via for witness in told.witnesses] == [(f"address:{ADDRESS}", "issuer:CN=Stranger")]


def test_signed_answers_are_witnesses_with_an_end() -> None:
    answers = (
        RevocationAnswer(
            "ab", "ocsp", "http://o.ca.test/x", "good", this_update=AT - 9, produced_at=AT, next_update=AT + DAY
        ),
        RevocationAnswer("ab", "crl", "http://c.other.test/x", "invalid", this_update=AT - DAY, next_update=AT - 5),
        RevocationAnswer("ab", "crl", "http://gone.test/x", "unavailable", error="no route", blocked=True),
    )
    fetched = (FetchedIssuer("ab", "http://aia.ca.test/i", error="404"),)
    told, recorded = both(replace(evidence(answered()), revocation=answers, issuers=fetched))
    assert told == recorded
    assert told is not None
    now = int(AT)
    assert told.witnesses == (
        Witness("ocsp", "ca.test", now, now, now + 86_400),
        Witness("crl", "other.test", now - 86_400, now, now - 5),
    )
    assert told.reach == (
        ReachSign("o.ca.test", True),
        ReachSign("c.other.test", True),
        ReachSign("gone.test", False),
        ReachSign("aia.ca.test", True),
    )


def test_several_codes_at_once() -> None:
    stranger = pki.root("Stranger")
    certificate = pki.certificate(HOST, issuer=stranger, not_before=AT - 99 * DAY, not_after=AT - DAY)
    told, recorded = both(evidence(at(answered([certificate, stranger]))))
    assert told is not None
    assert recorded is not None
    assert told.validity == recorded.validity != ()
    assert told.issuers == recorded.issuers != ()


def test_a_missing_issuer_is_waited_for() -> None:
    told, recorded = both(evidence(at(answered([chain()[0]]))))
    assert told is not None
    assert recorded is not None
    assert told.incomplete
    assert recorded.incomplete


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ([], None),
        ([(None, None)], None),
        ([("CN=a", "CN=a")], None),
        ([("CN=a", "CN=b")], "CN=b"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=c", "CN=c"), ("CN=b", "CN=c")], "CN=c"),
        ([("CN=a", "CN=b"), ("CN=b", "CN=c"), ("CN=c", "CN=b")], "CN=b"),  # a circle ends somewhere
        ([("CN=a", "CN=b"), (None, None), ("CN=x", "CN=y")], "CN=b"),
    ],
)
def test_issuers_at_the_top(sent: list[tuple[str | None, str | None]], key: str | None) -> None:
    assert issuer_key(sent) == key


@pytest.mark.parametrize(
    "finding",
    [
        {},
        {"target": 5, "started": "x"},
        {"target": {"row": 1, "host": "a.test"}, "started": "yesterday"},
        {"target": {"row": "1", "host": "a.test"}, "started": "2026-11-23T00:00:00Z"},
        {"target": {"row": 1, "host": "a.test"}, "started": "2026-11-23T00:00:00Z", "endpoints": [5, {"chain": 5}]},
        {
            "target": {"row": 1, "host": "a.test"},
            "started": "2026-11-23T00:00:00Z",
            "certificates": [5, {"sha256": "ab", "not_before": 5}],
            "observed": {"revocation": [{"url": 5, "source": "ocsp", "this_update": "x"}, 7], "issuers": 5},
            "endpoints": [
                {"chain": ["ab", 5], "trust": {"x": 5}, "observed": {"completions": {"http": {"date": True}}}}
            ],
        },
    ],
)
def test_findings_that_are_none_tell_nothing(finding: dict[str, Any]) -> None:
    assert facts_of_finding(finding) is None


def test_servers_of_ntp_are_told_by_findings() -> None:
    told = {
        "kind": "sntp",
        "who": "ntp time.test",
        "time": "2026-11-23T13:00:00Z",
        "local_time": "2026-11-23T12:00:00Z",
    }
    other = {"kind": "http-date", "who": "a.test", "time": "2026-11-23T13:00:00Z", "local_time": "2026-11-23T12:00:00Z"}
    finding = {
        "diagnoses": [
            {"evidence": {"witnesses": [told, other]}},
            {"evidence": {"clock": {"witnesses": [told, 5, {"kind": "sntp"}]}}},
        ]
    }
    (witness,) = told_by_servers(finding)
    assert (witness.who, witness.time - witness.local) == ("ntp time.test", 3600)
    assert told_by_servers({"diagnoses": 5}) == ()
    assert sntp_witness("time.test", "192.0.2.9", AT + 3600.4, AT).who == "ntp time.test"


def test_scts_ahead_of_our_clock() -> None:
    """Only verified ones, of logs in use, where the certificate is not valid yet; and only what lies ahead says anything."""
    gone = dataclasses.replace(scts.STRANGER, state="rejected")
    logs = log_list_untrusted(json.dumps(scts.log_list(scts.ARGON, scts.YETI, scts.XENON, gone)).encode(), "list")
    by = verifier(public=True)

    def told(begins: float) -> set[Witness]:
        certificate = scts.with_scts(
            [scts.ARGON, scts.YETI, scts.XENON, gone],
            HOST,
            issuer=issuing(),
            spoil=[scts.XENON],
            times={scts.YETI: AT - DAY},
            not_before=AT + begins,
            not_after=AT + 90 * DAY,
        )
        facts, recorded = both(evidence(at(answered([certificate, issuing()]))), by, Transparency(logs))
        assert facts == recorded
        return set() if facts is None else set(facts.witnesses)

    assert told(DAY) == {Witness("sct", "Operator A", int(AT + DAY) + 3600, int(AT))}
    assert told(-DAY) == set()
    assert told(-1800) == set()
