"""Judging evidence without a run: which moment, which certificates, and what a finding from a file leaves out."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from scanner.fleet.correlate.fleet_verdicts import ClockVerdict, FleetVerdict
from scanner.fleet.correlate.gather import facts_of
from scanner.model.config import ScanConfig
from scanner.model.evidence import Failure, RevocationAnswer
from scanner.run.judgement import Judgement, TargetJudgement
from tests.helpers import evidence, pki
from tests.helpers.evidence import AT, HOST, answered, at, failed

WRONG = FleetVerdict(clock=ClockVerdict("wrong", 3600.0))

UNKNOWN = pki.certificate(HOST, issuer=pki.root("Unknown"))


def judgement(**options: Any) -> Judgement:
    return Judgement(ScanConfig(**options), evidence.verifier(), run_id="run")


def test_moment_is_the_option_or_the_corrected_start() -> None:
    assert judgement().moment(AT) == AT
    assert judgement().moment(AT, WRONG) == AT + 3600
    assert judgement(at=7.0).moment(AT, WRONG) == 7.0


def test_address_that_sent_no_certificate_has_no_verdict() -> None:
    seen = evidence.evidence(at(failed(Failure.RESET), "192.0.2.1"), at(answered(), "192.0.2.2"))
    nothing, verdict = judgement().verdicts(seen)
    assert nothing is None
    assert verdict is not None and verdict.is_clean


def test_certificates_of_a_follow_up_stand_for_a_failed_first_connection() -> None:
    endpoint = at(failed(Failure.RESET), small=answered(offer="small"))
    verdict = judgement().verdict_at_start(evidence.target(), endpoint, AT)
    assert verdict is not None and verdict.trusted


def test_certificate_is_judged_at_the_time_the_fleet_agrees_on() -> None:
    leaf = pki.certificate(HOST, issuer=evidence.issuing(), not_before=AT + 60)
    seen = evidence.evidence(answered([leaf, evidence.issuing()]))
    (early,), (later,) = judgement().verdicts(seen), judgement().verdicts(seen, WRONG)
    assert early is not None and not early.trusted
    assert later is not None and later.trusted


def test_healthy_address_leaves_no_question() -> None:
    (endpoint,) = evidence.evidence(answered()).endpoints
    assert TargetJudgement(judgement()).next_question(evidence.target(), endpoint, AT) is None
    asked = TargetJudgement(judgement(enumerate=True)).next_question(evidence.target(), endpoint, AT)
    assert asked is not None and asked.name == "http"


def test_healthy_target_tells_the_fleet_nothing() -> None:
    judging, seen = judgement(), evidence.evidence(answered())
    assert judging.facts(seen, judging.verdicts(seen)) is None
    broken = evidence.evidence(answered([UNKNOWN]))
    assert judging.facts(broken, judging.verdicts(broken)) is not None


def test_chain_that_was_not_judged_tells_the_fleet_nothing() -> None:
    judging, seen = judgement(), evidence.evidence(answered([UNKNOWN]))
    (verdict,) = judging.verdicts(seen)
    assert verdict is not None
    assert judging.facts(seen, [replace(verdict, error="a bug")]) is None


def test_finding_names_the_bugs_that_were_met_before() -> None:
    judging, seen = judgement(), evidence.evidence(answered())
    finding = judging.finding(seen, judging.verdicts(seen), failed=["fleet: ZeroDivisionError: x"])
    assert finding["outcome"] == "warn"
    assert "fleet: ZeroDivisionError: x" in finding["error"]


@pytest.mark.parametrize(("name", "codes"), [(None, []), ("other.example", ["name-not-in-san"])])
def test_certificates_from_a_file_come_without_commands_that_connect(name: str | None, codes: list[str]) -> None:
    seen = evidence.evidence(answered())
    finding = judgement().file_finding(seen, name=name)
    assert [diagnosis["code"] for diagnosis in finding["diagnoses"]] == codes
    assert not any("confirm" in diagnosis for diagnosis in finding["diagnoses"])


def test_targets_with_one_chain_and_the_same_answers_tell_the_same_until_the_next_second() -> None:
    judging, seen = judgement(), evidence.evidence(answered())
    answers = (RevocationAnswer(evidence.leaf().sha256, "ocsp", "http://ocsp.test/", "good", produced_at=AT - 9),)
    first, same, later, asked_anew, nothing = (
        judging.facts(replace(seen, started=started, revocation=given), judging.verdicts(seen))
        for started, given in ((AT, answers), (AT + 0.9, answers), (AT + 1, answers), (AT + 1, answers * 2), (AT, ()))
    )
    assert first is not None and same is first and nothing is None
    assert later is not None and later.local == first.local + 1
    assert asked_anew is not later


@pytest.mark.parametrize(("name", "is_same"), [("b.example.org", True), ("b.example.net", False)])
def test_targets_with_one_expired_chain_tell_the_same_unless_their_domains_differ(name: str, is_same: bool) -> None:
    expired = pki.certificate(
        HOST, issuer=evidence.root(), san=["*.example.org", "*.example.net"], not_after=AT - pki.DAY
    )
    judging = judgement()
    seen = [evidence.evidence(answered([expired]), of=evidence.target(host)) for host in ("a.example.org", name)]
    first, second = (judging.facts(each, judging.verdicts(each)) for each in seen)
    assert [first, second] == [facts_of(each, judging.verdicts(each)) for each in seen]
    assert first is not None and (first is second) == is_same
