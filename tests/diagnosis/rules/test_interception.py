"""Interception is said on proof: a checked name on a certificate for this host, a certificate made on the spot, the fleet."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from scanner.diagnosis.questions import UNKNOWABLE_NAME
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict, InterceptionVerdict
from scanner.model.evidence import Completion, Elsewhere, EndpointEvidence, Stage
from scanner.trust.intermediates import Intermediates
from scanner.trust.untrusted_issuer import OwnAuthorities, issuer_id, made_on_the_spot
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, at, codes, diagnosed, evidence, proof, root, verifier

ZSCALER = pki.certificate(pki.name(O="Zscaler Inc.", CN="Zscaler Root CA"), ca=True)
IBOSS = pki.certificate(pki.name(O="iboss", CN="iboss CA"), ca=True)
PLAIN = pki.root("Corporate CA 7")


def said(ca: pki.Issued, *, host: str = HOST, spot: bool = False, by: Any = None, **context: Any) -> list[str]:
    return codes(diagnosed(evidence(seen(ca, host=host, spot=spot)), by, **context))


def seen(ca: pki.Issued, *, host: str = HOST, spot: bool = False) -> EndpointEvidence:
    leaf = pki.certificate(host, issuer=ca)
    other = pki.certificate(UNKNOWABLE_NAME if spot else host, issuer=ca)
    return at(answered([leaf, ca]), default_certificate=answered([other, ca], sni=UNKNOWABLE_NAME))


def fleet(ca: pki.Issued, *, certain: bool = True) -> FleetVerdict:
    key = issuer_id(ca.subject_der, ca.parsed.spki_der)
    words = {"names_count": 7, "names": ["a.example"], "reasons": ["it makes them on the spot"]}
    return FleetVerdict(interceptors={key: InterceptionVerdict("CN=x", words, certain)})


def test_a_checked_name_decides() -> None:
    diagnosis = diagnosed(evidence(seen(ZSCALER)))
    assert codes(diagnosis)[:2] == ["known-middlebox", "untrusted-root"]
    assert diagnosis.cause == "interception"
    assert proof(diagnosis, "known-middlebox")["product"] == "Zscaler"
    assert diagnosis.clients["curl"].startswith("(60)")


def test_an_unchecked_name_never_decides_alone() -> None:
    assert "known-middlebox" not in said(IBOSS)
    assert "known-middlebox" in said(IBOSS, spot=True)
    assert "known-middlebox" in said(IBOSS, fleet=fleet(IBOSS))
    assert "known-middlebox" not in said(IBOSS, fleet=fleet(IBOSS, certain=False))


def test_a_product_under_its_own_name_is_not_in_between() -> None:
    assert "known-middlebox" not in said(ZSCALER, host="admin.proxy.example")


def test_who_trusts_the_issuer_is_warned() -> None:
    diagnosis = diagnosed(evidence(seen(ZSCALER)), verifier(ZSCALER))
    assert [code for code in codes(diagnosis) if "middlebox" in code] == ["known-middlebox?"]
    assert diagnosis.outcome == "warn"
    plain = at(answered([pki.certificate(HOST, issuer=ZSCALER)]))
    assert codes(diagnosed(evidence(plain), verifier(ZSCALER))) == ["known-middlebox?"]


def test_never_on_a_public_chain() -> None:
    box = pki.certificate(pki.name(O="Zscaler Inc.", CN="Zscaler CA"), issuer=root(), ca=True)
    leaf = pki.certificate(HOST, issuer=box)
    plain = evidence(at(answered([leaf, box])))
    assert codes(diagnosed(plain, verifier(public=True))) == []


def test_never_on_an_estates_own_ca() -> None:
    by = ChainVerifier(
        [pki.store(root())],
        public_roots=frozenset(),
        intermediates=Intermediates(),
        own=OwnAuthorities([ZSCALER.parsed]),
    )
    assert "known-middlebox" not in said(ZSCALER, by=by)
    assert said(ZSCALER, by=by, fleet=fleet(ZSCALER)) == said(ZSCALER, by=by)


def test_verdict_of_the_fleet_is_claimed() -> None:
    diagnosis = diagnosed(evidence(seen(PLAIN)), fleet=fleet(PLAIN))
    assert codes(diagnosis)[:2] == ["issuer-across-unrelated-names", "untrusted-root"]
    assert diagnosis.cause == "interception"
    assert "7 unrelated names" in diagnosis.diagnoses[0]["summary"]
    weak = diagnosed(evidence(seen(PLAIN)), fleet=fleet(PLAIN, certain=False))
    assert codes(weak)[:2] == ["issuer-across-unrelated-names?", "untrusted-root"]
    assert weak.cause == "untrusted-ca"
    assert "issuer-across-unrelated-names" not in said(PLAIN)


def test_certificate_made_on_the_spot_confirms_a_product() -> None:
    leaf = pki.certificate(HOST, issuer=PLAIN).parsed
    assert made_on_the_spot(seen(PLAIN, spot=True), leaf)
    assert not made_on_the_spot(seen(PLAIN), leaf)
    assert not made_on_the_spot(at(answered([leaf.der])), leaf)


def test_another_address_with_a_trusted_certificate_is_claimed() -> None:
    boxed = answered([pki.certificate(HOST, issuer=PLAIN), PLAIN])
    both = evidence(at(boxed), at(answered(), "192.0.2.2"))
    diagnosis = diagnosed(both, verifier(public=True))
    record = next(each for each in diagnosis.diagnoses if each["code"] == "certificate-differs-by-path")
    assert record["endpoints"] == ["192.0.2.1"] and record["evidence"]["where"] == "the address 192.0.2.2"
    # a root that is nobody's public one is no witness
    assert "certificate-differs-by-path?" not in codes(diagnosed(both))


def test_earlier_run_with_a_trusted_certificate_is_claimed() -> None:
    earlier = Elsewhere("an earlier run", "ab" * 32, "CN=Public CA")
    boxed = answered([pki.certificate(HOST, issuer=IBOSS), IBOSS])
    diagnosis = diagnosed(replace(evidence(at(boxed)), elsewhere=(earlier,)))
    # and what was a hint is one no longer
    assert codes(diagnosis)[:2] == ["known-middlebox", "certificate-differs-by-path?"]
    assert "CN=Public CA" in diagnosis.diagnoses[1]["summary"]
    assert codes(diagnosed(replace(evidence(at(answered())), elsewhere=(earlier,)))) == []
    own = replace(evidence(at(boxed)), elsewhere=(earlier,))
    by = ChainVerifier(
        [pki.store(root())], public_roots=frozenset(), intermediates=Intermediates(), own=OwnAuthorities([IBOSS.parsed])
    )
    assert "certificate-differs-by-path?" not in codes(diagnosed(own, by))


def test_pages_of_portals_are_claimed() -> None:
    portal = pki.certificate("login.hotel.example", issuer=root())
    seen = EndpointEvidence(
        "192.0.2.1",
        answered([portal]),
        completions={"http": Completion(Stage.DONE, status=302, location="https://x.test/login")},
    )
    assert "captive-portal" not in codes(diagnosed(evidence(seen)))
    led = FleetVerdict(portals={"x.test/login": {"names_count": 9, "names": ["a.example"]}})
    diagnosis = diagnosed(evidence(seen), fleet=led)
    assert codes(diagnosis)[0] == "captive-portal" and diagnosis.cause == "interception"
    assert "9 unrelated names" in diagnosis.diagnoses[0]["summary"]
    says_so = EndpointEvidence(
        "192.0.2.1", answered([portal]), completions={"http": Completion(Stage.DONE, status=511)}
    )
    diagnosis = diagnosed(evidence(says_so))
    assert codes(diagnosis)[0] == "captive-portal" and "511" in diagnosis.diagnoses[0]["summary"]
