"""What is left of a verdict where verifier fails by a fault of ours."""

from __future__ import annotations

import pytest

from scanner.trust import certificate_rules as rules
from scanner.trust import leaf_only as module
from scanner.trust.leaf_only import leaf_verdict, verify_or_leaf
from scanner.x509.certificate import Certificate
from tests.helpers import evidence, pki
from tests.helpers.evidence import AT, HOST

EXPIRED = pki.certificate(HOST, issuer=evidence.issuing(), not_after=AT - pki.DAY)


def broken(*_: object, **__: object) -> object:
    raise OverflowError("injected")


def test_without_a_bug_it_is_the_verifier_s_verdict() -> None:
    verifier = evidence.verifier()
    sent = evidence.chain()
    assert verify_or_leaf(verifier, sent, name=HOST, at=AT) == verifier.verify(sent, name=HOST, at=AT)
    assert verify_or_leaf(verifier, sent, name=HOST, at=AT).error is None


@pytest.mark.parametrize("name", [HOST, "other.example", None])
def test_after_a_bug_the_leaf_is_judged_alone(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = evidence.verifier()
    monkeypatch.setattr(verifier, "verify", broken)
    verdict = verify_or_leaf(verifier, (EXPIRED.der, evidence.issuing().der), name=name, at=AT)
    assert [problem.code for problem in verdict.leaf_problems] == ["certificate-expired"]
    assert verdict.error is not None and "certificates: OverflowError: injected" in verdict.error
    assert not verdict.trusted and not verdict.is_clean and not verdict.stores
    assert (verdict.name is None) is (name is None)
    assert verdict.name is None or verdict.name.matches is (name == HOST)


def test_after_a_bug_in_the_leaf_s_rules_its_dates_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "leaf_problems", broken)
    monkeypatch.setattr(module, "match_name", broken)
    verdict = leaf_verdict((EXPIRED.der,), name=HOST, at=AT, error="first")
    assert [problem.code for problem in verdict.leaf_problems] == ["certificate-expired"]
    assert verdict.name is None
    assert verdict.error is not None and verdict.error.count("injected") == 2 and verdict.error.startswith("first; ")


def test_certificates_that_cannot_be_read_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = leaf_verdict((EXPIRED.der, b"\x30\x01"), name=None, at=AT, error="x").sent
    assert sent[0] is not None and sent[1] is None
    monkeypatch.setattr(Certificate, "parse_untrusted", broken)
    assert leaf_verdict((EXPIRED.der,), name=HOST, at=AT, error="x").sent == (None,)
