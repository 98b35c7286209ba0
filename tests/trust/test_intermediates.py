"""The shipped set and the pool of the run: found by subject, bounded, and never trust."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import scanner
from scanner.trust import intermediates
from scanner.trust.intermediates import ENTRY, MAGIC, Intermediates, subject_key
from scanner.trust.stores import load_store
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW

ROOT = pki.root()
CA = pki.authority("CA", ROOT)


def _shipped() -> list[Certificate]:
    data = (Path(scanner.__file__).parent / "data" / "intermediates.bin").read_bytes()
    assert data.startswith(MAGIC)
    (count,) = struct.unpack_from(">I", data, len(MAGIC))
    start = len(MAGIC) + 4
    entries = list(ENTRY.iter_unpack(data[start : start + count * ENTRY.size]))
    assert [key for key, _, _ in entries] == sorted(key for key, _, _ in entries)
    assert entries[-1][1] + entries[-1][2] == len(data)
    return [Certificate.parse_untrusted(data[offset : offset + length]) for _, offset, length in entries]


def test_the_shipped_file_is_whole_and_every_certificate_is_found_by_its_subject() -> None:
    held = Intermediates()
    found = _shipped()
    assert len(found) > 900
    for certificate in found[::25]:
        assert certificate in held.shipped(certificate.subject_der)
        assert certificate.is_ca and not certificate.self_issued
    assert held.shipped(b"nobody") == ()
    assert subject_key(b"") != subject_key(b"x")


def test_nothing_is_read_where_the_shipped_set_is_left_out() -> None:
    held = Intermediates(shipped=False)
    assert held.shipped(_shipped()[0].subject_der) == ()


def _named(name: str, issuer: str) -> Certificate:
    """Of the shipped ones the last with this common name, by this issuer."""
    return [item for item in _shipped() if item.common_name == name and f"CN={issuer}," in item.issuer][-1]


def test_the_shipped_set_completes_a_real_public_path_which_stays_untrusted() -> None:
    store = load_store("mozilla")
    lower = _named("Cloudflare TLS Issuing ECC CA 1", "SSL.com TLS Transit ECC CA R2")
    verifier = ChainVerifier([store], public_roots=frozenset(store.anchors), intermediates=Intermediates())
    verdict = verifier.verify((lower.der,), name=None, at=lower.not_before + DAY).stores["mozilla"]
    assert [problem.code for problem in verdict.problems] == ["intermediate-not-sent"]
    assert list(verdict.completed_from.values()) == ["shipped"] and not verdict.trusted


@pytest.mark.parametrize(
    ("lower", "root", "older"), [("YE1", "Root YE", "ISRG Root X2"), ("YR1", "Root YR", "ISRG Root X1")]
)
def test_roots_that_no_store_has_yet_need_their_cross_certificate_sent(lower: str, root: str, older: str) -> None:
    """Let's Encrypt's roots of 2025 lead to an anchor only by way of those of 2015 and 2020."""
    store = load_store("mozilla")
    issuing, cross = _named(lower, root), _named(root, older)
    assert not store.with_subject(cross.subject_der), "it has come: another root is needed here"
    at = max(issuing.not_before, cross.not_before) + 86_400

    def above(*sent: Certificate) -> tuple[list[str], str | None]:
        verifier = ChainVerifier([store], public_roots=frozenset(store.anchors), intermediates=Intermediates())
        verdict = verifier.verify(tuple(item.der for item in sent), name=None, at=at).stores["mozilla"]
        # a CA in the place of a leaf has faults of its own
        problems = [problem for problem in verdict.problems if problem.code != "wrong-key-usage"]
        missing = [each["subject"] for problem in problems for each in problem.evidence["missing"]]
        assert [problem.code for problem in problems] == ["intermediate-not-sent"] * bool(missing)
        anchor = store.anchors[verdict.anchor].common_name if verdict.anchor else None
        return missing, anchor

    assert above(issuing, cross) == ([], older)
    assert above(issuing) == ([cross.subject], older)


def test_pools_are_bounded_in_number_bytes_and_certificates_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    held = Intermediates(shipped=False)
    assert held.learn(CA.parsed) and not held.learn(CA.parsed)
    assert held.learnt(CA.subject_der) == (CA.parsed,)
    assert held.size == 1
    assert not held.learn(ROOT.parsed)
    assert not held.learn(pki.certificate("leaf", issuer=CA).parsed)
    for number in range(40):
        held.learn(pki.authority("CA", ROOT, serial=number + 1).parsed)
    assert len(held.learnt(CA.subject_der)) == intermediates.MAX_LEARNT_OF_ONE_NAME
    monkeypatch.setattr(intermediates, "MAX_LEARNT", held.size)
    assert not held.learn(pki.authority("One more", ROOT).parsed)
    monkeypatch.setattr(intermediates, "MAX_LEARNT", held.size + 10)
    monkeypatch.setattr(intermediates, "MAX_LEARNT_BYTES", 10)
    assert not held.learn(pki.authority("One more", ROOT).parsed)


def test_only_issuers_of_verified_paths_are_learnt() -> None:
    stranger = pki.root("Stranger")
    stranger_ca = pki.authority("CA", stranger, private=CA.private)
    forged = pki.authority("CA", ROOT, private=CA.private, break_signature=True)
    held = Intermediates(shipped=False)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=held)
    for ca in (stranger_ca, forged):
        verifier.verify((pki.certificate("a.example", issuer=ca).der, ca.der), name=None, at=NOW)
        assert held.size == 0
    verifier.verify((pki.certificate("a.example", issuer=CA).der, CA.der), name=None, at=NOW)
    assert held.size == 1


def test_an_expired_intermediate_names_its_replacement() -> None:
    old = pki.authority("CA", ROOT, private=CA.private, not_after=NOW - 1)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    verifier.verify((pki.certificate("a.example", issuer=CA).der, CA.der), name=None, at=NOW)
    leaf = pki.certificate("b.example", issuer=CA)
    verdict = verifier.verify((leaf.der, old.der), name=None, at=NOW)
    (problem,) = verdict.stores["test"].problems
    assert problem.code == "intermediate-expired" and problem.certificate == old.sha256
    assert problem.evidence["replacement"] == [{"sha256": CA.sha256, "subject": "CN=CA", "from": "run"}]
    assert verdict.stores["test"].completed_from == {}


def _parsed(issued: pki.Issued) -> Certificate:
    return Certificate.parse_untrusted(issued.der)


def test_a_fetched_certificate_is_added_only_if_it_signed_the_child() -> None:
    child = _parsed(pki.certificate("www.example.org", issuer=CA))
    pool = Intermediates(shipped=False)
    impostor = pki.authority("CA", pki.root("Impostor root"), private=pki.key("impostor"))
    no_authority = pki.certificate("CA", issuer=ROOT)
    for other in (ROOT, pki.authority("Other CA", ROOT), impostor, no_authority):
        assert not pool.learn_fetched(_parsed(other), child)
    assert pool.size == 0
    assert pool.learn_fetched(_parsed(CA), child)
    assert pool.learn_fetched(_parsed(CA), child)
    assert (pool.size, pool.fetched(child.issuer_der)) == (1, (_parsed(CA),))
    assert pool.all_learnt() == []


def test_a_fetched_issuer_completes_the_path_or_shows_where_it_ends() -> None:
    leaf = pki.certificate(
        "www.example.org", issuer=CA, extra=[pki.authority_info_access(issuers=["http://ca.example/"])]
    )
    pool = Intermediates(shipped=False)
    trusting = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=pool)
    doubting = ChainVerifier([pki.store(pki.root("Other"))], public_roots=frozenset(), intermediates=pool)

    def said(verifier: ChainVerifier) -> list[str]:
        [store] = verifier.verify((leaf.der,), name=None, at=NOW).stores.values()
        return [problem.code for problem in store.problems]

    assert said(trusting) == said(doubting) == ["intermediate-unobtainable"]
    assert pool.learn_fetched(_parsed(CA), _parsed(leaf))
    assert (said(trusting), said(doubting)) == (["intermediate-not-sent"], ["issuer-unknown"])
    [store] = trusting.verify((leaf.der,), name=None, at=NOW).stores.values()
    assert dict(store.completed_from) == {_parsed(CA).sha256: "aia"}
    assert pool.learn_fetched(_parsed(ROOT), _parsed(CA))
    assert said(doubting) == ["untrusted-root"]
