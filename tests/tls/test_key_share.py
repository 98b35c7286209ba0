"""Shares and shared secrets of every group that is offered, both sides agreeing."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scanner.tls import offers
from scanner.tls.key_share import KEY_SHARE_GROUPS, KeyMaterial, fault_of_share, ffdhe_prime
from scanner.tls.wire import DecodeError
from tests.tls.peers import KEYS

_FFDHE = (offers.FFDHE2048, offers.FFDHE3072, offers.FFDHE4096)
# Sizes in bits, from the names of RFC 7919 appendix A
_SAFE_PRIME_BITS = {offers.FFDHE2048: 2048, offers.FFDHE3072: 3072, offers.FFDHE4096: 4096}


@pytest.mark.parametrize(
    ("group", "share", "fault"),
    [
        (offers.X25519, bytes(32), "order"),
        (offers.X25519, b"\1" + bytes(31), "order"),
        (offers.X25519, bytes(31) + b"\x80", "order"),  # the highest bit is ignored
        (offers.X25519, ((1 << 255) - 20).to_bytes(32, "little"), "order"),
        (offers.X25519, ((1 << 255) - 19).to_bytes(32, "little"), "order"),  # 0, not reduced
        (offers.X25519, bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"), "order"),
        (offers.X25519, bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"), "order"),
        (offers.X25519, b"\2" + bytes(31), None),
        (offers.X25519, bytes(31), "form"),
        (offers.X448, bytes(56), "order"),
        (offers.X448, b"\5" + bytes(55), None),
        (offers.X448, bytes(32), "form"),
        (offers.SECP256R1, bytes(65), "form"),
        (offers.SECP256R1, b"\2" + bytes(32), "form"),  # compressed
        (offers.SECP384R1, b"\4" + bytes(96), None),
        (0x001A, b"\0", None),  # brainpool is not looked at
    ],
)
def test_public_keys_that_make_no_secret(group: int, share: bytes, fault: str | None) -> None:
    assert fault_of_share(group, share) == fault


@pytest.mark.parametrize(
    "share",
    [bytes(32), b"\1" + bytes(31), bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")],
)
def test_the_library_refuses_the_same(share: bytes) -> None:
    with pytest.raises(ValueError):
        x25519.X25519PrivateKey.generate().exchange(x25519.X25519PublicKey.from_public_bytes(share))


@pytest.mark.parametrize("group", _FFDHE)
def test_finite_field_moduli_are_the_safe_primes_of_rfc_7919(group: int) -> None:
    prime = ffdhe_prime(group)
    assert prime.bit_length() == _SAFE_PRIME_BITS[group]
    assert prime >> (prime.bit_length() - 64) == prime & (1 << 64) - 1 == (1 << 64) - 1
    assert pow(2, (prime - 1) // 2, prime) == 1
    assert pow(3, prime - 1, prime) == 1


def test_ffdhe2048_begins_as_in_the_rfc() -> None:
    assert f"{ffdhe_prime(offers.FFDHE2048):X}"[16:48] == "ADF85458A2BB4A9AAFDC5620273D3CF1"


def test_every_offered_share_can_be_made() -> None:
    for offer in offers.OFFERS.values():
        assert set(offer.key_shares) <= KEY_SHARE_GROUPS & set(offer.groups)


def test_x25519_agrees() -> None:
    peer = x25519.X25519PrivateKey.generate()
    secret = KEYS.shared_secret_untrusted(offers.X25519, peer.public_key().public_bytes_raw())
    assert secret == peer.exchange(x25519.X25519PublicKey.from_public_bytes(KEYS.share(offers.X25519)))


def test_x448_agrees() -> None:
    peer = x448.X448PrivateKey.generate()
    secret = KEYS.shared_secret_untrusted(offers.X448, peer.public_key().public_bytes_raw())
    assert secret == peer.exchange(x448.X448PublicKey.from_public_bytes(KEYS.share(offers.X448)))


@pytest.mark.parametrize(
    ("group", "curve"),
    [(offers.SECP256R1, ec.SECP256R1()), (offers.SECP384R1, ec.SECP384R1()), (offers.SECP521R1, ec.SECP521R1())],
)
def test_curves_agree(group: int, curve: ec.EllipticCurve) -> None:
    peer = ec.generate_private_key(curve)
    share = peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    ours = ec.EllipticCurvePublicKey.from_encoded_point(curve, KEYS.share(group))
    assert KEYS.shared_secret_untrusted(group, share) == peer.exchange(ec.ECDH(), ours)


def test_the_hybrid_is_ml_kem_first_then_x25519() -> None:
    share = KEYS.share(offers.X25519MLKEM768)
    peer = x25519.X25519PrivateKey.generate()
    kem_secret, ciphertext = mlkem.MLKEM768PublicKey.from_public_bytes(share[:1184]).encapsulate()
    secret = KEYS.shared_secret_untrusted(offers.X25519MLKEM768, ciphertext + peer.public_key().public_bytes_raw())
    assert secret == kem_secret + peer.exchange(x25519.X25519PublicKey.from_public_bytes(share[1184:]))


def test_finite_fields_agree() -> None:
    prime = ffdhe_prime(offers.FFDHE2048)
    exponent = int.from_bytes(hashlib.sha256(b"peer").digest(), "big")
    ours = int.from_bytes(KEYS.share(offers.FFDHE2048), "big")
    secret = KEYS.shared_secret_untrusted(offers.FFDHE2048, pow(2, exponent, prime).to_bytes(256, "big"))
    assert secret == pow(ours, exponent, prime).to_bytes(256, "big")


@pytest.mark.parametrize("group", sorted(KEY_SHARE_GROUPS))
@pytest.mark.parametrize("share", [b"", b"\x00", bytes(32), bytes(65), b"\x04" + bytes(64), bytes(1120), bytes(256)])
def test_an_invalid_share_is_a_decode_error(group: int, share: bytes) -> None:
    with pytest.raises(DecodeError, match="key_share"):
        KEYS.shared_secret_untrusted(group, share)


def test_two_runs_have_different_keys() -> None:
    assert KeyMaterial(bytes).share(offers.X25519) != KEYS.share(offers.X25519)
