"""Valid paths that OpenSSL and GnuTLS do not find; what clients answer is in ``tests/clients/answers.py``."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.verdicts import ChainVerdict, Problem
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued

OPENSSL = shutil.which("openssl")
ROOT = pki.root()
ELSEWHERE = pki.root("Root of nowhere")
KEY = pki.key("crossed")
GOOD = pki.authority("Crossed CA", ROOT, private=KEY, serial=70)
LEAF = pki.certificate("leaf.example", issuer=GOOD)


def verdict_on(*chain: Issued, anchors: tuple[Issued, ...] = (ROOT,), at: float = NOW) -> ChainVerdict:
    verifier = ChainVerifier(
        [pki.store(*anchors)], public_roots=frozenset(), intermediates=Intermediates(shipped=False)
    )
    return verifier.verify(tuple(item.der for item in chain), name="leaf.example", at=at)


def dead_end(*chain: Issued, anchors: tuple[Issued, ...] = (ROOT,), at: float = NOW) -> Problem | None:
    verdict = verdict_on(*chain, anchors=anchors, at=at)
    assert verdict.trusted
    return next((item for item in verdict.chain_problems if item.code == "path-not-found-by-all"), None)


def crossed(issuer: Issued = ROOT, **changes: Any) -> Issued:
    return pki.authority("Crossed CA", issuer, private=KEY, serial=71, **changes)


def test_the_certificate_to_leave_out_is_named_with_what_is_wrong_with_its_path() -> None:
    cross = crossed(ELSEWHERE)
    problem = dead_end(LEAF, cross, GOOD)
    assert problem is not None and problem.certificate == cross.sha256
    evidence = problem.evidence
    assert evidence["position"] == 1 and evidence["because"] == "issuer-unknown"
    assert evidence["refused_by"] == ["openssl", "curl", "python", "gnutls"]
    assert evidence["path"] == ["CN=leaf.example", "CN=Crossed CA"]
    assert evidence["valid_path"] == [LEAF.sha256, GOOD.sha256, ROOT.sha256]
    assert dead_end(LEAF, GOOD, cross) is None


def test_it_is_an_error_beside_a_store_that_trusts_the_chain() -> None:
    verdict = verdict_on(LEAF, crossed(ELSEWHERE), GOOD)
    assert verdict.trusted and not verdict.is_clean
    assert [item.code for item in verdict.chain_problems] == ["path-not-found-by-all", "chain-has-extras"]


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"purposes": ("clientAuth",)}, "not-for-server-auth"),
        ({"without": ("bc",)}, "issuer-not-a-ca"),
        ({"break_signature": True}, "bad-signature"),
        ({"hash_name": "sha1"}, "weak-signature"),
        ({"extra": [pki.name_constraints(excluded=["example"])]}, "name-constraint-violated"),
    ],
)
def test_a_ca_certificate_that_may_not_is_a_dead_end_too(changes: dict[str, Any], because: str) -> None:
    problem = dead_end(LEAF, crossed(**changes), GOOD)
    assert problem is not None and problem.evidence["because"] == because


def test_openssl_passes_over_what_is_not_valid_today_and_gnutls_does_not() -> None:
    for out_of_date in (crossed(not_after=NOW - DAY), crossed(not_before=NOW + DAY)):
        problem = dead_end(LEAF, out_of_date, GOOD)
        assert problem is not None and problem.evidence["refused_by"] == ["gnutls"]
    # of several that are out of date, OpenSSL takes the one that ended last
    late = pki.authority("Crossed CA", ROOT, private=KEY, serial=72, not_after=NOW + 20 * DAY)
    early = crossed(not_after=NOW + 10 * DAY)
    assert dead_end(LEAF, early, late, at=NOW) is None
    problem = dead_end(LEAF, early, late, at=NOW + 15 * DAY)
    assert problem is not None and problem.evidence["refused_by"] == ["gnutls"]


def test_what_policies_alone_forbid_is_nothing_to_openssl() -> None:
    demanding = crossed(extra=[pki.extension("2.5.29.36", pki.sequence(pki.tlv(0x80, b"\0")), critical=True)])
    problem = dead_end(LEAF, demanding, GOOD)
    assert problem is not None and problem.evidence["refused_by"] == ["gnutls"]


def test_an_anchor_is_taken_before_anything_that_was_sent() -> None:
    own_root = pki.root("Crossed CA", private=KEY)
    assert dead_end(LEAF, crossed(ELSEWHERE), anchors=(own_root, ROOT)) is None
    # even one that has expired, though what was sent leads to another
    old = pki.root("Crossed CA", private=KEY, not_after=NOW - DAY)
    problem = dead_end(LEAF, GOOD, anchors=(old, ROOT))
    assert problem is not None and problem.certificate == old.sha256
    assert problem.evidence["anchor_taken"] == "CN=Crossed CA" and "position" not in problem.evidence
    assert problem.evidence["because"] == "intermediate-expired"


def test_a_namesake_with_another_key_is_told_apart_by_its_identifier_or_kind_of_key() -> None:
    namesake = pki.authority("Crossed CA", ROOT, private=pki.key("namesake"))
    assert dead_end(LEAF, namesake, GOOD) is None
    anonymous = pki.certificate("leaf.example", issuer=GOOD, without=("aki",))
    problem = dead_end(anonymous, namesake, GOOD)
    assert problem is not None and problem.evidence["because"] == "bad-signature"
    other_kind = pki.authority("Crossed CA", ROOT, private=pki.key("namesake", "rsa:2048"))
    problem = dead_end(anonymous, other_kind, GOOD)
    assert problem is not None and problem.evidence["refused_by"] == ["gnutls"]


def test_java_takes_certificates_of_one_name_in_a_row_for_the_path() -> None:
    old = pki.authority("Self-certifying CA", ROOT)
    new, newer = [pki.authority("Self-certifying CA", old, private=pki.key(f"{number}. key")) for number in (2, 3)]
    leaf = pki.certificate("leaf.example", issuer=new)
    problem = dead_end(leaf, new, newer, old)
    assert problem is not None and problem.certificate == newer.sha256
    assert problem.evidence["refused_by"] == ["java"] and problem.evidence["because"] == "bad-signature"
    # with the old one before, the names are not in a row to an anchor, and it searches
    assert dead_end(leaf, new, old, newer) is None
    assert dead_end(leaf, new, old) is None
    assert dead_end(leaf, new, old, ROOT) is None


def test_one_store_in_which_it_is_found_is_enough() -> None:
    both = [pki.store(ROOT, name="one"), pki.store(ROOT, ELSEWHERE, name="two")]
    verifier = ChainVerifier(both, public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    verdict = verifier.verify((LEAF.der, crossed(ELSEWHERE).der, GOOD.der), name="leaf.example", at=NOW)
    assert "path-not-found-by-all" not in [item.code for item in verdict.chain_problems]


@pytest.mark.skipif(OPENSSL is None, reason="the openssl program is not installed")
@pytest.mark.parametrize("seed", range(60))
def test_openssl_finds_random_paths_where_no_dead_end_is_reported(seed: int, tmp_path: Path) -> None:
    """Authorities that sign each other at random, some out of date or for clients, sent in any order."""
    dice = random.Random(seed)
    keys = [pki.key(f"web {number}") for number in range(5)]
    roots = [pki.root(f"Web {number}", private=keys[number]) for number in range(5)]
    anchors = tuple(dice.sample(roots, 2))
    sent: list[Issued] = []
    for _ in range(dice.randrange(2, 9)):
        lower, above = dice.sample(range(5), 2)
        changes: dict[str, object] = {}
        if dice.random() < 0.2:
            changes["not_after"] = NOW - dice.choice([1, 2, 3]) * DAY
        if dice.random() < 0.15:
            changes["purposes"] = ("clientAuth",)
        sent.append(pki.authority(f"Web {lower}", roots[above], private=keys[lower], serial=len(sent) + 1, **changes))
    dice.shuffle(sent)
    leaf = pki.certificate("leaf.example", issuer=dice.choice(roots))
    verdict = verdict_on(leaf, *sent, anchors=anchors)
    problem = next((item for item in verdict.chain_problems if item.code == "path-not-found-by-all"), None)
    refused = problem is not None and "openssl" in problem.evidence["refused_by"]
    for name, items in (("roots", anchors), ("sent", tuple(sent)), ("leaf", (leaf,))):
        (tmp_path / name).write_text(pki.pem(*items))
    command = [str(OPENSSL), "verify", "-purpose", "sslserver", "-attime", str(int(NOW)), "-no-CApath", "-no-CAstore"]
    command += ["-CAfile", str(tmp_path / "roots"), "-untrusted", str(tmp_path / "sent"), str(tmp_path / "leaf")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (ended.returncode == 0) is (verdict.trusted and not refused), ended.stderr
