"""What each client says to certificates that were revoked and to staples; seen with the versions that docs/clients.md names.

Of their own accord only browsers and GnuTLS look: GnuTLS and Chrome at staples, Firefox at staples, and at responders where a
certificate names one. OpenSSL, curl, Python, Go, Java and Node do when they are told to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.diagnosis.clients.endings import CLIENTS, OK
from scanner.model.evidence import Target

_ALL_ACCEPT: Final = dict.fromkeys(CLIENTS, OK)
_REVOKED: Final = "SEC_ERROR_REVOKED_CERTIFICATE"
_OLD: Final = "SEC_ERROR_OCSP_OLD_RESPONSE"

_FIREFOX: Final = {
    "out-of-date": _OLD,
    "without-end": _OLD,
    "other-certificate": "MOZILLA_PKIX_ERROR_OCSP_RESPONSE_FOR_CERT_MISSING",
    "signature": "SEC_ERROR_OCSP_BAD_SIGNATURE",
    "signer": "SEC_ERROR_OCSP_INVALID_SIGNING_CERT",
    "try-later": "SEC_ERROR_OCSP_TRY_SERVER_LATER",
    "unknown": "SEC_ERROR_OCSP_UNKNOWN_CERT",
    "malformed": "SEC_ERROR_OCSP_MALFORMED_RESPONSE",
}
_GNUTLS_INVALID: Final = "The received OCSP status response is invalid."
_GNUTLS: Final = {
    "out-of-date": "The revocation or OCSP data are old and have been superseded.",
    "other-certificate": _GNUTLS_INVALID,
    "signature": _GNUTLS_INVALID,
    "signer": _GNUTLS_INVALID,
}


def by_staple(evidence: Mapping[str, Any], _: Target) -> Mapping[str, str]:
    """Return what clients say to ``revoked-ocsp-staple``."""
    gnutls = "The certificate chain is revoked."
    return {**_ALL_ACCEPT, "chrome": "ERR_CERT_REVOKED", "firefox": _REVOKED, "gnutls": gnutls}


def by_responder(evidence: Mapping[str, Any], _: Target) -> Mapping[str, str]:
    """Return what clients say to ``revoked-ocsp``: Firefox does not ask about an intermediate."""
    return {**_ALL_ACCEPT, "firefox": _REVOKED} if evidence.get("leaf") is True else _ALL_ACCEPT


def by_list(evidence: Mapping[str, Any], _: Target) -> Mapping[str, str]:
    """Return what clients say to ``revoked-crl``: CRLite (Firefox) has all that public CAs revoked, CRLSets (Chrome) some (left out)."""
    if evidence.get("publicly_trusted") is False:
        return _ALL_ACCEPT
    return {client: _REVOKED if client == "firefox" else OK for client in CLIENTS if client != "chrome"}


def must_staple(evidence: Mapping[str, Any], _: Target) -> Mapping[str, str]:
    """Return what clients say to ``must-staple-missing``."""
    missing = (
        "The certificate requires the server to include an OCSP status in its response, but the OCSP status is missing."
    )
    # Firefox speaks of the staple, where there is one.
    firefox = None if evidence.get("stapled") is True else "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING"
    texts = {**_ALL_ACCEPT, "gnutls": OK if evidence.get("stapled") is True else missing}
    return {**texts, "firefox": firefox or OK}


def invalid_staple(evidence: Mapping[str, Any], _: Target) -> Mapping[str, str]:
    """Return what clients say to ``staple-invalid``."""
    fault = str(evidence.get("fault"))
    texts = {**_ALL_ACCEPT, "gnutls": _GNUTLS.get(fault, OK)}
    if evidence.get("revoked_at") is not None and fault == "out-of-date":
        # What was revoked once stays so for both, however old the answer is.
        return {**texts, "firefox": _REVOKED, "gnutls": "The certificate chain is revoked."}
    if fault in _FIREFOX:
        return {**texts, "firefox": _FIREFOX[fault]}
    return {client: text for client, text in texts.items() if client != "firefox"}
