"""What was sent against what should be."""

from __future__ import annotations

from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued
from tests.trust.test_verifier import verdict_on

ROOT = pki.root()
TOP = pki.authority("Top", ROOT)
CA = pki.authority("CA", TOP)
LEAF = pki.certificate("leaf.example", issuer=CA)
STRANGER = pki.authority("Stranger", pki.root("Elsewhere"))


def problems_of(*chain: Issued) -> list[str]:
    verdict = verdict_on(*chain, anchors=(ROOT,))
    assert verdict.trusted
    return [problem.code for problem in verdict.chain_problems]


def test_a_path_without_its_root_has_no_problem() -> None:
    assert problems_of(LEAF, CA, TOP) == []


def test_a_root_that_was_sent_is_reported() -> None:
    assert problems_of(LEAF, CA, TOP, ROOT) == ["root-sent"]
    assert problems_of(LEAF, ROOT, CA, TOP) == ["root-sent"]


def test_certificates_out_of_order_are_reported_with_the_right_order() -> None:
    verdict = verdict_on(LEAF, TOP, CA, anchors=(ROOT,))
    (problem,) = verdict.chain_problems
    assert problem.code == "chain-misordered"
    assert problem.evidence["sent"] == ["CN=leaf.example", "CN=Top", "CN=CA"]
    assert problem.evidence["should_be"] == ["CN=leaf.example", "CN=CA", "CN=Top"]


def test_certificates_that_no_path_uses_and_duplicates_are_extras() -> None:
    verdict = verdict_on(LEAF, CA, STRANGER, CA, TOP, LEAF, anchors=(ROOT,))
    (problem,) = verdict.chain_problems
    assert problem.code == "chain-has-extras"
    assert [(extra["position"], extra["why"]) for extra in problem.evidence["extras"]] == [
        (2, "no valid path uses it"),
        (3, "sent twice"),
        (5, "sent twice"),
    ]


def test_an_expired_extra_is_reported_as_expired() -> None:
    old = pki.authority("CA", TOP, private=CA.private, not_after=NOW - DAY)
    verdict = verdict_on(LEAF, CA, TOP, old, anchors=(ROOT,))
    (problem,) = verdict.chain_problems
    assert problem.evidence["extras"][0]["why"] == "outside its validity"


def test_a_cross_sign_that_closes_another_path_is_not_an_extra() -> None:
    other = pki.root("Other")
    cross = pki.authority("Test Root", other, private=ROOT.private)
    verdict = verdict_on(LEAF, CA, TOP, cross, anchors=(ROOT, other))
    assert verdict.trusted and verdict.chain_problems == ()
    assert [problem.code for problem in verdict_on(LEAF, CA, TOP, cross, anchors=(ROOT,)).chain_problems] == [
        "chain-has-extras"
    ]


def test_several_problems_are_reported_together() -> None:
    assert problems_of(LEAF, TOP, ROOT, STRANGER, CA) == ["chain-misordered", "root-sent", "chain-has-extras"]


def test_thousands_of_certificates_are_compared() -> None:
    verdict = verdict_on(LEAF, CA, TOP, *([STRANGER] * 3000), anchors=(ROOT,))
    assert verdict.trusted and len(verdict.sent) == 3003
