"""Key shares of the client, and the secrets that they and a server's share make (RFC 8446 section 4.2.8).

One ``KeyMaterial`` serves a whole run: a probe sends no secret, so its ephemeral keys protect nothing but a flight that the
server shows to everyone. Keys of rarer groups are made when first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x448, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from scanner.tls import offers
from scanner.tls.wire import DecodeError

# Bytes of a server's share: an uncompressed point, or a ciphertext (FIPS 203 section 8)
_SHARE_BYTES: Final = {
    offers.X25519: 32,
    offers.SECP256R1: 65,
    offers.SECP384R1: 97,
    offers.MLKEM768: 1088,
    offers.MLKEM1024: 1568,
}
# The two shares that a hybrid joins, in the order in which they are written (draft-ietf-tls-ecdhe-mlkem section 3)
_HYBRIDS: Final = {
    offers.X25519MLKEM768: (offers.MLKEM768, offers.X25519),
    offers.SECP256R1MLKEM768: (offers.SECP256R1, offers.MLKEM768),
    offers.SECP384R1MLKEM1024: (offers.SECP384R1, offers.MLKEM1024),
}
# A SubjectPublicKeyInfo up to the key (RFC 8410 section 4). Loading one is a single call into compiled code (1.9 us);
# ``X25519PublicKey.from_public_bytes`` makes five calls of Python (3.4 us).
_X25519_INFO: Final = bytes.fromhex("302a300506032b656e032100")
_X25519_SIZE: Final = 32

_CURVES: Final[dict[int, Callable[[], ec.EllipticCurve]]] = {
    offers.SECP256R1: ec.SECP256R1,
    offers.SECP384R1: ec.SECP384R1,
    offers.SECP521R1: ec.SECP521R1,
    offers.BRAINPOOL_P256_TLS13: ec.BrainpoolP256R1,
    offers.BRAINPOOL_P384_TLS13: ec.BrainpoolP384R1,
    offers.BRAINPOOL_P512_TLS13: ec.BrainpoolP512R1,
}
_KEMS: Final[Mapping[int, type[mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey]]] = {
    offers.MLKEM768: mlkem.MLKEM768PrivateKey,
    offers.MLKEM1024: mlkem.MLKEM1024PrivateKey,
}

# RFC 7919 appendix A: p = 2^b - 2^(b-64) + (floor(2^(b-130) e) + X) 2^64 - 1
_FFDHE: Final = {
    offers.FFDHE2048: (2048, 560316),
    offers.FFDHE3072: (3072, 2625351),
    offers.FFDHE4096: (4096, 5736041),
    offers.FFDHE6144: (6144, 15705020),
    offers.FFDHE8192: (8192, 10965728),
}
# The size of a private exponent for the largest of them (RFC 7919 section 5.2 asks for at least 400 bits at 8192).
_FFDHE_EXPONENT_BYTES: Final = 50

# Bytes of a public key: uncompressed points, which are the only form that is offered (RFC 8422 section 5.4), or u-coordinates.
_SIZES: Final = {
    offers.SECP256R1: 65,
    offers.SECP384R1: 97,
    offers.SECP521R1: 133,
    offers.X25519: _X25519_SIZE,
    offers.X448: 56,
}
_UNCOMPRESSED: Final = b"\x04"
# u-coordinates of the points of low order on Curve25519 and Curve448, which make a secret of zeros whatever the other side does
# (RFC 7748 section 7; those of Curve25519 are from D. J. Bernstein, "Curve25519", section 3), in all their encodings: numbers up to
# p + 1 are reduced, and the highest bit of the former is ignored.
_P25519: Final = (1 << 255) - 19
_P448: Final = (1 << 448) - (1 << 224) - 1
_ORDER_8: Final = (
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
_LOW_ORDER: Final = frozenset(
    (number | high).to_bytes(32, "little")
    for number in (0, 1, *_ORDER_8, _P25519 - 1, _P25519, _P25519 + 1)
    for high in (0, 1 << 255)
) | frozenset(number.to_bytes(56, "little") for number in (0, 1, _P448 - 1, _P448, _P448 + 1))

# Without ``offers.UNCOMPUTED_GROUPS``, which ``cryptography`` does not have
KEY_SHARE_GROUPS: Final = frozenset({offers.X25519, offers.X448, *_CURVES, *_KEMS, *_HYBRIDS, *_FFDHE})


def fault_of_share(group: int, share: bytes) -> Literal["form", "order"] | None:
    """Return why ``share`` is no public key of ``group``: its length or form, or (X25519 and X448) its low order; else ``None``."""
    size = _SIZES.get(group)
    if size is None:
        return None  # of a group that only old servers have
    if len(share) != size:
        return "form"
    if share in _LOW_ORDER:
        return "order"
    return "form" if group in _CURVES and share[:1] != _UNCOMPRESSED else None


@cache
def ffdhe_prime(group: int) -> int:
    """Return the modulus of a named finite-field group, from its formula (RFC 7919 appendix A)."""
    bits, offset = _FFDHE[group]
    # e to more bits than are wanted: the sum of 1/n! in fixed point
    guard = 64
    scale = bits - 130 + guard
    term = total = 1 << scale
    n = 1
    while term:
        term //= n
        total += term
        n += 1
    e = total >> guard
    return (1 << bits) - (1 << (bits - 64)) + ((e + offset) << 64) - 1


class KeyMaterial:
    """The private keys of one run. ``random`` returns that many unpredictable bytes (for finite-field groups)."""

    __slots__ = ("_curve_keys", "_exponent", "_kem_keys", "_random", "_shares", "_x448", "_x25519")

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._x25519 = x25519.X25519PrivateKey.generate()
        self._kem_keys: dict[int, mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey] = {}
        self._x448: x448.X448PrivateKey | None = None
        self._curve_keys: dict[int, ec.EllipticCurvePrivateKey] = {}
        self._exponent = 0
        self._shares: dict[int, bytes] = {}

    def share(self, group: int) -> bytes:
        """Return the ``key_exchange`` of the client's share for ``group``, one of ``KEY_SHARE_GROUPS``."""
        found = self._shares.get(group)
        if found is None:
            found = self._shares[group] = self._make_share(group)
        return found

    def _make_share(self, group: int) -> bytes:
        if group == offers.X25519:
            return self._x25519.public_key().public_bytes_raw()
        if group in _HYBRIDS:
            first, second = _HYBRIDS[group]
            return self.share(first) + self.share(second)
        if group in _KEMS:
            kem_key = self._kem_keys[group] = _KEMS[group].generate()
            return kem_key.public_key().public_bytes_raw()
        if group == offers.X448:
            self._x448 = x448.X448PrivateKey.generate()
            return self._x448.public_key().public_bytes_raw()
        if group in _CURVES:
            key = self._curve_keys[group] = ec.generate_private_key(_CURVES[group]())
            return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        prime = ffdhe_prime(group)
        if not self._exponent:
            self._exponent = int.from_bytes(self._random(_FFDHE_EXPONENT_BYTES), "big") | 1
        return pow(2, self._exponent, prime).to_bytes((prime.bit_length() + 7) // 8, "big")

    def _exchange_x25519(self, share: bytes) -> bytes:
        if len(share) != _X25519_SIZE:
            raise ValueError(f"{len(share)} bytes instead of {_X25519_SIZE}")
        public: Any = load_der_public_key(_X25519_INFO + share)
        return self._x25519.exchange(public)

    def shared_secret_untrusted(self, group: int, share: bytes) -> bytes:
        """Return the secret shared with the server's ``share``. Raises ``DecodeError`` where that is not valid in the group."""
        try:
            if group == offers.X25519:
                return self._exchange_x25519(share)
            self.share(group)
            if group in _HYBRIDS:
                first, second = _HYBRIDS[group]
                size = _SHARE_BYTES[first]
                if len(share) != size + _SHARE_BYTES[second]:
                    raise ValueError("wrong length")
                secret = self.shared_secret_untrusted(first, share[:size])
                return secret + self.shared_secret_untrusted(second, share[size:])
            if group in self._kem_keys:
                return self._kem_keys[group].decapsulate(share)
            if group == offers.X448 and self._x448 is not None:
                return self._x448.exchange(x448.X448PublicKey.from_public_bytes(share))
            if group in self._curve_keys:
                key = self._curve_keys[group]
                return key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(key.curve, share))
            prime = ffdhe_prime(group)
            size = (prime.bit_length() + 7) // 8
            public = int.from_bytes(share, "big")
            if len(share) != size or not 1 < public < prime - 1:
                raise ValueError("not a member of the group")
            return pow(public, self._exponent, prime).to_bytes(size, "big")
        except ValueError as error:
            raise DecodeError("key_share", f"is not a share of its group ({error})", 0) from None
