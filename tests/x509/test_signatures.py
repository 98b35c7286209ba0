"""Signature algorithms: their names and weakness, and verification with keys of the right kind only."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa, x25519

from scanner.x509.der import DerError
from scanner.x509.signatures import algorithm_untrusted, key_kind, pss_key_allows, verify_signature
from tests.helpers import pki
from tests.helpers.pki import sequence, tlv

KINDS = ["rsa:2048", "ec:P-256", "ec:P-384", "ed25519", "ed448", "dsa:1024", "mldsa:44", "mldsa:87"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_verifies_with_its_key_alone(kind: str) -> None:
    private = pki.key("s", kind)
    scheme = algorithm_untrusted(pki.algorithm(private))
    signature = pki.sign(private, b"data")
    assert verify_signature(private.public_key(), scheme, signature, b"data") is True
    assert verify_signature(private.public_key(), scheme, signature, b"other") is False
    assert verify_signature(private.public_key(), scheme, b"", b"data") is False
    for other in KINDS:
        if other.partition(":")[0] != kind.partition(":")[0] or (other != kind and kind.startswith("mldsa")):
            assert verify_signature(pki.key("s", other).public_key(), scheme, signature, b"data") is False


@pytest.mark.parametrize("hash_name", ["sha256", "sha384", "sha512"])
def test_pss_verifies_with_its_hash(hash_name: str) -> None:
    private = pki.key("s", "rsa:2048")
    scheme = algorithm_untrusted(pki.algorithm(private, hash_name, pss=True))
    assert scheme.name == f"rsassa-pss-{hash_name}"
    signature = pki.sign(private, b"data", hash_name, pss=True)
    assert verify_signature(private.public_key(), scheme, signature, b"data") is True
    assert verify_signature(private.public_key(), scheme, bytes(256), b"data") is False


_PSS = "1.2.840.113549.1.1.10"
_SHA256 = sequence(pki.oid("2.16.840.1.101.3.4.2.1"), tlv(0x05))


def _pss(*fields: bytes) -> bytes:
    return sequence(pki.oid(_PSS), sequence(*fields))


def _mask(hash: bytes) -> bytes:
    return tlv(0xA1, sequence(pki.oid("1.2.840.113549.1.1.8"), hash))


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ([tlv(0xA0, _SHA256), _mask(_SHA256), tlv(0xA2, pki.integer(32))], "rsassa-pss-sha256"),
        (
            [tlv(0xA0, _SHA256), _mask(_SHA256), tlv(0xA2, pki.integer(20))],
            "rsassa-pss-sha256 with MGF1 sha256 and a salt of 20 bytes",
        ),
        ([tlv(0xA0, _SHA256)], "rsassa-pss-sha256 with MGF1 sha1 and a salt of 20 bytes"),
        (
            [tlv(0xA0, _SHA256), _mask(_SHA256), tlv(0xA2, pki.integer(32)), tlv(0xA3, pki.integer(1))],
            "rsassa-pss-sha256 with its trailer field",
        ),
        (
            [tlv(0xA0, sequence(pki.oid("2.16.840.1.101.3.4.2.1"))), _mask(_SHA256), tlv(0xA2, pki.integer(32))],
            "rsassa-pss-sha256 without NULL for its hash",
        ),
        ([tlv(0xA3, pki.integer(2))], "rsassa-pss"),
    ],
)
def test_unusual_parameters_of_pss_are_in_its_name(fields: list[bytes], name: str) -> None:
    found = algorithm_untrusted(_pss(*fields))
    assert found.name == name and (found.kind is None) is (name == "rsassa-pss")


@pytest.mark.parametrize("kind", ["ec:P-256", "ed25519", "mldsa:65"])
def test_parameters_that_must_be_absent_are_in_the_name(kind: str) -> None:
    usual = pki.algorithm(pki.key("s", kind))
    with_null = sequence(usual[2:], tlv(0x05))
    name = algorithm_untrusted(usual).name
    found = algorithm_untrusted(with_null)
    assert found.name == name + " with parameters"
    signature = pki.sign(pki.key("s", kind), b"data")
    assert verify_signature(pki.key("s", kind).public_key(), found, signature, b"data") is True


def test_parameters_of_a_pss_key_restrict_it() -> None:
    bits = pki.bit_string(pki.key_bits(pki.key("s", "rsa:2048")))
    fields = [tlv(0xA0, _SHA256), _mask(_SHA256), tlv(0xA2, pki.integer(32))]
    fits, longer = (
        algorithm_untrusted(_pss(*fields)),
        algorithm_untrusted(_pss(*fields[:2], tlv(0xA2, pki.integer(40)))),
    )
    shorter = algorithm_untrusted(_pss(*fields[:2], tlv(0xA2, pki.integer(20))))
    restricted = sequence(_pss(*fields), bits)
    assert [pss_key_allows(restricted, scheme) for scheme in (fits, longer, shorter)] == [True, True, False]
    assert pss_key_allows(sequence(sequence(pki.oid(_PSS)), bits), shorter)
    assert not pss_key_allows(sequence(sequence(pki.oid(_PSS), tlv(0x05)), bits), fits)


@pytest.mark.parametrize(
    ("dotted", "name"), [("1.2.156.10197.1.501", "SM2-with-SM3"), ("1.2.643.7.1.1.3.2", "GOST-R-34.10-2012-256")]
)
def test_some_algorithms_are_known_by_name_alone(dotted: str, name: str) -> None:
    found = algorithm_untrusted(sequence(pki.oid(dotted)))
    assert (found.name, found.kind) == (name, None)


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
