"""Which clients do not know the algorithms of a path: of its signatures and of its CAs' keys.

A chain that verifies here may be one that others cannot check: Go computes only what its table lists, Java allows in
certificates what it offers in TLS, browsers have short lists. All of this was seen (``tests/clients/odd_answers.py``
has the table, with versions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from scanner.trust.verdicts import Problem
from scanner.x509 import malformations
from scanner.x509.certificate import Certificate
from scanner.x509.signatures import SM2_WITH_SM3, WITH_PARAMETERS, WITH_TRAILER, WITHOUT_NULL, pss_key_allows

# curl, Python and Node verify with OpenSSL, so that evidence names it alone
OPENSSL: Final = ("openssl",)
_BROWSERS: Final = ("chrome", "firefox")
EVERYBODY: Final = (*OPENSSL, "go", "java", *_BROWSERS, "gnutls")
# What no client is known to refuse
USUAL_SIGNATURES: Final = frozenset(
    (
        *(f"{hash}WithRSAEncryption" for hash in ("sha256", "sha384", "sha512")),
        *(f"ecdsa-with-SHA{bits}" for bits in (256, 384, 512)),
        *(f"rsassa-pss-sha{bits}" for bits in (256, 384, 512)),
        # weak-signature says whatever is to be said of these
        *(f"{hash}WithRSAEncryption" for hash in ("md2", "md4", "md5", "sha1")),
        "ecdsa-with-SHA1",
        "dsa-with-sha1",
        "rsassa-pss-sha1",
    )
)
# OpenSSL 3.0 and older, Go 1.26, Java 25, GnuTLS 3.8
_ML_DSA: Final = (*OPENSSL, "go", "java", "firefox", "gnutls")
_SIGNATURES: Final = {
    "ed25519": _BROWSERS,
    "ed448": ("go", *_BROWSERS),
    "sha224WithRSAEncryption": ("go", *_BROWSERS),
    "ecdsa-with-SHA224": ("go", *_BROWSERS),
    "dsa-with-sha224": ("go", *_BROWSERS),
    "dsa-with-sha256": ("go", *_BROWSERS),
    **{f"rsassa-pkcs1v15-sha3-{bits}": ("go", "java", *_BROWSERS) for bits in (256, 384, 512)},
    **{f"ecdsa-with-SHA3-{bits}": (*OPENSSL, "go", "java", *_BROWSERS) for bits in (256, 384, 512)},
    **{f"ml-dsa-{size}": _ML_DSA for size in (44, 65, 87)},
}
# Of keys that a server sends (crypto/tls)
GO_RSA_BITS: Final = 8192
# By the name of the key
_KEYS: Final = {
    "ec:P-224": ("java", *_BROWSERS),
    "dsa": ("go", *_BROWSERS),  # with the parameters of its issuer
    "ec:secp256k1": ("go", "java", *_BROWSERS, "gnutls"),
    **{f"ec:brainpoolP{bits}r1": ("go", "java", *_BROWSERS, "gnutls") for bits in (256, 320, 384, 512)},
}
# By the form of the key, a flaw of the certificate
_FORMS: Final = {
    malformations.RSA_WITHOUT_NULL: ("go", *_BROWSERS),
    malformations.COMPRESSED_POINT: ("go", "java", "firefox", "gnutls"),
    malformations.HYBRID_POINT: ("go", "java", *_BROWSERS, "gnutls"),
}
_PSS_KEY: Final = ("go", *_BROWSERS)
# Java signs and verifies PKCS #1 v1.5 with a key that is for RSASSA-PSS.
_PSS_KEY_FOR_PKCS1: Final = (*OPENSSL, "go", *_BROWSERS, "gnutls")
_PSS_FORMS: Final[dict[str, tuple[str, ...]]] = {WITHOUT_NULL: ("firefox",), WITH_TRAILER: _BROWSERS}
# Versions that know what older ones do not, and what was seen of others
_KNOWN_TO: Final = {
    **{f"ml-dsa-{size}": ["OpenSSL 3.5 and newer"] for size in (44, 65, 87)},
    **{f"ecdsa-with-SHA3-{bits}": ["OpenSSL 4.0", "GnuTLS"] for bits in (256, 384, 512)},
}


def signature_refused_by(child: Certificate, issuer: Certificate) -> tuple[str, ...]:
    """Return the clients that do not know how ``child`` is signed by the key of ``issuer``."""
    algorithm = child.signature_algorithm
    if issuer.key_type == "rsa-pss":
        if algorithm.mask_hash is None:
            return _PSS_KEY_FOR_PKCS1
        return _PSS_KEY if pss_key_allows(issuer.spki_der, algorithm) else EVERYBODY
    if algorithm.name in USUAL_SIGNATURES:
        return ()
    if algorithm.mask_hash is not None:
        # Firefox compares the parameters with those that TLS has, byte by byte; Chrome takes a hash without NULL
        form = next((form for form in _PSS_FORMS if algorithm.name.endswith(form)), "")
        if algorithm.name.removesuffix(form) in USUAL_SIGNATURES:
            return _PSS_FORMS[form]
        return ("go", *_BROWSERS, "gnutls")
    name, odd, _ = algorithm.name.partition(WITH_PARAMETERS)
    clients = {*_SIGNATURES.get(name, ()), *(("chrome",) if odd else ())}
    # Go wants the parameters of Ed25519 absent, and looks at no other's
    return _ordered(clients | {"go"} if odd and name == "ed25519" else clients)


def key_refused_by(certificate: Certificate, *, leaf: bool = False, anchor: bool = False) -> tuple[str, ...]:
    """Return the clients that do not know the key of a certificate, of a leaf only for the form of its key.

    Kinds of leaf keys are ``no-shared-signature-scheme``.
    """
    found = {client for flaw in certificate.flaws for client in _FORMS.get(flaw, ())}
    if not leaf:
        found.update(_KEYS.get(certificate.key, ()))
        if certificate.key_type == "ec" and certificate.key_bits is None and not found:
            found.update(EVERYBODY)  # on a curve that is not known
    if certificate.key_type == "rsa" and (certificate.key_bits or 0) > GO_RSA_BITS:
        found.update(() if anchor else ("go",))
    return _ordered(found)


def algorithm_problems(path: Sequence[Certificate]) -> Iterator[Problem]:
    """Yield ``unsupported-algorithm`` for signatures and keys of a path (leaf first, anchor last) that verifies."""
    for place, certificate in enumerate(path):
        clients = key_refused_by(certificate, leaf=place == 0, anchor=place == len(path) - 1)
        if clients:
            yield _problem(certificate, clients, key=certificate.key, form=key_form(certificate))
    for child, issuer in pairwise(path):
        clients = signature_refused_by(child, issuer)
        if clients:
            evidence: dict[str, Any] = {"signature": child.signature}
            if issuer.key_type == "rsa-pss":
                evidence = {"signature": f"{child.signature} by an RSASSA-PSS key"}
            known_to = _KNOWN_TO.get(child.signature)
            if known_to:
                evidence["known_to"] = known_to
            yield _problem(child, clients, **evidence)


def key_form(certificate: Certificate) -> str | None:
    """Return what is unusual in the form of the key, in words."""
    return next((flaw for flaw in certificate.flaws if flaw in _FORMS), None)


def known_to_none(certificate: Certificate) -> Problem | None:
    """Return ``unsupported-algorithm`` for a key in a form that no client reads."""
    if malformations.EXPLICIT_CURVE not in certificate.flaws:
        return None
    return _problem(certificate, EVERYBODY, key=certificate.key, form=malformations.EXPLICIT_CURVE)


def unverifiable(child: Certificate, issuer: Certificate) -> Problem:
    """Return ``unsupported-algorithm`` for a signature that cannot be verified here."""
    clients: tuple[str, ...] = EVERYBODY
    if child.signature == SM2_WITH_SM3:
        clients = ("go", "java", *_BROWSERS, "gnutls")  # OpenSSL verifies these
    elif issuer.key_type == "rsa-pss":
        clients = _PSS_KEY_FOR_PKCS1  # its parameters cannot be read, which Java does not mind
    reason = f"tlsweep cannot verify the signature ({child.signature}, key {issuer.key})"
    return _problem(child, clients, issuer=issuer.subject, signature=child.signature, reason=reason)


def _problem(certificate: Certificate, clients: Iterable[str], **facts: Any) -> Problem:
    evidence: dict[str, Any] = {"subject": certificate.subject}
    evidence.update((name, value) for name, value in facts.items() if value is not None)
    return Problem("unsupported-algorithm", certificate.sha256, {**evidence, "refused_by": list(clients)})


def _ordered(clients: set[str]) -> tuple[str, ...]:
    return tuple([client for client in EVERYBODY if client in clients])
