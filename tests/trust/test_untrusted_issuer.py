"""Who issued what nobody vouches for, and whose issuer is not worth a thought."""

from __future__ import annotations

from msgspec.structs import replace

from scanner.trust.untrusted_issuer import OwnAuthorities, issuer_id, made_for_untrusted, untrusted_issuer_of
from scanner.trust.verdicts import ChainVerdict
from tests.helpers import pki

CA = pki.root("Box CA")
LEAF = pki.certificate("www.example.org", issuer=CA)


def verdict(*sent: pki.Issued) -> ChainVerdict:
    return ChainVerdict(tuple(item.parsed for item in sent))


def test_issuers_are_identified_by_name_and_key() -> None:
    one, other = (
        untrusted_issuer_of(verdict(LEAF, CA)),
        untrusted_issuer_of(verdict(pki.certificate("b.example", issuer=CA), CA)),
    )
    assert one is not None and other is not None
    assert one.key == other.key == issuer_id(CA.subject_der, CA.parsed.spki_der)
    assert one.keyed and one.leaf_key != other.leaf_key and not one.own_key and not one.operated
    namesake = pki.root("Box CA", private=pki.key("another box"))
    third = untrusted_issuer_of(verdict(pki.certificate("c.example", issuer=namesake), namesake))
    assert third is not None and third.key != one.key and third.issuer == one.issuer


def test_an_issuer_that_was_not_sent_is_identified_by_its_key_identifier() -> None:
    alone = untrusted_issuer_of(verdict(LEAF))
    assert alone is not None and alone.keyed
    assert alone.key == issuer_id(CA.subject_der, LEAF.parsed.authority_key_id)
    bare = untrusted_issuer_of(verdict(pki.certificate("www.example.org", issuer=CA, without=["aki"])))
    assert bare is not None and not bare.keyed


def test_a_leaf_with_its_issuer_s_key_is_recognised() -> None:
    leaf = pki.certificate("www.example.org", issuer=CA, private=CA.private)
    for sent in ((leaf, CA), (leaf,)):
        found = untrusted_issuer_of(verdict(*sent))
        assert found is not None and found.own_key


def test_an_issuer_that_publishes_is_operated() -> None:
    url = pki.tlv(0x86, b"http://crl.example/1.crl")
    points = pki.sequence(pki.sequence(pki.tlv(0xA0, pki.tlv(0xA0, url))))
    leaf = pki.certificate("www.example.org", issuer=CA, extra=[pki.extension("2.5.29.31", points)])
    found = untrusted_issuer_of(verdict(leaf, CA))
    assert found is not None and found.operated


def test_public_own_and_self_issued_certificates_have_no_untrusted_issuer() -> None:
    assert untrusted_issuer_of(ChainVerdict(())) is None
    assert untrusted_issuer_of(verdict(pki.certificate("www.example.org"))) is None  # vouches for itself
    assert untrusted_issuer_of(replace(verdict(LEAF, CA), publicly_trusted=True)) is None
    assert untrusted_issuer_of(replace(verdict(LEAF, CA), own_ca=True)) is None
    origin = pki.certificate(
        pki.name(O="CloudFlare, Inc.", CN="CloudFlare Origin Certificate"),
        san=["www.example.org"],
        issuer_name=pki.name(O="CloudFlare, Inc.", OU="CloudFlare Origin SSL Certificate Authority"),
        signed_by=pki.key("origin"),
    )
    assert untrusted_issuer_of(verdict(origin)) is None  # one CA for a hosting platform's customers
    factory = pki.certificate(
        pki.name(CN="fw"), issuer_name=pki.name(CN="ASA Temporary Self Signed Certificate"), signed_by=pki.key("x")
    )
    assert untrusted_issuer_of(verdict(factory)) is None


def test_a_certificate_for_a_name_that_cannot_exist_was_made_on_the_spot() -> None:
    made = pki.certificate("nobody.invalid", issuer=CA)
    assert made_for_untrusted(made.der, "nobody.invalid", LEAF.parsed)
    assert not made_for_untrusted(LEAF.der, "nobody.invalid", LEAF.parsed)
    other = pki.certificate("nobody.invalid", issuer=pki.root("Other CA"))
    assert not made_for_untrusted(other.der, "nobody.invalid", LEAF.parsed)
    assert not made_for_untrusted(b"\x30\x00", "nobody.invalid", LEAF.parsed)


def test_private_cas_cover_what_they_issued() -> None:
    issuing = pki.authority("Box Issuing CA", CA)
    deep = pki.certificate("deep.example", issuer=issuing)
    own = OwnAuthorities([CA.parsed])
    assert own and not OwnAuthorities()
    assert own.covers([LEAF.parsed])
    assert own.covers([deep.parsed, issuing.parsed])
    assert own.covers([None, CA.parsed])
    assert not own.covers([deep.parsed])
    namesake = pki.root("Box CA", private=pki.key("another box"))
    assert not own.covers([pki.certificate("c.example", issuer=namesake).parsed, namesake.parsed])
