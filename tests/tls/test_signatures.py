"""Handshake signatures verify with the right key, scheme and content, and with nothing else."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from scanner.tls.signatures import VERIFY_CONTEXT, verify_handshake_signature
from tests.tls.peers import public_key_of
from tests.tls.rfc8448 import SIMPLE

TEXT = b"what is signed"


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def dsa_key() -> dsa.DSAPrivateKey:
    return dsa.generate_private_key(1024)


def pss(algorithm: hashes.HashAlgorithm) -> bytes:
    return rsa_key().sign(TEXT, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)


GOOD: list[tuple[Any, int, Any]] = [
    (ec_key, 0x0403, lambda: ec_key().sign(TEXT, ec.ECDSA(hashes.SHA256()))),
    (ec_key, 0x0503, lambda: ec_key().sign(TEXT, ec.ECDSA(hashes.SHA384()))),
    (ec_key, 0x0203, lambda: ec_key().sign(TEXT, ec.ECDSA(hashes.SHA1()))),
    (rsa_key, 0x0401, lambda: rsa_key().sign(TEXT, padding.PKCS1v15(), hashes.SHA256())),
    (rsa_key, 0x0601, lambda: rsa_key().sign(TEXT, padding.PKCS1v15(), hashes.SHA512())),
    (rsa_key, 0x0201, lambda: rsa_key().sign(TEXT, padding.PKCS1v15(), hashes.SHA1())),
    (rsa_key, 0x0804, lambda: pss(hashes.SHA256())),
    (rsa_key, 0x080A, lambda: pss(hashes.SHA384())),
    (dsa_key, 0x0402, lambda: dsa_key().sign(TEXT, hashes.SHA256())),
]


@pytest.mark.parametrize(("key", "scheme", "sign"), GOOD, ids=[f"{scheme:04x}" for _, scheme, _ in GOOD])
def test_good_signatures_verify_and_changed_ones_do_not(key: Any, scheme: int, sign: Any) -> None:
    signature, public = sign(), key().public_key()
    assert verify_handshake_signature(public, scheme, signature, TEXT) is True
    assert verify_handshake_signature(public, scheme, signature, TEXT + b"!") is False
    assert verify_handshake_signature(public, scheme, signature[:-1], TEXT) is False
    assert verify_handshake_signature(public, scheme, b"", TEXT) is False


@pytest.mark.parametrize(("private", "scheme"), [(ed25519.Ed25519PrivateKey, 0x0807), (ed448.Ed448PrivateKey, 0x0808)])
def test_edwards_keys_verify_with_their_own_scheme_only(private: Any, scheme: int) -> None:
    key = private.generate()
    assert verify_handshake_signature(key.public_key(), scheme, key.sign(TEXT), TEXT) is True
    assert verify_handshake_signature(key.public_key(), scheme, key.sign(TEXT), b"") is False
    assert verify_handshake_signature(key.public_key(), 0x0403, key.sign(TEXT), TEXT) is False


def test_a_scheme_of_another_kind_of_key_is_false_and_an_unknown_one_cannot_be_checked() -> None:
    for key in (rsa_key(), ec_key(), dsa_key()):
        for scheme in (0x0807, 0x0905):
            assert verify_handshake_signature(key.public_key(), scheme, b"x", TEXT) is False
        for scheme in (0x0708, 0x1A1A, 0x0000, 0xFFFF):
            assert verify_handshake_signature(key.public_key(), scheme, b"x", TEXT) is None


@pytest.mark.parametrize("scheme", [0x0904, 0x0905, 0x0906])
def test_ml_dsa_keys_verify_with_the_scheme_of_their_size_only(scheme: int) -> None:
    sizes: dict[int, Any] = {
        0x0904: mldsa.MLDSA44PrivateKey,
        0x0905: mldsa.MLDSA65PrivateKey,
        0x0906: mldsa.MLDSA87PrivateKey,
    }
    key = sizes[scheme].generate()
    signature = key.sign(TEXT)
    for other in sizes:
        verified = verify_handshake_signature(key.public_key(), other, signature, TEXT)
        assert verified is (other == scheme)
    assert verify_handshake_signature(key.public_key(), scheme, signature, TEXT + b"!") is False
    assert verify_handshake_signature(key.public_key(), scheme, b"", TEXT) is False


@pytest.mark.parametrize(
    ("curve", "digest", "scheme"),
    [
        (ec.BrainpoolP256R1, hashes.SHA256, 0x081A),
        (ec.BrainpoolP384R1, hashes.SHA384, 0x081B),
        (ec.BrainpoolP512R1, hashes.SHA512, 0x081C),
    ],
)
def test_brainpool_keys_verify_with_their_schemes_of_tls13(curve: Any, digest: Any, scheme: int) -> None:
    key = ec.generate_private_key(curve())
    signature = key.sign(TEXT, ec.ECDSA(digest()))
    assert verify_handshake_signature(key.public_key(), scheme, signature, TEXT) is True
    assert verify_handshake_signature(key.public_key(), scheme, signature, b"") is False


def test_a_key_that_cannot_sign_gives_none() -> None:
    public = x25519.X25519PrivateKey.generate().public_key()
    assert verify_handshake_signature(public, 0x0403, b"x", TEXT) is None
    assert verify_handshake_signature(public, None, b"x", TEXT) is None


def test_before_tls12_rsa_signs_md5_and_sha1_joined() -> None:
    digest = hashlib.md5(TEXT).digest() + hashlib.sha1(TEXT).digest()
    # PKCS #1 type 1 padding of the bare 36 bytes, raised by hand: no library signs it any more
    numbers = rsa_key().private_numbers()
    size = 256
    block = b"\x00\x01" + b"\xff" * (size - 3 - len(digest)) + b"\x00" + digest
    signature = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")
    public = rsa_key().public_key()
    assert verify_handshake_signature(public, None, signature, TEXT) is True
    assert verify_handshake_signature(public, None, signature, TEXT + b"!") is False
    assert verify_handshake_signature(public, None, b"short", TEXT) is False


def test_before_tls12_ecdsa_and_dsa_sign_sha1() -> None:
    signature = ec_key().sign(hashlib.sha1(TEXT).digest(), ec.ECDSA(Prehashed(hashes.SHA1())))
    assert verify_handshake_signature(ec_key().public_key(), None, signature, TEXT) is True
    assert verify_handshake_signature(dsa_key().public_key(), None, dsa_key().sign(TEXT, hashes.SHA1()), TEXT) is True


def test_the_certificate_verify_of_rfc_8448() -> None:
    messages = [SIMPLE[n] for n in ("client_hello", "server_hello", "encrypted_extensions", "certificate")]
    content = VERIFY_CONTEXT + hashlib.sha256(b"".join(messages)).digest()
    key = public_key_of(SIMPLE["certificate"][11:443])
    message = SIMPLE["certificate_verify"]
    assert verify_handshake_signature(key, int.from_bytes(message[4:6], "big"), message[8:], content) is True
