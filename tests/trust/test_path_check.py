"""Weighing paths: forged signatures lead to no anchor, and what is missing is said of the certificate that lacks it."""

from __future__ import annotations

from scanner.trust.intermediates import Intermediates
from scanner.trust.path_check import CLOSED, UNKNOWN, CheckedPath
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued
from tests.trust.test_verifier import codes, verdict_on

ROOT = pki.root()
TOP = pki.authority("Top", ROOT)
CA = pki.authority("CA", TOP)
LEAF = pki.certificate("leaf.example", issuer=CA)


def test_paths_are_ranked_by_kind_then_problems_then_length() -> None:
    leaf = LEAF.parsed
    short, long = (leaf,), (leaf, leaf)
    assert CheckedPath(CLOSED, short, [], {}, None).rank < CheckedPath(CLOSED, long, [], {}, None).rank
    assert CheckedPath(UNKNOWN, long, [], {}, None).rank < CheckedPath(UNKNOWN, short, [], {}, None).rank


def test_a_forged_signature_leads_to_no_anchor() -> None:
    forged = pki.certificate("leaf.example", issuer=ROOT, break_signature=True)
    verdict = verdict_on(forged, anchors=(ROOT,), public=True)
    assert codes(verdict) == ["bad-signature"]
    assert verdict.stores["test"].anchor is None
    assert not verdict.publicly_trusted


def test_a_forged_issuer_name_is_not_a_missing_intermediate() -> None:
    held = Intermediates(shipped=False)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=held)
    verifier.verify((LEAF.der, CA.der, TOP.der), name=None, at=NOW)
    assert held.size == 2
    stranger = pki.certificate("leaf.example", issuer=CA, signed_by=pki.key("proxy"), without=["aki"])
    verdict = verifier.verify((stranger.der,), name=None, at=NOW)
    assert verdict.stores["test"].completed_from == {}
    assert "intermediate-not-sent" not in codes(verdict)


def _after(known: tuple[Issued, ...], *chain: Issued) -> tuple[str | None, list[str]]:
    held = Intermediates(shipped=False)
    for item in known:
        assert held.learn(item.parsed)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=held)
    verdict = verifier.verify(tuple(item.der for item in chain), name=None, at=NOW)
    (problem,) = verdict.stores["test"].problems
    assert problem.code == "intermediate-not-sent"
    return problem.certificate, [item["subject"] for item in problem.evidence["missing"]]


def test_the_certificate_whose_issuer_is_missing_is_named() -> None:
    assert _after((CA, TOP), LEAF) == (LEAF.sha256, ["CN=CA", "CN=Top"])
    assert _after((TOP,), LEAF, CA) == (CA.sha256, ["CN=Top"])
    assert _after((CA,), LEAF, TOP) == (LEAF.sha256, ["CN=CA"])


def test_an_untrusted_root_with_the_name_of_an_anchor_says_so() -> None:
    fake = pki.root("Test Root", private=pki.key("fake"))
    verdict = verdict_on(pki.certificate("leaf.example", issuer=fake), fake, anchors=(ROOT,))
    (problem,) = verdict.stores["test"].problems
    assert problem.code == "untrusted-root"
    assert problem.evidence["anchor_of_same_name"] == ROOT.sha256


def test_a_self_signed_leaf_with_the_name_of_an_anchor_is_self_signed() -> None:
    fake = pki.certificate("Test Root", private=pki.key("fake"), without=["aki"])
    assert codes(verdict_on(fake, anchors=(ROOT,))) == ["self-signed-leaf"]
