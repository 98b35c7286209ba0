"""Verifying what the server signed in its handshake (RFC 8446 section 4.4.3, RFC 5246 section 7.4.3, RFC 4346 section 7.4.3)."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

# The content of a server's CertificateVerify starts so: 64 spaces, the context string, a zero byte
VERIFY_CONTEXT: Final = b" " * 64 + b"TLS 1.3, server CertificateVerify\x00"

_HASHES: Final[dict[int, hashes.HashAlgorithm]] = {
    1: hashes.MD5(),
    2: hashes.SHA1(),
    3: hashes.SHA224(),
    4: hashes.SHA256(),
    5: hashes.SHA384(),
    6: hashes.SHA512(),
}
# The hash is made here: ``cryptography`` would look its name up each time, and ask abstract classes what it is given
_ECDSA: Final = {
    number: (getattr(hashlib, algorithm.name), ec.ECDSA(Prehashed(algorithm)))
    for number, algorithm in _HASHES.items()
    if number > 1
}
# rsa_pss_rsae_* and rsa_pss_pss_*: the salt is as long as the hash
_PSS: Final[dict[int, hashes.HashAlgorithm]] = {
    0x0804: hashes.SHA256(),
    0x0805: hashes.SHA384(),
    0x0806: hashes.SHA512(),
    0x0809: hashes.SHA256(),
    0x080A: hashes.SHA384(),
    0x080B: hashes.SHA512(),
}
_PKCS1: Final = padding.PKCS1v15()
# Schemes for certificates and TLS 1.2 alone: RSA PKCS #1 v1.5, DSA, and anything with less than SHA-256 (RFC 8446 section 4.2.3)
NOT_IN_TLS13: Final = frozenset(
    digest << 8 | kind for digest in _HASHES for kind in (1, 2, 3) if kind != 3 or digest < 4
)


# The kinds of keys by their class, as far as met: the classes to ask are abstract, and those ask slowly
_KINDS: Final[dict[type, str]] = {}


_ABSTRACT: Final = (
    (ec.EllipticCurvePublicKey, "ec"),
    (rsa.RSAPublicKey, "rsa"),
    (ed25519.Ed25519PublicKey, "ed25519"),
    (ed448.Ed448PublicKey, "ed448"),
    (dsa.DSAPublicKey, "dsa"),
)


def _kind_of(key: Any) -> str:
    kind = next((kind for abstract, kind in _ABSTRACT if isinstance(key, abstract)), "other")
    _KINDS[type(key)] = kind
    return kind


def verifies(key: Any, scheme: int, signature: bytes, content: bytes) -> bool | None:
    """Whether ``signature`` of SignatureScheme ``scheme`` over ``content`` verifies with public ``key``.

    ``False`` also where key and scheme are of different kinds; ``None`` where the scheme is one that cannot be checked here.
    """
    kind = _KINDS.get(type(key))
    if kind is None:
        kind = _kind_of(key)
    try:
        if kind == "ec":
            ecdsa = _ECDSA.get(scheme >> 8) if scheme & 0xFF == 3 else None
            if ecdsa is None:
                return False
            digest, algorithm = ecdsa
            key.verify(signature, digest(content).digest(), algorithm)
        elif kind == "rsa":
            pss = _PSS.get(scheme)
            if pss is not None:
                key.verify(signature, content, padding.PSS(padding.MGF1(pss), pss.digest_size), pss)
            elif scheme & 0xFF == 1 and scheme >> 8 in _HASHES:
                key.verify(signature, content, _PKCS1, _HASHES[scheme >> 8])
            else:
                return False
        elif kind == "ed25519" or kind == "ed448":
            if scheme != (0x0807 if kind == "ed25519" else 0x0808):
                return False
            key.verify(signature, content)
        elif kind == "dsa":
            if scheme & 0xFF != 2 or scheme >> 8 not in _HASHES:
                return False
            key.verify(signature, content, _HASHES[scheme >> 8])
        else:
            return None
    except InvalidSignature:
        return False
    except (UnsupportedAlgorithm, InternalError, ValueError, TypeError, OverflowError):
        return None
    return True


def verifies_before_tls12(key: Any, signature: bytes, content: bytes) -> bool | None:
    """The same for TLS 1.0, 1.1 and SSL 3.0: RSA signs MD5 and SHA-1 joined, ECDSA and DSA sign SHA-1."""
    if isinstance(key, rsa.RSAPublicKey):
        expected = hashlib.md5(content, usedforsecurity=False).digest()
        expected += hashlib.sha1(content, usedforsecurity=False).digest()
        try:
            return key.recover_data_from_signature(signature, _PKCS1, None) == expected
        except (InvalidSignature, ValueError):
            return False
        except (UnsupportedAlgorithm, InternalError, TypeError, OverflowError):
            return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        return verifies(key, 0x0203, signature, content)
    if isinstance(key, dsa.DSAPublicKey):
        return verifies(key, 0x0202, signature, content)
    return None
