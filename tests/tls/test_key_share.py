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

# Sizes in bits, from the names of RFC 7919 appendix A
_SAFE_PRIME_BITS = dict(zip(offers.FFDHE_GROUPS, (2048, 3072, 4096, 6144, 8192), strict=True))


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


@pytest.mark.parametrize("group", offers.FFDHE_GROUPS)
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


def test_groups_of_tls13_have_shares_but_those_that_are_named() -> None:
    before_tls13 = {offers.X448, *offers.FFDHE_GROUPS, offers.SECP521R1}
    assert {*offers.MODERN_GROUPS, *offers.TLS13_GROUPS, *before_tls13} - KEY_SHARE_GROUPS == set(
        offers.UNCOMPUTED_GROUPS
    )


CURVES: dict[int, ec.EllipticCurve] = {
    offers.SECP256R1: ec.SECP256R1(),
    offers.SECP384R1: ec.SECP384R1(),
    offers.SECP521R1: ec.SECP521R1(),
    offers.BRAINPOOL_P256_TLS13: ec.BrainpoolP256R1(),
    offers.BRAINPOOL_P384_TLS13: ec.BrainpoolP384R1(),
    offers.BRAINPOOL_P512_TLS13: ec.BrainpoolP512R1(),
}


def encapsulated(ours: bytes) -> tuple[bytes, bytes]:
    """Return a peer's secret and ciphertext for a share of ML-KEM."""
    kind = mlkem.MLKEM768PublicKey if len(ours) == 1184 else mlkem.MLKEM1024PublicKey
    return kind.from_public_bytes(ours).encapsulate()


def agreed(ours: bytes, curve: ec.EllipticCurve) -> tuple[bytes, bytes]:
    """Return a peer's secret and share for a share on a curve."""
    peer = ec.generate_private_key(curve)
    secret = peer.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(curve, ours))
    return secret, peer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@pytest.mark.parametrize("group", CURVES)
def test_curves_agree(group: int) -> None:
    secret, share = agreed(KEYS.share(group), CURVES[group])
    assert KEYS.shared_secret_untrusted(group, share) == secret


@pytest.mark.parametrize("group", [offers.MLKEM768, offers.MLKEM1024])
def test_ml_kem_agrees(group: int) -> None:
    secret, ciphertext = encapsulated(KEYS.share(group))
    assert KEYS.shared_secret_untrusted(group, ciphertext) == secret


def test_the_hybrid_of_x25519_has_ml_kem_first() -> None:
    share = KEYS.share(offers.X25519MLKEM768)
    peer = x25519.X25519PrivateKey.generate()
    kem_secret, ciphertext = encapsulated(share[:1184])
    secret = KEYS.shared_secret_untrusted(offers.X25519MLKEM768, ciphertext + peer.public_key().public_bytes_raw())
    assert secret == kem_secret + peer.exchange(x25519.X25519PublicKey.from_public_bytes(share[1184:]))


@pytest.mark.parametrize(
    ("group", "curve", "point"),
    [(offers.SECP256R1MLKEM768, ec.SECP256R1(), 65), (offers.SECP384R1MLKEM1024, ec.SECP384R1(), 97)],
)
def test_other_hybrids_have_the_curve_first(group: int, curve: ec.EllipticCurve, point: int) -> None:
    share = KEYS.share(group)
    kem_secret, ciphertext = encapsulated(share[point:])
    curve_secret, peer_share = agreed(share[:point], curve)
    assert KEYS.shared_secret_untrusted(group, peer_share + ciphertext) == curve_secret + kem_secret


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
