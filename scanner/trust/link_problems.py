"""The problems of one link of a path: a certificate and a candidate for its issuer."""

from __future__ import annotations

from scanner.trust.client_algorithms import unverifiable
from scanner.trust.verdicts import Problem
from scanner.x509.certificate import Certificate


def key_identifiers_match(child: Certificate, issuer: Certificate) -> bool:
    """Return True unless authority key identifier (of the child) and subject key identifier (of the issuer) differ."""
    wanted, has = child.authority_key_id, issuer.subject_key_id
    return wanted is None or has is None or wanted == has


def not_verified(child: Certificate, issuer: Certificate, verified: bool | None) -> Problem:
    """``bad-signature``, or ``unsupported-algorithm`` where the signature cannot be checked (``verified`` is ``None``)."""
    if verified is None:
        return unverifiable(child, issuer)
    evidence = {"subject": child.subject, "issuer": issuer.subject, "signature": child.signature}
    return Problem("bad-signature", child.sha256, evidence)


def other_key(child: Certificate, issuer: Certificate) -> Problem:
    """``issuer-unknown``, where the key identifiers differ though the key verifies."""
    return _mismatch(
        child,
        issuer,
        "the authority key identifier names another key than that of the only issuer found",
        {
            "authority_key_id": (child.authority_key_id or b"").hex(),
            "subject_key_id": (issuer.subject_key_id or b"").hex(),
        },
        # GnuTLS takes an empty identifier for none
        ["openssl", "curl", "python", *(["gnutls"] if child.authority_key_id else [])],
    )


def other_certificate(child: Certificate, issuer: Certificate) -> Problem:
    """``issuer-unknown``, where the authority key identifier names another certificate of the issuer."""
    # Only OpenSSL compares these: a CA that was renewed with its key leaves them pointing at its old certificate.
    return _mismatch(
        child,
        issuer,
        "the authority key identifier names another certificate of it by its serial number",
        {"serial_named": (child.authority_key.serial or b"").hex(), "serial": issuer.serial},
        ["openssl", "curl", "python"],
    )


def other_spelling(child: Certificate, issuer: Certificate) -> Problem:
    """``issuer-unknown``, where the names differ as bytes and not as names."""
    # RFC 5280 section 7.1 lets names differ in case, spaces and string type; Go and Firefox compare bytes.
    return _mismatch(
        child,
        issuer,
        "the certificate writes its issuer's name in another way than the issuer does",
        {"issuer_as_named": child.issuer},
        ["go", "firefox"],
    )


def _mismatch(
    child: Certificate, issuer: Certificate, words: str, facts: dict[str, str], refused_by: list[str]
) -> Problem:
    evidence = {
        "subject": child.subject,
        "issuer": issuer.subject,
        "mismatch": words,
        **facts,
        "refused_by": refused_by,
    }
    return Problem("issuer-unknown", child.sha256, evidence)
