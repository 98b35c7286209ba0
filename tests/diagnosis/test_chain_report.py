"""Rules on certificates are asked once for a chain and all that they look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from scanner.diagnosis import chain_report as module
from scanner.diagnosis.case import Case, Context, cases_of
from scanner.diagnosis.chain_report import chain_report, plain_claims, report_of
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import ChainReport
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict, FleetVerdict
from scanner.model.evidence import FetchedIssuer, RevocationAnswer
from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from tests.helpers import pki
from tests.helpers.evidence import AT, HOST, answered, at, evidence, issuing, target, verdicts, verifier

EXPIRED = pki.certificate(HOST, issuer=issuing(), not_after=AT - pki.DAY)
BY = verifier()


def case(*, when: float = AT, options: dict[str, Any] | None = None, of: Any = None, **flight: Any) -> Case:
    seen = evidence(answered([EXPIRED, issuing()], **flight), of=of)
    seen = replace(seen, **(options or {}))
    (found,) = cases_of(seen, verdicts(seen, BY), Context(at=when))
    return found


def report(of: Case) -> ChainReport:
    assert of.verdict is not None
    return chain_report(of, of.verdict)


def test_targets_with_one_chain_and_setting_share_a_report() -> None:
    one, other = report(case()), report(case(of=target(HOST, port=8443), random=b"r" * 32))
    assert [claim.code for claim in one.claims] == ["certificate-expired"]
    assert other is one


def test_second_of_the_moment_is_what_counts() -> None:
    assert report(case(when=AT + 0.2)) is report(case(when=AT + 0.9))
    assert report(case(when=AT + 1)) is not report(case(when=AT + 0.9))


@pytest.mark.parametrize(
    "changed",
    [
        {"cipher": 0x1302},
        {"ocsp_response": b"x"},
        {"scts": (b"x",)},
        {"options": {"revocation": (RevocationAnswer(EXPIRED.sha256, "crl", "http://c/", "good"),)}},
        {"options": {"issuers": (FetchedIssuer(EXPIRED.sha256, "http://c/"),)}},
    ],
    ids=lambda changed: next(iter(changed.get("options", changed))),
)
def test_whatever_rules_look_at_makes_another_report(changed: dict[str, Any]) -> None:
    before = report(case())
    assert report(case(**changed)) is not before
    assert [claim.code for claim in report(case()).claims] == [claim.code for claim in before.claims]


def test_what_the_fleet_says_of_our_clock_makes_another_report() -> None:
    seen = case()
    before = report(seen)
    seen.context = replace(seen.context, fleet=FleetVerdict(clock=ClockVerdict("confirmed", 1.0)))
    (claim,) = report(seen).claims
    assert report(seen) is not before and claim.evidence["clock"]["state"] == "confirmed"


def test_web_and_mail_servers_with_one_chain_each_find_their_report() -> None:
    web, mail = case(), case(of=target(protocol="smtp"))
    first = report(web)
    assert report(mail) is not first
    assert report(web) is first


def test_report_with_a_bug_in_it_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Iterator[Claim]:
        raise OverflowError("injected")

    seen = case(when=AT + 77)
    with monkeypatch.context() as patched:
        patched.setattr(module, "certificate_claims", broken)
        found = report(seen)
    assert [claim.code for claim in found.claims] == ["certificate-expired"]  # the verifier's own words
    assert "OverflowError: injected" in found.failed[0]
    assert report(seen).failed == ()


def test_address_without_certificates_has_no_report() -> None:
    seen = evidence(at(answered([])))
    (found,) = cases_of(seen, [None], Context(at=AT))
    assert report_of(found) is None


def test_plain_claims_are_of_the_leaf_the_paths_and_the_name() -> None:
    refused = StoreVerdict("s", False, None, (), (Problem("untrusted-root", None, {"a": 1}),))
    verdict = ChainVerdict(
        (), (Problem("weak-key", None),), {"s": refused}, name=NameVerdict(False, "name-not-in-san", None, ("x",))
    )
    assert {claim.code: claim.evidence for claim in plain_claims(verdict)} == {
        "weak-key": {},
        "untrusted-root": {"a": 1},
        "name-not-in-san": {"nearest": ["x"]},
    }
