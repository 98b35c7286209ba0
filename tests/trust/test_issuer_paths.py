"""Cached issuer paths against a search for each leaf: the verdict is the same, whatever the leaf is."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.trust import chrome_store, issuer_paths, verifier
from scanner.trust.chrome_store import ChromeStore
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import TrustStore
from scanner.trust.untrusted_issuer import OwnAuthorities
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued
from tests.trust.test_chrome_store import logged

ROOT = pki.root()
OTHER = pki.root("Other Root")
CA = pki.authority("Test CA", ROOT)
CROSS = pki.authority("Test CA", OTHER, private=CA.private)
NAMESAKE = pki.authority("Test CA", ROOT, private=pki.key("another key"))
EXPIRED = pki.authority("Test CA", ROOT, private=CA.private, not_after=NOW - DAY)
FIRST = pki.certificate("first.example", issuer=CA)


def leaf(**changes: Any) -> Issued:
    return pki.certificate("leaf.example", **{"issuer": CA, **changes})


LEAVES = {
    "usual": leaf(),
    "logged": logged(NOW - DAY),
    "expired": leaf(not_after=NOW - DAY),
    "of tomorrow": leaf(not_before=NOW + DAY),
    "long": leaf(not_after=NOW + 900 * DAY),
    "old": leaf(not_before=NOW - 600 * DAY),
    "no signatures": leaf(usages=["keyEncipherment"]),
    "no usage": leaf(usages=["cRLSign"]),
    "usage left out": leaf(without=["ku"]),
    "for clients": leaf(purposes=["clientAuth"]),
    "purposes left out": leaf(without=["eku"]),
    "authority": pki.authority("Sub CA", CA),
    "bad signature": leaf(break_signature=True),
    "weak signature": leaf(hash_name="sha1"),
    "weak key": leaf(private=pki.key("weak", "rsa:1024")),
    "edwards key": leaf(private=pki.key("edwards", "ed25519")),
    "another key's identifier": leaf(authority_key_id=b"x" * 20),
    "no identifier": leaf(without=["aki"]),
    "by a namesake": leaf(issuer=NAMESAKE),
    "by another": leaf(issuer=OTHER),
    "its issuer's name": pki.certificate("Test CA", issuer=CA),
    "self-signed": pki.certificate("leaf.example"),
    "the issuer itself": CA,
    "the root itself": ROOT,
    "unknown critical": leaf(extra=[pki.extension("1.2.3", b"", critical=True)]),
    "flawed": leaf(serial=-5),
    "unnamed": pki.certificate(pki.name(), issuer=CA),
}
SENT = {
    "issuer": (CA,),
    "nothing": (),
    "cross-signed": (CROSS,),
    "root too": (CA, ROOT),
    "both": (CROSS, CA),
    "namesake first": (NAMESAKE, CA),
    "with extras": (CA, OTHER),
    "expired": (EXPIRED,),
    "expired and not": (EXPIRED, CA),
    "expired and cross-signed": (EXPIRED, CROSS),
}
STORES = {
    "one": [pki.store(ROOT)],
    "two": [pki.store(ROOT, name="a"), pki.store(OTHER, ROOT, name="b")],
    "one does not trust": [pki.store(ROOT, name="a"), pki.store(OTHER, name="b")],
    "distrusted": [pki.store(ROOT, distrust_after={ROOT.parsed.sha256: NOW - 100 * DAY})],
    "issuer as anchor": [pki.store(CA)],
    "leaf as anchor": [pki.store(ROOT, LEAVES["usual"], LEAVES["weak signature"])],
}


def a_verifier(stores: list[TrustStore], *, public: bool, own: OwnAuthorities | None = None) -> ChainVerifier:
    roots = frozenset({ROOT.parsed.sha256, CA.parsed.sha256} if public else ())
    return ChainVerifier(stores, public_roots=roots, intermediates=Intermediates(shipped=False), own=own)


def verdicts(
    stores: list[TrustStore],
    sent: tuple[Issued, ...],
    *,
    public: bool = False,
    own: OwnAuthorities | None = None,
    moments: tuple[float, ...] = (NOW, NOW + 3000 * DAY),
) -> list[ChainVerdict]:
    verifier = a_verifier(stores, public=public, own=own)
    after = tuple(item.der for item in sent)
    chains = [(FIRST.der, *after), *((item.der, *after) for item in LEAVES.values())]
    return [verifier.verify(chain, name="leaf.example", at=at) for at in moments for chain in chains]


def compare(monkeypatch: pytest.MonkeyPatch, *arguments: Any, **options: Any) -> None:
    found = verdicts(*arguments, **options)
    with monkeypatch.context() as patch:
        patch.setattr(verifier, "cacheable_path", lambda *_: None)
        expected = verdicts(*arguments, **options)
    assert found == expected
    assert [list(verdict.stores) for verdict in found] == [list(verdict.stores) for verdict in expected]


@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize("stores", STORES)
@pytest.mark.parametrize("public", [False, True])
def test_cached_paths_give_the_verdict_of_a_search(
    monkeypatch: pytest.MonkeyPatch, stores: str, sent: str, public: bool
) -> None:
    compare(monkeypatch, STORES[stores], SENT[sent], public=public)


def test_certificates_of_private_cas_get_the_verdict_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    compare(monkeypatch, STORES["one"], (CA,), own=OwnAuthorities([ROOT.parsed]))
    compare(monkeypatch, STORES["one"], (CA,), own=OwnAuthorities([LEAVES["usual"].parsed]))


def test_leaves_under_name_constraints_get_the_verdict_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    constrained = pki.authority(
        "Test CA", ROOT, private=CA.private, extra=[pki.name_constraints(permitted=["first.example"])]
    )
    compare(monkeypatch, STORES["one"], (constrained,))


@pytest.mark.parametrize("until", [None, NOW - 2 * DAY, NOW])
def test_roots_with_a_date_for_chrome_get_the_verdict_of_a_search(
    monkeypatch: pytest.MonkeyPatch, until: float | None
) -> None:
    root = ROOT.parsed.sha256
    table = ChromeStore({root: until}, frozenset(), frozenset({root}))
    monkeypatch.setattr(verifier, "chrome_store", lambda: table)
    monkeypatch.setattr(issuer_paths, "chrome_store", lambda: table)
    compare(monkeypatch, STORES["one"], (CA,), public=True)
    assert chrome_store.chrome_store() is not table


def test_another_moment_gets_the_verdict_of_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two certificates of one issuer, each valid in its turn."""
    early = pki.authority("Test CA", ROOT, private=CA.private, not_after=NOW + DAY)
    late = pki.authority("Test CA", ROOT, private=CA.private, not_before=NOW - DAY)
    for sent in ((early, late), (late, early)):
        compare(monkeypatch, STORES["one"], sent, moments=(NOW, NOW - 3 * DAY, NOW + 3 * DAY, NOW - 3 * DAY, NOW))


