"""The fold as a whole."""

from __future__ import annotations

import pickle

import pytest

from scanner.fleet.correlate.facts import Facts, Reached, Sighting, Validity, Witness
from scanner.fleet.correlate.fold import REASONS, Fold
from scanner.fleet.correlate.gather import facts_of
from scanner.model.evidence import Evidence, RevocationAnswer
from tests.helpers import evidence

LOCAL = 1_795_000_000


def told(name: str, offset: int = 0) -> Facts:
    witness = Witness("http-date", name, LOCAL + offset, LOCAL, None, (f"address:{name}",))
    expired = Validity("certificate-expired", "ab", 0, LOCAL - 9)
    return Facts(LOCAL, name, validity=(expired,), witnesses=(witness,))


def shown(key: str, name: str, number: int) -> Facts:
    seen = Sighting(
        key, "CN=Box", name, f"192.0.2.{number} 443", LOCAL, name, "k", 0, LOCAL + 999, keyed=True, named=True, own_key=True
    )  # fmt: skip
    return Facts(LOCAL, name, sightings=(seen,))


def answers(*reach: Reached, until: int | None = LOCAL + 86_400) -> Facts:
    return Facts(LOCAL, witnesses=(Witness("ocsp", "ca.test", LOCAL - 9, LOCAL, until),), reach=reach)


def test_a_target_waits_for_the_clock_until_it_is_settled() -> None:
    fold = Fold()
    for name in ("a.test", "b.test", "c.test"):
        facts = told(name)
        assert fold.pending_reason(facts) == "clock"
        assert not fold.is_final("clock")
        fold.add(facts)
    assert fold.is_final("clock")
    assert fold.pending_reason(told("d.test")) is None
    assert fold.verdict().clock.state == "confirmed"


def test_a_target_without_facts_waits_for_nothing() -> None:
    fold = Fold()
    fold.add(None)
    assert fold.targets == 1
    assert fold.pending_reason(None) is None
    assert [reason for reason in REASONS if fold.is_final(reason)] == []


def test_answers_on_revocation_count_once() -> None:
    """Met again later by our clock they change nothing."""
    verdict = evidence.verifier().verify(evidence.chain(), name=evidence.HOST, at=evidence.AT)
    given = (
        RevocationAnswer(
            "00", "crl", "http://crl.test/", "good", this_update=evidence.AT + 900, next_update=evidence.AT
        ),
        RevocationAnswer("01", "ocsp", "http://ocsp.test/", "good", produced_at=evidence.AT - 9),
    )
    fold = Fold()
    fold.add(facts_of(Evidence(evidence.target(), evidence.AT, revocation=given), [verdict]))
    before = pickle.dumps(fold.clock)
    for later in (0, 0.5, 1, 3600):
        assert not fold.add(facts_of(Evidence(evidence.target(), evidence.AT + later, revocation=given), [verdict]))
        assert pickle.dumps(fold.clock) == before


def test_a_target_with_a_missing_issuer_waits_for_others() -> None:
    assert Fold().pending_reason(Facts(LOCAL, "a.test", incomplete=True)) == "issuers-met"


def test_an_untrusted_issuer_is_waited_for_until_it_gives_itself_away() -> None:
    fold = Fold()
    for number, name in enumerate(("www.alpha.test", "www.bravo.test", "www.charlie.test")):
        facts = shown("key", name, number)
        fold.add(facts)
        assert fold.pending_reason(facts) == (None if number == 2 else "issuer")
        assert fold.is_final("issuer") is (number == 2)
    assert fold.verdict().interceptors["key"].certain


def test_issuers_that_are_waited_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.fleet.correlate.fold.MAX_AWAITED", 10)
    fold = Fold()
    for number in range(30):
        facts = shown(f"key {number}", f"d{number}.test", number)
        fold.add(facts)
        assert fold.pending_reason(facts) == "issuer"
    assert len(fold._awaited) == 10
    monkeypatch.setattr(fold.issuers, "is_final", lambda key: True)
    assert not fold.is_final("issuer")  # others are waited for too, and nobody knows which


def test_adding_returns_whether_others_may_wait_for_it() -> None:
    fold = Fold()
    assert not fold.add(None)
    assert fold.add(answers(Reached("ocsp.ca.test", True)))
    assert not fold.add(answers(Reached("ocsp.ca.test", True)))
    assert not fold.add(answers(Reached("gone.test", False)))
    assert fold.add(answers(until=LOCAL + 90_000))
    assert fold.add(shown("key", "a.test", 1)) and fold.add(shown("key", "a.test", 1))
    assert fold.add(told("b.test"))


def test_the_fleet_concerns_no_target_whose_answers_came() -> None:
    fold = Fold()
    assert not fold.concerns(None) and not fold.concerns(answers(Reached("ocsp.ca.test", True)))
    assert fold.concerns(answers(Reached("ocsp.ca.test", False)))
    assert fold.concerns(told("a.test")) and fold.concerns(shown("key", "a.test", 1))
    assert fold.concerns(Facts(LOCAL, incomplete=True)) and fold.concerns(Facts(LOCAL, "a.test", untrusted=True))
    present = Witness("http-date", "a.test", LOCAL, LOCAL)
    assert fold.concerns(Facts(LOCAL, witnesses=(present,)))


def test_folds_of_processes_are_merged() -> None:
    one, other = Fold(), Fold()
    one.add(told("a.test", 9999))
    for name in ("b.test", "c.test"):
        other.add(told(name, 9999))
    one.merge(pickle.loads(pickle.dumps(other)))
    assert one.targets == 3
    assert one.verdict().clock.state == "wrong"


def test_a_given_moment_waits_for_no_clock() -> None:
    assert Fold(judge_clock=False).pending_reason(told("a.test")) is None
