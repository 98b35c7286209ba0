"""Algorithms that some clients do not know: each is named, with the clients, and never taken for a bad signature.

``tests/clients/test_odd_certificates.py`` holds all of them against the real clients.
"""

from __future__ import annotations

from typing import Any

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import NOW, Issued

ROOT = pki.root()
ML_DSA = pki.root("ML-DSA Root", private=pki.key("root", "mldsa:65"))
BROWSERS = ["chrome", "firefox"]


def verdict_on(*chain: Issued, anchors: tuple[Issued, ...] = (ROOT,)) -> ChainVerdict:
    verifier = ChainVerifier(
        [pki.store(*anchors)], public_roots=frozenset(), intermediates=Intermediates(shipped=False)
    )
    return verifier.verify(tuple(item.der for item in chain), name="leaf.example", at=NOW)


def unsupported(verdict: ChainVerdict) -> list[dict[str, Any]]:
    problems = [*verdict.chain_problems, *verdict.stores["test"].problems]
    assert {problem.code for problem in problems} <= {"unsupported-algorithm"}
    return [dict(problem.evidence) for problem in problems]


def test_a_leaf_below_an_ml_dsa_root_verifies_and_names_who_does_not_know_that() -> None:
    leaf = pki.certificate("leaf.example", issuer=ML_DSA)
    verdict = verdict_on(leaf, anchors=(ML_DSA,))
    assert verdict.trusted
    (evidence,) = unsupported(verdict)
    assert evidence["signature"] == "ml-dsa-65" and evidence["known_to"] == ["OpenSSL 3.5 and newer"]
    assert evidence["refused_by"] == ["openssl", "go", "java", "firefox", "gnutls"]


def test_a_signature_that_ml_dsa_finds_bad_is_bad() -> None:
    leaf = pki.certificate("leaf.example", issuer=ML_DSA, signer=lambda _: bytes(3309))
    verdict = verdict_on(leaf, anchors=(ML_DSA,))
    assert [problem.code for problem in verdict.stores["test"].problems] == ["bad-signature"]


@pytest.mark.parametrize("dotted", ["1.2.156.10197.1.501", "1.2.643.7.1.1.3.2", "1.2.3.4.5", "1.2.840.113549.1.1.16"])
def test_what_cannot_be_verified_here_is_said_to_be_that(dotted: str) -> None:
    scheme = pki.sequence(pki.oid(dotted))
    verdict = verdict_on(pki.certificate("leaf.example", issuer=ROOT, scheme=scheme, signer=lambda _: b"s" * 64))
    assert not verdict.trusted
    (evidence,) = unsupported(verdict)
    assert "tlsweep cannot verify" in evidence["reason"]
    assert ("openssl" in evidence["refused_by"]) is (dotted != "1.2.156.10197.1.501")


def test_a_client_that_knows_another_valid_path_does_not_refuse() -> None:
    """The CA is cross-signed: by a root with a brainpool key, and by one with a usual key."""
    brainpool = pki.root("Brainpool Root", private=pki.key("root", "ec:brainpoolP256r1"))
    key = pki.key("crossed")
    crossed = [pki.authority("Crossed CA", top, private=key) for top in (brainpool, ROOT)]
    leaf = pki.certificate("leaf.example", issuer=crossed[0])
    only = verdict_on(leaf, crossed[0], anchors=(brainpool,))
    assert unsupported(only)[0]["refused_by"] == ["go", "java", *BROWSERS, "gnutls"]
    both = verdict_on(leaf, *crossed, anchors=(brainpool, ROOT))
    assert all(problem.code != "unsupported-algorithm" for problem in both.chain_problems)


def test_a_second_leaf_with_a_rare_algorithm_does_not_share_the_first_one_s_path() -> None:
    rsa = pki.root("RSA Root", private=pki.key("rsa root", "rsa:2048"))
    verifier = ChainVerifier([pki.store(rsa)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    usual = pki.certificate("leaf.example", issuer=rsa)
    assert verifier.verify((usual.der,), name="leaf.example", at=NOW).is_clean
    sha224 = pki.certificate("leaf.example", issuer=rsa, scheme=pki.SHA224_WITH_RSA, signer=pki.sha224_signer(rsa))
    odd_key = pki.certificate(
        "leaf.example", issuer=rsa, private=rsa.private, public_key=pki.rsa_spki_without_null(rsa)
    )
    for leaf in (sha224, odd_key):
        verdict = verifier.verify((leaf.der,), name="leaf.example", at=NOW)
        assert [problem.evidence["refused_by"] for problem in verdict.chain_problems] == [["go", *BROWSERS]]
