"""The catalogue of broken chains: each one rule broken, and the verdict names that rule and that certificate."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import TrustStore
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued

ROOT = pki.root()
CA = pki.authority("Test CA", ROOT)
LEAF = pki.certificate("leaf.example", issuer=CA)


def verdict_on(
    *chain: Issued,
    anchors: tuple[Issued, ...] = (ROOT,),
    name: str | None = "leaf.example",
    at: float = NOW,
    public: bool = False,
) -> ChainVerdict:
    """Return the verdict of a new verifier with one store called ``test``."""
    verifier = ChainVerifier(
        [pki.store(*anchors)],
        public_roots=frozenset(anchor.sha256 for anchor in anchors) if public else frozenset(),
        intermediates=Intermediates(shipped=False),
    )
    return verifier.verify(tuple(item.der for item in chain), name=name, at=at)


def codes(verdict: ChainVerdict) -> list[str]:
    return [problem.code for problem in verdict.stores["test"].problems]


@dataclass(frozen=True)
class Case:
    """A chain, and what stops it: (code, place in the chain of the certificate that breaks the rule)."""

    chain: tuple[Issued, ...]
    expected: tuple[tuple[str, int | None], ...] = ()
    anchors: tuple[Issued, ...] = (ROOT,)
    at: float = NOW
    leaf: tuple[str, ...] = field(default=())


def _below(ca: Issued, **changes: object) -> Issued:
    return pki.certificate("leaf.example", issuer=ca, **changes)  # type: ignore[arg-type]


def _ca(**changes: object) -> Issued:
    return pki.authority("Test CA", ROOT, **changes)


NO_CA = _ca(ca=False, without=["san"], usages=("keyCertSign",))
PATH0 = _ca(path_length=0)
SUB = pki.authority("Sub CA", PATH0)
CONSTRAINED = _ca(extra=[pki.name_constraints(permitted=["other.example"])])
EXCLUDING = _ca(extra=[pki.name_constraints(excluded=["leaf.example"])])
NO_SIGN = _ca(usages=("cRLSign",))
CLIENT_CA = _ca(purposes=("clientAuth",))
ANY_CA = _ca(purposes=("anyExtendedKeyUsage",))
CRITICAL_CA = _ca(extra=[pki.extension("1.2.3.4", b"\x05\x00", critical=True)])
OLD_CA = _ca(not_after=NOW - DAY)
FUTURE_CA = _ca(not_before=NOW + DAY)
SHA1_CA = _ca(hash_name="sha1", break_signature=False)
WEAK_CA = _ca(private=pki.key("weak", "rsa:1024"))
BROKEN_CA = _ca(break_signature=True)
OLD_ROOT = pki.root("Old Root", not_after=NOW - DAY)
STRANGER = pki.root("Stranger Root")
STRANGER_CA = pki.authority("Stranger CA", STRANGER)
WITH_AIA = [pki.authority_info_access(issuers=["http://ca.test/ca.crt"])]
CLONED_CA = pki.authority("Test CA", ROOT, private=pki.key("another key"))

CASES = {
    "healthy": Case((LEAF, CA)),
    "with its root": Case((LEAF, CA, ROOT)),
    "out of order": Case((LEAF, ROOT, CA)),
    "directly below the anchor": Case((_below(ROOT),)),
    "version 1 root": Case(
        (pki.certificate("leaf.example", issuer=(V1 := pki.root("V1", version=None, without=["extensions"]))),),
        anchors=(V1,),
    ),
    "expired": Case(
        (_below(CA, not_after=NOW - DAY), CA), (("certificate-expired", 0),), leaf=("certificate-expired",)
    ),
    "not yet valid": Case(
        (_below(CA, not_before=NOW + DAY), CA),
        (("certificate-not-yet-valid", 0),),
        leaf=("certificate-not-yet-valid",),
    ),
    "self-signed": Case((pki.certificate("leaf.example"),), (("self-signed-leaf", 0),), leaf=("self-signed-leaf",)),
    "self-signed and trusted": Case((own := pki.certificate("leaf.example"),), anchors=(own,)),
    "pinned leaf": Case((LEAF,), anchors=(LEAF,)),
    "anchored at an intermediate": Case((LEAF,), anchors=(CA,)),
    "unknown root sent": Case((_below(STRANGER_CA), STRANGER_CA, STRANGER), (("untrusted-root", 2),)),
    "unknown root not sent": Case((_below(STRANGER_CA), STRANGER_CA), (("issuer-unknown", 1),)),
    "unknown issuer": Case((_below(STRANGER_CA),), (("issuer-unknown", 0),)),
    "issuer by AIA only": Case((_below(STRANGER_CA, extra=WITH_AIA),), (("intermediate-unobtainable", 0),)),
    "other key of the same name": Case((_below(CA), CLONED_CA), (("issuer-unknown", 0),)),
    "leaf signature broken": Case((_below(CA, break_signature=True), CA), (("bad-signature", 0),)),
    "CA signature broken": Case((_below(BROKEN_CA), BROKEN_CA), (("bad-signature", 1),)),
    "CA expired": Case((_below(OLD_CA), OLD_CA), (("intermediate-expired", 1),)),
    "CA not yet valid": Case((_below(FUTURE_CA), FUTURE_CA), (("intermediate-expired", 1),)),
    "anchor expired": Case((_below(OLD_ROOT),), (("intermediate-expired", None),), anchors=(OLD_ROOT,)),
    "issuer is no CA": Case((_below(NO_CA), NO_CA), (("issuer-not-a-ca", 1),)),
    "issuer without basicConstraints": Case((_below(bare := _ca(without=["bc"])), bare), (("issuer-not-a-ca", 1),)),
    "path length": Case((_below(SUB), SUB, PATH0), (("path-length-exceeded", 2),)),
    "path length kept": Case((_below(PATH0), PATH0)),
    "not permitted": Case((_below(CONSTRAINED), CONSTRAINED), (("name-constraint-violated", 0),)),
    "excluded": Case((_below(EXCLUDING), EXCLUDING), (("name-constraint-violated", 0),)),
    "CA may not sign": Case((_below(NO_SIGN), NO_SIGN), (("wrong-key-usage", 1),)),
    "leaf for signing certificates": Case(
        (_below(CA, usages=("keyCertSign",)), CA), (("wrong-key-usage", 0),), leaf=("wrong-key-usage",)
    ),
    "leaf without digitalSignature": Case((_below(CA, usages=("keyEncipherment",)), CA), leaf=("wrong-key-usage",)),
    "leaf for clients": Case(
        (_below(CA, purposes=("clientAuth",)), CA), (("not-for-server-auth", 0),), leaf=("not-for-server-auth",)
    ),
    "leaf without purposes": Case((_below(CA, without=["eku"]), CA)),
    "CA for clients": Case((_below(CLIENT_CA), CLIENT_CA), (("not-for-server-auth", 1),)),
    "CA for anything": Case((_below(ANY_CA), ANY_CA), (("not-for-server-auth", 1),)),
    "unknown critical extension": Case(
        (_below(CA, extra=[pki.extension("1.2.3.4", b"\x05\x00", critical=True)]), CA),
        (("unknown-critical-extension", 0),),
        leaf=("unknown-critical-extension",),
    ),
    "precertificate": Case(
        (_below(CA, extra=[pki.extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00", critical=True)]), CA),
        (("unknown-critical-extension", 0),),
        leaf=("unknown-critical-extension",),
    ),
    "unknown critical extension of a CA": Case(
        (_below(CRITICAL_CA), CRITICAL_CA), (("unknown-critical-extension", 1),)
    ),
    "SHA-1 leaf": Case((_below(CA, hash_name="sha1"), CA), (("weak-signature", 0),), leaf=("weak-signature",)),
    "SHA-1 CA": Case((_below(SHA1_CA), SHA1_CA), (("weak-signature", 1),)),
    "SHA-1 root": Case((_below(sha1 := pki.root("R1", hash_name="sha1")),), anchors=(sha1,)),
    "MD5": Case(
        (_below(rsa := pki.authority("RSA CA", ROOT, private=pki.key("rsa", "rsa:2048")), hash_name="md5"), rsa),
        (("weak-signature", 0),),
        leaf=("weak-signature",),
    ),
    "RSA-PSS": Case((_below(rsa, pss=True), rsa)),
    "short RSA leaf": Case(
        (_below(CA, private=pki.key("short", "rsa:1024")), CA), (("weak-key", 0),), leaf=("weak-key",)
    ),
    "short RSA CA": Case((_below(WEAK_CA), WEAK_CA), (("weak-key", 1),)),
    "P-192": Case((_below(CA, private=pki.key("p192", "ec:P-192")), CA), (("weak-key", 0),), leaf=("weak-key",)),
    "P-384": Case((_below(CA, private=pki.key("p384", "ec:P-384")), CA)),
    "Ed25519 CA": Case((_below(ed := pki.authority("Ed", ROOT, private=pki.key("ed", "ed25519"))), ed)),
    "negative serial": Case(
        (_below(CA, serial=-5), CA), (("malformed-certificate", 0),), leaf=("malformed-certificate",)
    ),
    "extension twice": Case(
        (_below(CA, extra=[pki.basic_constraints(False)]), CA),
        (("malformed-certificate", 0),),
        leaf=("malformed-certificate",),
    ),
    "algorithms differ": Case(
        (_below(CA, inner_algorithm=pki.algorithm(pki.key("x"), "sha384")), CA),
        (("malformed-certificate", 0),),
        leaf=("malformed-certificate",),
    ),
}


@pytest.mark.parametrize("label", CASES)
def test_each_case_has_its_problems(label: str) -> None:
    case = CASES[label]
    verdict = verdict_on(*case.chain, anchors=case.anchors, at=case.at)
    store = verdict.stores["test"]
    assert store.trusted is (not case.expected), store.problems
    found = [(problem.code, problem.certificate) for problem in store.problems]
    everything = [*case.chain]
    assert found == [
        (code, everything[place].sha256 if place is not None else case.anchors[0].sha256)
        for code, place in case.expected
    ]
    assert [problem.code for problem in verdict.leaf_problems] == list(case.leaf)
    if store.trusted:
        assert store.anchor in {anchor.sha256 for anchor in case.anchors}
        assert store.path[-1] == store.anchor
    assert store.path[0] == case.chain[0].sha256


def test_all_problems_of_a_path_are_listed_worst_first() -> None:
    ca = _ca(not_after=NOW - DAY, purposes=("clientAuth",))
    verdict = verdict_on(_below(ca, not_after=NOW - 1), ca)
    assert codes(verdict) == ["certificate-expired", "intermediate-expired", "not-for-server-auth"]


def test_a_good_path_wins_over_an_expired_cross_sign() -> None:
    old_root = pki.root("Old Root")
    cross = pki.authority("Test Root", old_root, private=ROOT.private, not_after=NOW - DAY)
    verdict = verdict_on(LEAF, CA, cross, anchors=(old_root, ROOT))
    assert verdict.trusted
    assert verdict.stores["test"].path == (LEAF.sha256, CA.sha256, ROOT.sha256)
    assert [problem.code for problem in verdict.chain_problems] == ["chain-has-extras"]
    assert verdict.chain_problems[0].evidence["extras"][0]["why"] == "outside its validity"


def test_the_good_cross_sign_is_found_whichever_comes_first() -> None:
    other = pki.root("Other Root")
    good = pki.authority("Test CA", other, private=CA.private)
    bad = pki.authority("Test CA", ROOT, private=CA.private, not_after=NOW - DAY)
    for chain in ((LEAF, bad, good), (LEAF, good, bad)):
        verdict = verdict_on(*chain, anchors=(ROOT, other))
        assert verdict.trusted
        assert verdict.stores["test"].anchor == other.sha256


def test_validity_is_judged_at_the_moment_given_whatever_was_cached() -> None:
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    chain = (LEAF.der, CA.der)
    leaf = LEAF.parsed

    def at(moment: float) -> list[str]:
        return codes(verifier.verify(chain, name=None, at=moment))

    assert at(NOW) == at(NOW + 1) == []
    assert at(leaf.not_after) == at(leaf.not_after + 0.9) == []
    assert at(leaf.not_after + 1) == ["certificate-expired"]
    assert at(leaf.not_before) == []
    assert at(leaf.not_before - 0.1) == ["certificate-not-yet-valid"]
    assert at(NOW) == []
    assert at(CA.parsed.not_after + 5) == ["certificate-expired", "intermediate-expired"]
    assert at(NOW) == []


def test_caching_never_crosses_a_boundary_of_any_certificate() -> None:
    late = pki.authority("Test CA", ROOT, private=CA.private, not_before=NOW + 10, not_after=NOW + 20 * DAY)
    early = pki.authority("Test CA", ROOT, private=CA.private, not_after=NOW + 5)
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    for moment in (NOW, NOW + 5, NOW + 6, NOW + 9, NOW + 10, NOW + 11, NOW + 7, NOW, NOW + 30 * DAY, NOW + 12):
        chain = (LEAF.der, early.der, late.der)
        fresh = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
        assert verifier.verify(chain, name=None, at=moment) == fresh.verify(chain, name=None, at=moment)


def test_an_intermediate_of_another_host_completes_a_path_that_stays_untrusted() -> None:
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    alone = (LEAF.der,)
    first = verifier.verify(alone, name="leaf.example", at=NOW)
    assert codes(first) == ["issuer-unknown"]
    other = pki.certificate("other.example", issuer=CA)
    assert verifier.verify((other.der, CA.der), name="other.example", at=NOW).trusted
    second = verifier.verify(alone, name="leaf.example", at=NOW)
    store = second.stores["test"]
    assert codes(second) == ["intermediate-not-sent"]
    assert not second.trusted
    assert store.completed_from == {CA.sha256: "run"}
    assert store.path == (LEAF.sha256, CA.sha256, ROOT.sha256)
    assert store.anchor == ROOT.sha256
    missing = store.problems[0].evidence["missing"]
    assert missing == [{"sha256": CA.sha256, "subject": "CN=Test CA", "from": "run"}]
    assert store.problems[0].certificate == LEAF.sha256


def test_each_store_has_a_verdict_of_its_own() -> None:
    verifier = ChainVerifier(
        [pki.store(ROOT, name="ours"), pki.store(STRANGER, name="theirs")],
        public_roots=frozenset(),
        intermediates=Intermediates(shipped=False),
    )
    verdict = verifier.verify((LEAF.der, CA.der), name=None, at=NOW)
    assert verdict.stores["ours"].trusted
    assert not verdict.stores["theirs"].trusted
    assert verdict.trusted


def test_leaf_after_the_distrust_date_of_its_root() -> None:
    for since, trusted in ((NOW - 31 * DAY, False), (NOW - 29 * DAY, True)):
        store = pki.store(ROOT, distrust_after={ROOT.sha256: since})
        verifier = ChainVerifier([store], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
        verdict = verifier.verify((LEAF.der, CA.der), name=None, at=NOW)
        assert verdict.trusted is trusted
        assert codes(verdict) == ([] if trusted else ["untrusted-root"])


@pytest.mark.parametrize(
    ("issued", "days", "too_long"),
    [
        ("2020-08-31", 825, False),
        ("2020-09-01", 399, True),
        ("2026-03-14", 398, False),
        ("2026-03-16", 201, True),
        ("2026-03-16", 200, False),
        ("2027-03-16", 101, True),
        ("2029-03-16", 48, True),
        ("2029-03-16", 47, False),
    ],
)
def test_lifetimes_by_date_of_issue(issued: str, days: int, too_long: bool) -> None:
    from datetime import UTC, datetime

    start = datetime.fromisoformat(issued).replace(tzinfo=UTC).timestamp()
    root = pki.root("Long Root", not_before=start - DAY, not_after=start + 9000 * DAY)
    leaf = pki.certificate("leaf.example", issuer=root, not_before=start, not_after=start + days * DAY - 1)
    verdict = verdict_on(leaf, anchors=(root,), at=start + DAY, public=True)
    assert verdict.trusted and verdict.publicly_trusted
    assert [problem.code for problem in verdict.leaf_problems] == (["validity-too-long"] if too_long else [])
    assert verdict_on(leaf, anchors=(root,), at=start + DAY).leaf_problems == ()


def test_bytes_that_are_not_a_certificate_are_malformed() -> None:
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    verdict = verifier.verify((b"\x30\x03nonsense", CA.der), name="leaf.example", at=NOW)
    assert verdict.leaf is None and not verdict.trusted
    assert [problem.code for problem in verdict.leaf_problems] == ["malformed-certificate"]
    assert codes(verdict) == ["malformed-certificate"]
    verdict = verifier.verify((LEAF.der, b"", CA.der), name="leaf.example", at=NOW)
    assert verdict.trusted
    assert verdict.sent[1] is None
    assert [(problem.code, problem.evidence["position"]) for problem in verdict.chain_problems] == [
        ("malformed-certificate", 1)
    ]


def test_an_empty_chain_has_an_empty_verdict() -> None:
    verdict = verdict_on()
    assert verdict == ChainVerdict(())
    assert not verdict.trusted


def test_a_wrong_name_does_not_change_the_path() -> None:
    verdict = verdict_on(LEAF, CA, name="wrong.example")
    assert verdict.trusted
    assert verdict.name is not None and verdict.name.code == "name-not-in-san"


def test_a_placeholder_is_the_first_problem() -> None:
    fake = pki.name(O="Acme Co", CN="Kubernetes Ingress Controller Fake Certificate")
    verdict = verdict_on(pki.certificate(fake, san=["ingress.local"]), name="leaf.example")
    assert [problem.code for problem in verdict.leaf_problems] == ["placeholder-certificate", "self-signed-leaf"]
    assert verdict.leaf_problems[0].evidence["product"] == "ingress-nginx (Kubernetes)"
    assert codes(verdict) == ["self-signed-leaf"]


def test_an_unchecked_placeholder_is_a_hint() -> None:
    verdict = verdict_on(
        pki.certificate(pki.name(C="AU", ST="Some-State", O="Internet Widgits Pty Ltd"), san=["a.example"])
    )
    (problem,) = verdict.leaf_problems
    assert problem.code == "self-signed-leaf"
    assert problem.evidence["resembles"] == "OpenSSL defaults"


def test_completion_from_the_shipped_set() -> None:
    intermediates = Intermediates()
    offset, length = next(iter(intermediates._index.values()))[0]
    from scanner.x509.certificate import Certificate

    known = Certificate.parse_untrusted(intermediates._data[offset : offset + length])
    assert known in intermediates.shipped(known.subject_der)
    store = TrustStore("test", [known])
    assert known in store
    assert all(not item.self_signed for item in intermediates.shipped(known.subject_der))
