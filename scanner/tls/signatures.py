"""Verifying what the server signed in its handshake (RFC 8446 section 4.4.3, RFC 5246 and RFC 4346 section 7.4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from scanner.tls.registry_names import scheme_name
from scanner.x509.signatures import SignatureAlgorithm, key_kind, verify_md5_sha1, verify_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

# The content of a server's CertificateVerify starts so: 64 spaces, the context string, a zero byte
VERIFY_CONTEXT: Final = b" " * 64 + b"TLS 1.3, server CertificateVerify\x00"

# HashAlgorithm of TLS 1.2 (RFC 5246 section 7.4.1.4.1), the upper byte of its signature schemes
_HASHES: Final = {1: "md5", 2: "sha1", 3: "sha224", 4: "sha256", 5: "sha384", 6: "sha512"}
# RFC 8446 section 4.2.3: hash and its size in bytes, which is the length of the salt too
_PSS: Final = {
    0x0804: ("sha256", 32),
    0x0805: ("sha384", 48),
    0x0806: ("sha512", 64),
    0x0809: ("sha256", 32),
    0x080A: ("sha384", 48),
    0x080B: ("sha512", 64),
}
# Schemes of keys that hash by themselves what they sign (RFC 8446, and draft-ietf-tls-mldsa for ML-DSA)
_WITHOUT_HASH: Final = {
    0x0807: "ed25519",
    0x0808: "ed448",
    0x0904: "ml-dsa-44",
    0x0905: "ml-dsa-65",
    0x0906: "ml-dsa-87",
}
# RFC 8734: ECDSA with brainpool curves in TLS 1.3
_BRAINPOOL: Final = {0x081A: "sha256", 0x081B: "sha384", 0x081C: "sha512"}
# Schemes for certificates and TLS 1.2 alone: RSA PKCS #1 v1.5, DSA, and anything with less than SHA-256 (RFC 8446 section 4.2.3)
NOT_IN_TLS13: Final = frozenset(
    digest << 8 | kind for digest in _HASHES for kind in (1, 2, 3) if kind != 3 or digest < 4
)


def _algorithms() -> Iterator[tuple[int, SignatureAlgorithm]]:
    for number, hash in _HASHES.items():
        for code, kind in ((1, "rsa"), (2, "dsa"), (3, "ec")):
            if (kind, hash) != ("ec", "md5"):  # has a code point and was never used
                scheme = number << 8 | code
                yield scheme, SignatureAlgorithm(scheme_name(scheme), kind, hash)
    for scheme, (hash, size) in _PSS.items():
        yield scheme, SignatureAlgorithm(scheme_name(scheme), "rsa", hash, size, hash)
    for scheme, hash in _BRAINPOOL.items():
        yield scheme, SignatureAlgorithm(scheme_name(scheme), "ec", hash)
    for scheme, kind in _WITHOUT_HASH.items():
        yield scheme, SignatureAlgorithm(scheme_name(scheme), kind, None)


_ALGORITHMS: Final = dict(_algorithms())
# What keys other than RSA's sign with before TLS 1.2
_BEFORE_TLS12: Final = {"ec": _ALGORITHMS[0x0203], "dsa": _ALGORITHMS[0x0202]}


def verify_handshake_signature(
    key: CertificatePublicKeyTypes, scheme: int | None, signature: bytes, content: bytes
) -> bool | None:
    """Return whether ``key`` made ``signature`` over ``content`` with ``scheme``, or None where that cannot be checked here.

    Before TLS 1.2 there is no ``scheme``: an RSA key signs MD5 and SHA-1 joined, other keys sign SHA-1.
    """
    kind = key_kind(type(key))
    if kind is None:
        return None
    if scheme is not None:
        algorithm = _ALGORITHMS.get(scheme)
        return None if algorithm is None else verify_signature(key, algorithm, signature, content)
    if kind == "rsa":
        return verify_md5_sha1(key, signature, content)
    algorithm = _BEFORE_TLS12.get(kind)
    return None if algorithm is None else verify_signature(key, algorithm, signature, content)
