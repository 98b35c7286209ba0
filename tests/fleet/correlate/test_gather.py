"""What a target tells the fleet, from its evidence; and its finding carries just that."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from scanner.fleet.correlate.facts import MAX_ISSUER_TEXT, Facts, Reached, Validity, Witness, facts_from_json
from scanner.fleet.correlate.gather import facts_of
from scanner.model.evidence import (
    Completion,
    Elsewhere,
    EndpointEvidence,
    Evidence,
    FetchedIssuer,
    RevocationAnswer,
    Stage,
)
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
    root,
    target,
    verdicts,
    verifier,
)

DAY = 86_400.0


def leaf(**changes: Any) -> pki.Issued:
    return pki.certificate(HOST, **{"issuer": issuing(), **changes})


def facts(seen: Evidence, by: ChainVerifier | None = None, transparency: Transparency | None = None) -> Facts | None:
    """The facts from the evidence, which a file that holds the finding gives back."""
    judged = verdicts(seen, by)
    found = facts_of(seen, judged, transparency)
    finding = finding_of(seen, judged, transparency=transparency, facts=found)
    read = orjson.loads(orjson.dumps(finding))
    assert found == (facts_from_json(read["observed"]["facts"]) if "facts" in read.get("observed", {}) else None)
    return found


def with_http(endpoint: EndpointEvidence, date: float, **changes: Any) -> EndpointEvidence:
    answer = Completion(Stage.DONE, status=200, date=date, local_time=AT + 0.7, **changes)
    return replace(endpoint, completions={"http": answer})


def test_a_healthy_target_tells_nothing() -> None:
    assert facts_of(evidence(answered()), verdicts(evidence(answered()))) is None
    assert facts_of(evidence(at(answered())), []) is None
    assert facts(evidence(answered())) is None


@pytest.mark.parametrize(
    ("begins", "ends", "code"),
    [(-99 * DAY, -DAY, "certificate-expired"), (DAY, 9 * DAY, "certificate-not-yet-valid")],
)
def test_a_certificate_out_of_its_time(begins: float, ends: float, code: str) -> None:
    certificate = leaf(not_before=AT + begins, not_after=AT + ends)
    seen = evidence(with_http(at(answered([certificate, issuing()])), AT + 5))
    told = facts(seen)
    assert told is not None
    assert told.validity == (Validity(code, certificate.sha256, int(AT + begins), int(AT + ends)),)
    via = (f"address:{ADDRESS}", f"certificate:{certificate.sha256}")
    assert told.witnesses == (Witness("http-date", "example.org", int(AT + 5), int(AT), None, via),)
    assert (told.domain, told.local) == ("example.org", int(AT))
    assert not told.untrusted


def test_servers_under_one_untrusted_issuer_share_a_mark() -> None:
    """And what it signs is no witness."""
    stranger = pki.root("Stranger")
    certificate = pki.certificate(HOST, issuer=stranger, not_after=AT - DAY)
    seen = evidence(with_http(at(answered([certificate, stranger])), AT))
    answer = RevocationAnswer(
        certificate.sha256, "crl", "http://crl.test/", "good", this_update=AT - DAY, next_update=AT + DAY
    )
    told = facts(replace(seen, revocation=(answer,)))
    assert told is not None
    assert told.untrusted
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
    told = facts(replace(evidence(answered()), revocation=answers, issuers=fetched))
    assert told is not None
    now = int(AT)
    assert told.witnesses == (
        Witness("ocsp", "ca.test", now, now, now + 86_400),
        Witness("crl", "other.test", now - 86_400, now, now - 5),
    )
    assert told.reach == (
        Reached("o.ca.test", True),
        Reached("c.other.test", True),
        Reached("gone.test", False),
        Reached("aia.ca.test", True),
    )


def test_an_expired_certificate_of_an_untrusted_issuer() -> None:
    stranger = pki.root("Stranger")
    certificate = pki.certificate(HOST, issuer=stranger, not_before=AT - 99 * DAY, not_after=AT - DAY)
    told = facts(evidence(at(answered([certificate, stranger]))))
    assert told is not None
    assert [one.code for one in told.validity] == ["certificate-expired"] and told.untrusted


def test_a_missing_issuer_is_waited_for() -> None:
    told = facts(evidence(at(answered([chain()[0]]))))
    assert told is not None
    assert told.incomplete


def test_verified_scts_ahead_of_our_clock_are_witnesses() -> None:
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
        found = facts(evidence(at(answered([certificate, issuing()]))), by, Transparency(logs))
        return set() if found is None else set(found.witnesses)

    assert told(DAY) == {Witness("sct", "Operator A", int(AT + DAY) + 3600, int(AT))}
    assert told(-DAY) == set()
    assert told(-1800) == set()


# --- issuers that no store trusts ------------------------------------------------------------------

CA = pki.root("Box CA")
BOX = pki.certificate(pki.name(O="Zscaler Inc.", CN="Zscaler Root CA"), ca=True)


def test_a_sighting_of_an_untrusted_issuer() -> None:
    sent = pki.certificate("www.alpha.com", issuer=CA, private=CA.private)
    found = facts(evidence(at(answered([sent, CA])), of=target("www.alpha.com")))
    assert found is not None and found.domain == "alpha.com"
    (sighting,) = found.sightings
    assert sighting.own_key and sighting.named and sighting.keyed and sighting.place == "192.0.2.1 443"
    assert (sighting.name, sighting.issuer, sighting.leaf) == ("www.alpha.com", "CN=Box CA", sent.sha256)


@pytest.mark.parametrize(
    "sent",
    [chain(), [pki.certificate(HOST)], [pki.certificate(HOST, issuer=root(), not_after=AT - 9)]],
    ids=["trusted", "self-signed", "expired"],
)
def test_no_sighting_where_the_issuer_is_trusted_or_the_leaf_itself(sent: list[pki.Issued]) -> None:
    found = facts(evidence(at(answered(sent))))
    assert found is None or found.sightings == ()


def test_a_publicly_trusted_certificate_seen_elsewhere() -> None:
    boxed = answered([pki.certificate(HOST, issuer=CA), CA])
    two = evidence(at(boxed), at(answered(chain()), "192.0.2.2"))
    by = verifier(root(), public=True)
    earlier = replace(evidence(at(boxed)), elsewhere=(Elsewhere("an earlier run", "ab", "CN=Public CA"),))
    for seen, judge, elsewhere in (
        (two, by, True),
        (two, None, False),
        (evidence(at(boxed)), by, False),
        (earlier, by, True),
    ):
        found = facts(seen, judge)
        assert found is not None and [one.elsewhere for one in found.sightings] == [elsewhere]


def test_a_very_long_issuer_is_cut() -> None:
    long = pki.root("x" * 100_000)
    found = facts(evidence(at(answered([pki.certificate(HOST, issuer=long), long]))))
    assert found is not None
    assert [one.issuer for one in found.sightings] == ["CN=" + "x" * (MAX_ISSUER_TEXT - 3)]


def test_the_address_that_showed_an_untrusted_issuer_says_so() -> None:
    boxed = answered([pki.certificate(HOST, issuer=BOX, private=BOX.private), BOX])
    seen = evidence(at(boxed), at(answered(chain()), "192.0.2.2"))
    judged = verdicts(seen, verifier(root(), public=True))
    found = facts_of(seen, judged)
    record = finding_of(seen, judged, facts=found)
    first, second = record["endpoints"]
    assert found is not None and "untrusted_issuer" not in second
    assert first["untrusted_issuer"] == {
        "key": found.sightings[0].key, "leaf_key": found.sightings[0].leaf_key, "keyed": True, "named": True,
        "own_key": True, "elsewhere": True, "product": "Zscaler",
    }  # fmt: skip
