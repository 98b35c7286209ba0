"""Signature algorithms (RFC 5280 section 4.1.1.2): their names, their weakness, and the one place that verifies
signatures.

Certificates, CRLs, OCSP responses and SCTs are verified here, and what servers sign in their handshakes.
``cryptography`` does the work on digests that ``hashlib`` makes. That costs nothing (14.5 us for RSA of 2048 bits,
14.8 where ``cryptography`` hashes too), and other threads run while a list of 64 MB is hashed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from msgspec import Struct

from scanner.x509 import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes


class _Hash:
    """One hash, as ``hashlib`` computes it and as ``cryptography`` wants it named."""

    __slots__ = ("ecdsa", "mgf1", "new", "prehashed")

    def __init__(self, algorithm: hashes.HashAlgorithm) -> None:
        name = algorithm.name.replace("-", "_")
        # SHA-512/256 has no function of its own
        self.new: Any = getattr(hashlib, name, None) or partial(hashlib.new, name)
        if algorithm.name in _WEAK_HASHES:
            # a system may refuse to compute these for security; here they only tell what somebody signed
            self.new = partial(self.new, usedforsecurity=False)
        self.prehashed = Prehashed(algorithm)
        self.ecdsa = ec.ECDSA(self.prehashed)
        self.mgf1 = padding.MGF1(algorithm)


_WEAK_HASHES: Final = frozenset({"md2", "md4", "md5", "sha1"})
_HASHES: Final = {
    algorithm.name: _Hash(algorithm)
    for algorithm in (
        hashes.MD5(),
        hashes.SHA1(),
        hashes.SHA224(),
        hashes.SHA256(),
        hashes.SHA384(),
        hashes.SHA512(),
        hashes.SHA512_256(),
        hashes.SHA3_256(),
        hashes.SHA3_384(),
        hashes.SHA3_512(),
    )
}
_PKCS1: Final = padding.PKCS1v15()
# Kinds of keys by their classes in ``cryptography``
_KEY_CLASSES: Final[dict[str, type[object]]] = {
    "ec": ec.EllipticCurvePublicKey,
    "rsa": rsa.RSAPublicKey,
    "dsa": dsa.DSAPublicKey,
    "ed25519": ed25519.Ed25519PublicKey,
    "ed448": ed448.Ed448PublicKey,
    "ml-dsa-44": mldsa.MLDSA44PublicKey,
    "ml-dsa-65": mldsa.MLDSA65PublicKey,
    "ml-dsa-87": mldsa.MLDSA87PublicKey,
}
# Those that hash by themselves what they sign: RFC 8410 and RFC 9881, whose parameters must be absent
_WITHOUT_HASH: Final = frozenset({"ed25519", "ed448", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"})

_ALGORITHMS: Final = {
    der.encoded_oid(oid): row
    for oid, row in {
        "1.2.840.113549.1.1.2": ("md2WithRSAEncryption", "rsa", "md2"),
        "1.2.840.113549.1.1.3": ("md4WithRSAEncryption", "rsa", "md4"),
        "1.2.840.113549.1.1.4": ("md5WithRSAEncryption", "rsa", "md5"),
        "1.2.840.113549.1.1.5": ("sha1WithRSAEncryption", "rsa", "sha1"),
        "1.3.14.3.2.29": ("sha1WithRSAEncryption", "rsa", "sha1"),
        "1.2.840.113549.1.1.14": ("sha224WithRSAEncryption", "rsa", "sha224"),
        "1.2.840.113549.1.1.11": ("sha256WithRSAEncryption", "rsa", "sha256"),
        "1.2.840.113549.1.1.12": ("sha384WithRSAEncryption", "rsa", "sha384"),
        "1.2.840.113549.1.1.13": ("sha512WithRSAEncryption", "rsa", "sha512"),
        "2.16.840.1.101.3.4.3.14": ("rsassa-pkcs1v15-sha3-256", "rsa", "sha3-256"),
        "2.16.840.1.101.3.4.3.15": ("rsassa-pkcs1v15-sha3-384", "rsa", "sha3-384"),
        "2.16.840.1.101.3.4.3.16": ("rsassa-pkcs1v15-sha3-512", "rsa", "sha3-512"),
        "1.2.840.10045.4.1": ("ecdsa-with-SHA1", "ec", "sha1"),
        "1.2.840.10045.4.3.1": ("ecdsa-with-SHA224", "ec", "sha224"),
        "1.2.840.10045.4.3.2": ("ecdsa-with-SHA256", "ec", "sha256"),
        "1.2.840.10045.4.3.3": ("ecdsa-with-SHA384", "ec", "sha384"),
        "1.2.840.10045.4.3.4": ("ecdsa-with-SHA512", "ec", "sha512"),
        "2.16.840.1.101.3.4.3.10": ("ecdsa-with-SHA3-256", "ec", "sha3-256"),
        "2.16.840.1.101.3.4.3.11": ("ecdsa-with-SHA3-384", "ec", "sha3-384"),
        "2.16.840.1.101.3.4.3.12": ("ecdsa-with-SHA3-512", "ec", "sha3-512"),
        "1.2.840.10040.4.3": ("dsa-with-sha1", "dsa", "sha1"),
        "2.16.840.1.101.3.4.3.1": ("dsa-with-sha224", "dsa", "sha224"),
        "2.16.840.1.101.3.4.3.2": ("dsa-with-sha256", "dsa", "sha256"),
        "1.3.101.112": ("ed25519", "ed25519", None),
        "1.3.101.113": ("ed448", "ed448", None),
        "2.16.840.1.101.3.4.3.17": ("ml-dsa-44", "ml-dsa-44", None),
        "2.16.840.1.101.3.4.3.18": ("ml-dsa-65", "ml-dsa-65", None),
        "2.16.840.1.101.3.4.3.19": ("ml-dsa-87", "ml-dsa-87", None),
    }.items()
}
_PSS: Final = der.encoded_oid("1.2.840.113549.1.1.10")
_MGF1: Final = der.encoded_oid("1.2.840.113549.1.1.8")
_PSS_HASHES: Final = {
    der.encoded_oid(oid): name
    for oid, name in {
        "1.3.14.3.2.26": "sha1",
        "2.16.840.1.101.3.4.2.4": "sha224",
        "2.16.840.1.101.3.4.2.1": "sha256",
        "2.16.840.1.101.3.4.2.2": "sha384",
        "2.16.840.1.101.3.4.2.3": "sha512",
        "2.16.840.1.101.3.4.2.6": "sha512-256",
    }.items()
}

# What ``cryptography`` raises for keys that it does not take
CRYPTOGRAPHY_ERRORS: Final = (ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError)

# Known by name only
SM2_WITH_SM3: Final = "SM2-with-SM3"
_NAMES: Final = {
    der.encoded_oid(oid): name
    for oid, name in {
        "1.2.156.10197.1.501": SM2_WITH_SM3,
        "1.2.643.2.2.3": "GOST-R-34.10-2001",
        "1.2.643.7.1.1.3.2": "GOST-R-34.10-2012-256",
        "1.2.643.7.1.1.3.3": "GOST-R-34.10-2012-512",
        "1.2.840.113549.1.1.15": "sha512-224WithRSAEncryption",
        "1.2.840.113549.1.1.16": "sha512-256WithRSAEncryption",
        "2.16.840.1.101.3.4.3.13": "rsassa-pkcs1v15-sha3-224",
        "2.16.840.1.101.3.4.3.9": "ecdsa-with-SHA3-224",
    }.items()
}

# In the name of an algorithm whose parameters are neither absent nor NULL, or NULL where they must be absent
WITH_PARAMETERS: Final = " with parameters"
# Forms of RSASSA-PSS-params that mean the same as the usual one: a default that is written down, a hash without NULL
WITH_TRAILER: Final = " with its trailer field"
WITHOUT_NULL: Final = " without NULL for its hash"

# RSASSA-PSS as RFC 8446 section 4.2.3 has it, which all clients take: a hash, the same one for the mask, and a salt of
# its length.
_PSS_IN_TLS: Final = {"sha256": 32, "sha384": 48, "sha512": 64}

# A salt longer than the largest key in use could hold is a mistake or a trick.
_MAX_SALT: Final = 2048


class SignatureAlgorithm(Struct, frozen=True):
    """How something was signed. ``kind`` is the kind of key that it needs, or None for an algorithm not known here.

    ``hash`` is None where the key decides it. RSA with a ``mask_hash`` is RSASSA-PSS, and without it PKCS #1 v1.5.
    Parameters that are not the usual ones are in ``name``.
    """

    name: str
    kind: str | None
    hash: str | None
    salt_length: int = 0
    mask_hash: str | None = None

    @property
    def weak(self) -> bool:
        """Whether the hash is one for which collisions can be made (MD2, MD4, MD5, SHA-1)."""
        return self.hash in _WEAK_HASHES


def _pss_untrusted(data: bytes, at: int, end: int) -> SignatureAlgorithm:
    """Decode RSASSA-PSS-params (RFC 4055 section 3.1), where absent fields mean SHA-1 and a salt of 20."""
    hash_name, mask_hash, salt = "sha1", "sha1", 20
    form = ""
    if at < end:
        start, stop = der.expect_untrusted(data, at, end, der.SEQUENCE, "PSS parameters")
        for tag, inner_start, inner_stop in der.children_untrusted(data, start, stop):
            if tag == 0xA0:
                if data[inner_stop - 2 : inner_stop] != b"\x05\x00":
                    form = WITHOUT_NULL
                hash_name = _hash_untrusted(data, inner_start, inner_stop)
            elif tag == 0xA1:
                mgf_start, mgf_stop = der.expect_untrusted(data, inner_start, inner_stop, der.SEQUENCE, "PSS mask")
                oid_start, oid_stop = der.expect_untrusted(data, mgf_start, mgf_stop, der.OID, "PSS mask")
                if data[oid_start:oid_stop] != _MGF1:
                    raise der.DerError("PSS parameters: a mask function that is not MGF1")
                mask_hash = _hash_untrusted(data, oid_stop, mgf_stop)
            elif tag == 0xA2:
                salt_start, salt_stop = der.expect_untrusted(data, inner_start, inner_stop, der.INTEGER, "PSS salt")
                salt = der.integer_untrusted(data, salt_start, salt_stop)
            elif tag == 0xA3:
                field_start, field_stop = der.expect_untrusted(
                    data, inner_start, inner_stop, der.INTEGER, "PSS trailer"
                )
                if der.integer_untrusted(data, field_start, field_stop) != 1:
                    raise der.DerError("PSS parameters: a trailer that is not 0xbc")
                form = WITH_TRAILER
    if not 0 <= salt <= _MAX_SALT:
        raise der.DerError("PSS parameters: an impossible salt length")
    name = f"rsassa-pss-{hash_name}"
    if hash_name != "sha1" and (mask_hash != hash_name or _PSS_IN_TLS.get(hash_name) != salt):
        name += f" with MGF1 {mask_hash} and a salt of {salt} bytes"
    return SignatureAlgorithm(name + form, "rsa", hash_name, salt, mask_hash)


def _hash_untrusted(data: bytes, at: int, end: int) -> str:
    start, stop = der.expect_untrusted(data, at, end, der.SEQUENCE, "PSS hash")
    oid_start, oid_stop = der.expect_untrusted(data, start, stop, der.OID, "PSS hash")
    name = _PSS_HASHES.get(data[oid_start:oid_stop])
    if name is None:
        raise der.DerError("PSS parameters: a hash that is not known")
    return name


def _identifiers() -> Iterator[tuple[bytes, SignatureAlgorithm]]:
    for oid, row in _ALGORITHMS.items():
        for parameters in (b"", b"\x05\x00") if row[1] == "rsa" else (b"",):
            content = bytes((der.OID, len(oid))) + oid + parameters
            yield bytes((der.SEQUENCE, len(content))) + content, SignatureAlgorithm(*row)


# AlgorithmIdentifiers as nearly all certificates have them. RFC 4055 wants NULL for RSA, and no client minds if it is
# absent; RFC 5758, 8410 and 9881 want the parameters absent for all others.
COMMON_IDENTIFIERS: Final = dict(_identifiers())


def algorithm_untrusted(identifier: bytes) -> SignatureAlgorithm:
    """Decode an AlgorithmIdentifier, from the whole of its DER. Raises only ``DerError``."""
    common = COMMON_IDENTIFIERS.get(identifier)
    if common is not None:
        return common
    start, stop = der.whole_untrusted(identifier, der.SEQUENCE, "signature algorithm")
    oid_start, oid_stop = der.expect_untrusted(identifier, start, stop, der.OID, "signature algorithm")
    oid = identifier[oid_start:oid_stop]
    if oid == _PSS:
        try:
            return _pss_untrusted(identifier, oid_stop, stop)
        except der.DerError:
            return SignatureAlgorithm("rsassa-pss", None, None)
    row = _ALGORITHMS.get(oid)
    if row is None:
        return SignatureAlgorithm(_NAMES.get(oid) or der.oid_untrusted(oid), None, None)
    return SignatureAlgorithm(row[0] + WITH_PARAMETERS, *row[1:])


def pss_key_allows(spki: bytes, algorithm: SignatureAlgorithm) -> bool:
    """Return whether the parameters of an RSASSA-PSS key (RFC 4055 section 3.3) allow signatures of this algorithm."""
    try:
        start, stop = der.whole_untrusted(spki, der.SEQUENCE, "subjectPublicKeyInfo")
        at, end = der.expect_untrusted(spki, start, stop, der.SEQUENCE, "key algorithm")
        _, at = der.expect_untrusted(spki, at, end, der.OID, "key algorithm")
        allowed = _pss_untrusted(spki, at, end) if at < end else algorithm
    except der.DerError:
        return False
    same = (allowed.hash, allowed.mask_hash) == (algorithm.hash, algorithm.mask_hash)
    return same and allowed.salt_length <= algorithm.salt_length


@cache  # these classes are abstract and take three calls to recognise theirs, of which there are a dozen
def key_kind(key_class: type) -> str | None:
    """Return the kind ("ec", "rsa", "ml-dsa-65", ...) of a class of keys, or None where its signatures are not known here."""
    return next((kind for kind, base in _KEY_CLASSES.items() if issubclass(key_class, base)), None)


def verify_signature(
    key: CertificatePublicKeyTypes, algorithm: SignatureAlgorithm, signature: bytes, signed: bytes
) -> bool | None:
    """Return whether ``key`` made ``signature`` over ``signed``, or None where that cannot be checked here."""
    kind, hash = algorithm.kind, _HASHES.get(algorithm.hash or "")
    if kind is None or (hash is None and kind not in _WITHOUT_HASH):
        return None
    if key_kind(type(key)) != kind:
        return False
    public: Any = key
    try:
        if hash is None:
            public.verify(signature, signed)
            return True
        digest = hash.new(signed).digest()
        if kind == "ec":
            public.verify(signature, digest, hash.ecdsa)
        elif kind == "dsa":
            public.verify(signature, digest, hash.prehashed)
        elif algorithm.mask_hash is None:
            public.verify(signature, digest, _PKCS1, hash.prehashed)
        else:
            mask = _HASHES[algorithm.mask_hash].mgf1
            public.verify(signature, digest, padding.PSS(mask, algorithm.salt_length), hash.prehashed)
    except (InvalidSignature, ValueError):  # the latter where no signature of this kind fits the key
        return False
    except CRYPTOGRAPHY_ERRORS:
        return None
    return True


def verify_md5_sha1(key: CertificatePublicKeyTypes, signature: bytes, signed: bytes) -> bool | None:
    """Return whether an RSA ``key`` signed the MD5 and SHA-1 of ``signed``, joined, as before TLS 1.2 (RFC 4346 section 7.4.3)."""
    public: Any = key
    expected: bytes = _HASHES["md5"].new(signed).digest() + _HASHES["sha1"].new(signed).digest()
    try:
        digests: bytes = public.recover_data_from_signature(signature, _PKCS1, None)
        return digests == expected
    except (InvalidSignature, ValueError):
        return False
    except CRYPTOGRAPHY_ERRORS:
        return None
