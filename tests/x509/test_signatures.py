"""Signature algorithms: named, judged weak or not, and verified with the right kind of key only."""

from __future__ import annotations

import pytest

from scanner.x509.der import DerError
from scanner.x509.signatures import algorithm_untrusted, verify_signature
from tests.helpers import pki
from tests.helpers.pki import sequence, tlv

KINDS = ["rsa:2048", "ec:P-256", "ec:P-384", "ed25519", "ed448", "dsa:1024"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_verifies_with_its_key_alone(kind: str) -> None:
    private = pki.key("s", kind)
    scheme = algorithm_untrusted(pki.algorithm(private))
    signature = pki.sign(private, b"data")
    assert verify_signature(private.public_key(), scheme, signature, b"data") is True
    assert verify_signature(private.public_key(), scheme, signature, b"other") is False
    assert verify_signature(private.public_key(), scheme, b"", b"data") is False
    for other in KINDS:
        if other.partition(":")[0] != kind.partition(":")[0]:
            assert verify_signature(pki.key("s", other).public_key(), scheme, signature, b"data") is False


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_pss(hash_name: str) -> None:
    private = pki.key("s", "rsa:2048")
    scheme = algorithm_untrusted(pki.algorithm(private, hash_name, pss=True))
    assert scheme.name == f"rsassa-pss-{hash_name}"
    signature = pki.sign(private, b"data", hash_name, pss=True)
    assert verify_signature(private.public_key(), scheme, signature, b"data") is True
    assert verify_signature(private.public_key(), scheme, bytes(256), b"data") is False


def test_weak_hashes() -> None:
    rsa = pki.key("s", "rsa:2048")
    assert algorithm_untrusted(pki.algorithm(rsa, "sha1")).weak
    assert algorithm_untrusted(pki.algorithm(rsa, "md5")).weak
    assert not algorithm_untrusted(pki.algorithm(rsa)).weak
    assert not algorithm_untrusted(pki.algorithm(pki.key("s", "ed25519"))).weak
    default = algorithm_untrusted(sequence(pki.oid("1.2.840.113549.1.1.10"), sequence()))
    assert (default.name, default.salt_length, default.weak) == ("rsassa-pss-sha1", 20, True)


def test_what_cannot_be_checked_is_none_not_false() -> None:
    public = pki.key("s", "rsa:2048").public_key()
    for identifier in (
        sequence(pki.oid("1.2.3.4")),
        sequence(pki.oid("1.2.840.113549.1.1.2"), tlv(0x05)),
        sequence(pki.oid("1.2.840.113549.1.1.10"), sequence(tlv(0xA2, pki.integer(1 << 40)))),
        sequence(pki.oid("1.2.840.113549.1.1.10"), tlv(0x04, b"x")),
    ):
        assert verify_signature(public, algorithm_untrusted(identifier), b"", b"") is None


@pytest.mark.parametrize("identifier", [b"", b"\x30\x00", sequence(tlv(0x05)), sequence(tlv(0x06)), tlv(0x04)])
def test_what_is_no_identifier(identifier: bytes) -> None:
    with pytest.raises(DerError):
        algorithm_untrusted(identifier)
