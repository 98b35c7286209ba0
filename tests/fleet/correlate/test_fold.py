"""The fold as a whole."""

from __future__ import annotations

import pickle

import pytest

from scanner.fleet.correlate.facts import Facts, Validity, Witness, facts_of
from scanner.fleet.correlate.fold import REASONS, Fold
from scanner.fleet.correlate.interceptors_fold import Sighting
from scanner.model.evidence import Evidence, RevocationAnswer
from tests.helpers import evidence

LOCAL = 1_795_000_000


def told(name: str, offset: int = 0) -> Facts:
    witness = Witness("http-date", name, LOCAL + offset, LOCAL, None, (f"address:{name}",))
    expired = Validity("certificate-expired", "ab", 0, LOCAL - 9)
    return Facts(1, name, name, LOCAL, validity=(expired,), witnesses=(witness,))


def test_a_target_waits_for_the_clock_until_it_is_settled() -> None:
    fold = Fold()
    for name in ("a.test", "b.test", "c.test"):
        facts = told(name)
        assert fold.waits_for(facts) == "clock"
        assert not fold.settled("clock")
        fold.add(facts)
    assert fold.settled("clock")
    assert fold.waits_for(told("d.test")) is None
    assert fold.verdict().clock.state == "confirmed"


def test_nothing_to_tell_is_nothing_to_wait_for() -> None:
    fold = Fold()
    fold.add(None)
    assert fold.targets == 1
    assert fold.waits_for(None) is None
    assert [reason for reason in REASONS if fold.settled(reason)] == []


def test_answers_on_revocation_count_once() -> None:
    """Met again later by our clock they change nothing."""
    verdict = evidence.verifier().verify(evidence.chain(), name=evidence.HOST, at=evidence.AT)
    answers = (
        RevocationAnswer(
            "00", "crl", "http://crl.test/", "good", this_update=evidence.AT + 900, next_update=evidence.AT
        ),
        RevocationAnswer("01", "ocsp", "http://ocsp.test/", "good", produced_at=evidence.AT - 9),
    )
    fold = Fold()
    fold.add(facts_of(Evidence(evidence.target(), evidence.AT, revocation=answers), [verdict]))
    before = pickle.dumps(fold.clock)
    for later in (0, 0.5, 1, 3600):
        fold.add(facts_of(Evidence(evidence.target(), evidence.AT + later, revocation=answers), [verdict]))
        assert pickle.dumps(fold.clock) == before


def test_a_missing_issuer_may_be_met() -> None:
    assert Fold().waits_for(Facts(1, "a.test", "a.test", LOCAL, incomplete=True)) == "issuers-met"


def test_an_untrusted_issuer_is_waited_for_until_it_gives_itself_away() -> None:
    fold = Fold()
    for number, name in enumerate(("www.alpha.test", "www.bravo.test", "www.charlie.test")):
        seen = Sighting(
            "key", "CN=Box", True, name, f"192.0.2.{number} 443", LOCAL, name, "k", 0, LOCAL + 999, own_key=True
        )
        facts = Facts(1, name, name, LOCAL, sightings=(seen,))
        fold.add(facts)
        assert fold.waits_for(facts) == (None if number == 2 else "issuer")
        assert fold.settled("issuer") is (number == 2)
    assert fold.verdict().interceptors["key"].certain


def test_issuers_that_are_waited_for_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scanner.fleet.correlate.fold.MAX_AWAITED", 10)
    fold = Fold()
    for number in range(30):
        seen = Sighting(
            f"key {number}",
            "CN=Device",
            True,
            f"d{number}.test",
            f"192.0.2.{number} 443",
            LOCAL,
            "l",
            "k",
            0,
            LOCAL + 999,
        )
        facts = Facts(1, seen.name, seen.name, LOCAL, sightings=(seen,))
        fold.add(facts)
        assert fold.waits_for(facts) == "issuer"
    assert len(fold._awaited) == 10
    monkeypatch.setattr(fold.issuers, "settled", lambda key: True)
    assert not fold.settled("issuer")  # others are waited for too, and nobody knows which


def test_folds_of_processes_join() -> None:
    one, other = Fold(), Fold()
    one.add(told("a.test", 9999))
    for name in ("b.test", "c.test"):
        other.add(told(name, 9999))
    one.merge(pickle.loads(pickle.dumps(other)))
    assert one.targets == 3
    assert one.verdict().clock.state == "wrong"


def test_a_given_moment_waits_for_no_clock() -> None:
    assert Fold(judge_clock=False).waits_for(told("a.test")) is None