def test_second_leaf_of_an_issuer_uses_the_cached_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is verified without a search for paths."""
    verifier = a_verifier(STORES["two"], public=False)
    verifier.verify((FIRST.der, CA.der), name=None, at=NOW)
    monkeypatch.setattr(verifier, "_contexts_of", lambda *_: pytest.fail("judged at length"))
    verdict = verifier.verify((LEAVES["usual"].der, CA.der), name="leaf.example", at=NOW)
    assert verdict.trusted and verdict.path == (LEAVES["usual"].parsed, CA.parsed, ROOT.parsed)
    assert verdict.name is not None and verdict.name.matches


def test_leaves_below_an_expired_intermediate_share_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    verifier = a_verifier(STORES["one"], public=True)
    first = verifier.verify((FIRST.der, EXPIRED.der), name=None, at=NOW)
    assert [problem.code for problem in first.stores["test"].problems] == ["intermediate-expired"]
    with monkeypatch.context() as patch:
        patch.setattr(verifier, "_contexts_of", lambda *_: pytest.fail("paths were searched"))
        second = verifier.verify((LEAVES["usual"].der, EXPIRED.der), name="leaf.example", at=NOW)
    assert second.stores["test"].problems == first.stores["test"].problems
    # a further intermediate may be the way around it
    verifier.intermediates.learn(CA.parsed)
    third = verifier.verify((LEAVES["long"].der, EXPIRED.der), name=None, at=NOW)
    assert "replacement" in third.stores["test"].problems[0].evidence
