"""Signature algorithms: their names and weakness, and verification with keys of the right kind only."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x25519

from scanner.x509.der import DerError
from scanner.x509.signatures import algorithm_untrusted, key_kind, verify_signature
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
def test_pss_verifies_with_its_hash(hash_name: str) -> None:
    private = pki.key("s", "rsa:2048")
    scheme = algorithm_untrusted(pki.algorithm(private, hash_name, pss=True))
    assert scheme.name == f"rsassa-pss-{hash_name}"
    signature = pki.sign(private, b"data", hash_name, pss=True)
    assert verify_signature(private.public_key(), scheme, signature, b"data") is True
    assert verify_signature(private.public_key(), scheme, bytes(256), b"data") is False


def test_md5_and_sha1_are_weak() -> None:
    key = pki.key("s", "rsa:2048")
    assert algorithm_untrusted(pki.algorithm(key, "sha1")).weak
    assert algorithm_untrusted(pki.algorithm(key, "md5")).weak
    assert not algorithm_untrusted(pki.algorithm(key)).weak
    assert not algorithm_untrusted(pki.algorithm(pki.key("s", "ed25519"))).weak
    default = algorithm_untrusted(sequence(pki.oid("1.2.840.113549.1.1.10"), sequence()))
    assert (default.name, default.salt_length, default.weak) == ("rsassa-pss-sha1", 20, True)


def test_unknown_algorithms_give_none() -> None:
    public = pki.key("s", "rsa:2048").public_key()
    for identifier in (
        sequence(pki.oid("1.2.3.4")),
        sequence(pki.oid("1.2.840.113549.1.1.2"), tlv(0x05)),
        sequence(pki.oid("1.2.840.113549.1.1.10"), sequence(tlv(0xA2, pki.integer(1 << 40)))),
        sequence(pki.oid("1.2.840.113549.1.1.10"), tlv(0x04, b"x")),
    ):
        assert verify_signature(public, algorithm_untrusted(identifier), b"", b"") is None


@pytest.mark.parametrize("identifier", [b"", b"\x30\x00", sequence(tlv(0x05)), sequence(tlv(0x06)), tlv(0x04)])
def test_malformed_identifiers_are_der_errors(identifier: bytes) -> None:
    with pytest.raises(DerError):
        algorithm_untrusted(identifier)


def test_pss_with_a_hash_too_large_for_the_key_is_false() -> None:
    """No key of 512 bits can make such a signature, so whatever was sent is not one."""
    small = rsa.RSAPublicNumbers(65537, (1 << 511) + 187).public_key()
    algorithm = algorithm_untrusted(pki.algorithm(pki.key("s", "rsa:2048"), "sha512", pss=True))
    assert verify_signature(small, algorithm, bytes(64), b"data") is False


def test_keys_that_cannot_sign_have_no_kind() -> None:
    assert key_kind(type(x25519.X25519PrivateKey.generate().public_key())) is None
    assert key_kind(type(pki.key("s", "ed448").public_key())) == "ed448"
