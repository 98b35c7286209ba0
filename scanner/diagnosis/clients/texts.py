"""What each client says, code by code: facts about curl 8, OpenSSL 3, CPython 3.11+, Go 1.26, OpenJDK 25, Node 24,
Chromium 156, Firefox 153 and GnuTLS 3.8, with their default settings. ``docs/clients.md`` says what was seen, and with which versions.

``{fields}`` are filled from the evidence. A client that is not in a code's entry is not known; ``OK`` means that it
accepts. Texts of GnuTLS's verification are sentences, of which it says all that hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scanner.diagnosis.clients.endings import OK, library_texts, node_text, verify_texts

_JAVA: Final = "javax.net.ssl.SSLHandshakeException: "
_JAVA_BUILDING: Final = _JAVA + (
    "PKIX path building failed: sun.security.provider.certpath.SunCertPathBuilderException: "
    "unable to find valid certification path to requested target"
)
_JAVA_VALIDATION: Final = _JAVA + "PKIX path validation failed: java.security.cert.CertPathValidatorException: "
_GO: Final = "tls: failed to verify certificate: x509: "
_CANNOT_SIGN: Final = (
    _GO + 'certificate signed by unknown authority (possibly because of "x509: invalid signature: parent certificate '
    'cannot sign this kind of certificate")'
)
_NODE_NAME: Final = "ERR_TLS_CERT_ALTNAME_INVALID: Hostname/IP does not match certificate's altnames: "
_UNKNOWN_AUTHORITY: Final = _GO + "certificate signed by unknown authority"


def _untrusted(number: int, text: str, firefox: str = "SEC_ERROR_UNKNOWN_ISSUER") -> dict[str, str]:
    return {
        **verify_texts(number, text),
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_BUILDING,
        "chrome": "ERR_CERT_AUTHORITY_INVALID",
        "firefox": firefox,
        "gnutls": "The certificate issuer is unknown.",
    }


_UNKNOWN_ISSUER: Final = _untrusted(20, "unable to get local issuer certificate")


_NOT_RESOLVED: Final = {
    "openssl": "BIO_lookup_ex: Name or service not known",
    "curl": "(6) Could not resolve host: {host}",
    "python": "socket.gaierror: [Errno -2] Name or service not known",
    "go": "dial tcp: lookup {host}: no such host",
    "java": "java.net.UnknownHostException: {host}",
    "node": "ENOTFOUND: getaddrinfo ENOTFOUND {host}",
    "chrome": "ERR_NAME_NOT_RESOLVED",
    "firefox": "NS_ERROR_UNKNOWN_HOST",
    "gnutls": "Cannot resolve {host}: Name or service not known",
}
_RESOLVER_FAILS: Final = {
    **_NOT_RESOLVED,
    "openssl": "BIO_lookup_ex: Temporary failure in name resolution",
    "python": "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    "go": "dial tcp: lookup {host}: server misbehaving",
    "node": "EAI_AGAIN: getaddrinfo EAI_AGAIN {host}",
    "gnutls": "Cannot resolve {host}: Temporary failure in name resolution",
}


_PYTHON_ERRORS: Final = {110: "TimeoutError", 111: "ConnectionRefusedError"}
_NODE_ERRORS: Final = {101: "ENETUNREACH", 110: "ETIMEDOUT", 111: "ECONNREFUSED", 113: "EHOSTUNREACH"}
_JAVA_ERRORS: Final = {110: "ConnectException", 111: "ConnectException", 113: "NoRouteToHostException"}


def _connect(number: int, words: str, curl: str, chrome: str, firefox: str, go: str = "") -> dict[str, str]:
    return {
        "openssl": f"connect:errno={number}",
        "curl": curl,
        "python": f"{_PYTHON_ERRORS.get(number, 'OSError')}: [Errno {number}] {words}",
        "go": f"dial tcp {{address}}:{{port}}: {go or 'connect: ' + words.lower()}",
        "java": f"java.net.{_JAVA_ERRORS.get(number, 'SocketException')}: {words}",
        "node": f"{_NODE_ERRORS[number]}: connect {_NODE_ERRORS[number]} {{address}}:{{port}}",
        "chrome": chrome,
        "firefox": firefox,
        "gnutls": f"Could not connect to {{address}}:{{port}}: {words}",
    }


_ACCEPTED: Final = dict.fromkeys(("openssl", "curl", "python", "go", "java", "node", "gnutls"), OK)
_NOT_LOGGED: Final = {
    **_ACCEPTED,
    "chrome": "ERR_CERTIFICATE_TRANSPARENCY_REQUIRED",
    "firefox": "MOZILLA_PKIX_ERROR_INSUFFICIENT_CERTIFICATE_TRANSPARENCY",
}

# --- by code ---------------------------------------------------------------------------------------

TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    "nxdomain": _NOT_RESOLVED,
    "dangling-cname": _NOT_RESOLVED,
    "no-address": {**_NOT_RESOLVED, "python": "socket.gaierror: [Errno -5] No address associated with hostname"},
    "servfail": _RESOLVER_FAILS,
    "cname-loop": _RESOLVER_FAILS,
    "dnssec-bogus": _RESOLVER_FAILS,
    "refused": _RESOLVER_FAILS,
    "dns-timeout": {**_RESOLVER_FAILS, "go": "dial tcp: lookup {host}: i/o timeout"},
    "connect-timeout": _connect(
        110, "Connection timed out", "(28) Connection timed out", "ERR_CONNECTION_TIMED_OUT", "NS_ERROR_NET_TIMEOUT",
        go="i/o timeout",
    ),
    "connection-refused": _connect(
        111, "Connection refused", "(7) Failed to connect to {host} port {port}: Could not connect to server",
        "ERR_CONNECTION_REFUSED", "NS_ERROR_CONNECTION_REFUSED",
    ),
    "network-unreachable": _connect(
        101, "Network is unreachable", "(7) Failed to connect to {host} port {port}: Could not connect to server",
        "ERR_ADDRESS_UNREACHABLE", "NS_ERROR_CONNECTION_REFUSED",
    ),
    "host-unreachable": _connect(
        113, "No route to host", "(7) Failed to connect to {host} port {port}: Could not connect to server",
        "ERR_ADDRESS_UNREACHABLE", "NS_ERROR_CONNECTION_REFUSED",
    ),
    "plaintext-on-tls-port": {
        **library_texts("wrong version number", "WRONG_VERSION_NUMBER"),
        "go": "tls: first record does not look like a TLS handshake",
        "java": "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SSL_ERROR_RX_RECORD_TOO_LONG",
        "gnutls": "An unexpected TLS packet was received.",
    },
    "starttls-not-offered": {"openssl": "Didn't find STARTTLS in server response", "curl": "(64) STARTTLS not supported."},
    "starttls-refused": {"openssl": "Didn't find STARTTLS in server response", "curl": "(64) STARTTLS denied"},
    "no-certificate": {
        **library_texts("length mismatch", "LENGTH_MISMATCH"),
        "go": "tls: received unexpected handshake message of type *tls.certificateMsg when waiting for *tls.certificateMsg",
        "java": _JAVA + "Empty server certificate chain",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SSL_ERROR_RX_MALFORMED_CERTIFICATE",
        "gnutls": "No certificate was found.",
    },
    "key-mismatch": {
        **library_texts("bad signature", "BAD_SIGNATURE"),
        "go": "tls: invalid signature by the server certificate",
        "java": _JAVA + "Invalid CertificateVerify signature",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SEC_ERROR_BAD_SIGNATURE",
        "gnutls": "Public key signature verification has failed.",
    },
    "certificate-expired": {
        **verify_texts(10, "certificate has expired"),
        "go": _GO + "certificate has expired or is not yet valid: current time is after {not_after}",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "SEC_ERROR_EXPIRED_CERTIFICATE",
        "gnutls": "The certificate chain uses expired certificate.",
    },
    "certificate-not-yet-valid": {
        **verify_texts(9, "certificate is not yet valid"),
        "go": _GO + "certificate has expired or is not yet valid: current time is before {not_before}",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE",
        "gnutls": "The certificate chain uses not yet valid certificate.",
    },
    "self-signed-leaf": _untrusted(18, "self-signed certificate", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"),
    "intermediate-not-sent": _UNKNOWN_ISSUER,
    "intermediate-unobtainable": _UNKNOWN_ISSUER,
    "issuer-unknown": _UNKNOWN_ISSUER,
    "untrusted-root": _untrusted(19, "self-signed certificate in certificate chain"),
    "bad-signature": {
        # curl is left out: with some signatures it reports the library's error (35) instead.
        "openssl": "verify error:num=7:certificate signature failure",
        "python": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate signature failure",
        "node": node_text(7, "certificate signature failure"),
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_VALIDATION + "signature check failed",
        "chrome": "ERR_CERT_AUTHORITY_INVALID",
        "firefox": "SEC_ERROR_BAD_SIGNATURE",
        "gnutls": "The signature in the certificate is invalid.",
    },
    "intermediate-expired": {
        **verify_texts(10, "certificate has expired"),
        "go": _GO + "certificate has expired or is not yet valid",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE",
        "gnutls": "The certificate chain uses expired certificate.",
    },
    "issuer-not-a-ca": {
        **verify_texts(79, "invalid CA certificate"),
        "node": node_text(26, "unsuitable certificate purpose"),
        "go": _CANNOT_SIGN,
        "java": _JAVA_VALIDATION + "basic constraints check failed: this is not a CA certificate",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CA_CERT_INVALID",
        "gnutls": "The certificate issuer is not a CA.",
    },
    "path-length-exceeded": {
        **verify_texts(25, "path length constraint exceeded"),
        "go": _GO + "too many intermediates for path length constraint",
        "java": _JAVA_VALIDATION + "basic constraints check failed: pathLenConstraint violated - this "
        "cert must be the last cert in the certification path",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "name-constraint-violated": {
        **verify_texts(47, "permitted subtree violation"),
        "go": _GO + "a root or intermediate certificate is not authorized to sign for this name",
        "java": _JAVA_VALIDATION + "name constraints check failed",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "wrong-key-usage": {
        **verify_texts(79, "invalid CA certificate"),
        "node": node_text(32, "key usage does not include certificate signing"),
        "go": _CANNOT_SIGN,
        "java": _JAVA_VALIDATION + "CA key usage check failed: keyCertSign bit is not set",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_INADEQUATE_KEY_USAGE",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "not-for-server-auth": {
        **verify_texts(26, "unsuitable certificate purpose"),
        "go": _GO + "certificate specifies an incompatible key usage",
        "java": _JAVA + "Extended key usage does not permit use for TLS server authentication",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_INADEQUATE_CERT_TYPE",
        "gnutls": "The certificate chain does not match the intended purpose.",
    },
    "unknown-critical-extension": {
        **verify_texts(34, "unhandled critical extension"),
        "go": _GO + "unhandled critical extension",
        "java": _JAVA_VALIDATION + "unrecognized critical extension(s)",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION",
        "gnutls": "The certificate contains an unknown critical extension.",
    },
    "malformed-certificate": {
        **library_texts("ASN1 lib", ""),
        "python": "[SSL] ASN1 lib",
        "node": "asn1 encoding routines",
        "go": "tls: failed to parse certificate from server: x509: malformed certificate",
        "java": _JAVA + "Failed to parse server certificates",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SEC_ERROR_BAD_DER",
        "gnutls": "Error in the certificate.",
    },
    "weak-signature": {
        **verify_texts(68, "CA signature digest algorithm too weak"),
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_VALIDATION + "Algorithm constraints check failed on signature algorithm: {signature}",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED",
        "gnutls": "The certificate chain uses insecure algorithm.",
    },
    "weak-key": {
        **verify_texts(66, "EE certificate key too weak"),
        "go": "tls: failed to verify certificate",
        "java": _JAVA_VALIDATION + "Algorithm constraints check failed on keysize limits: {key}",
        "chrome": "ERR_CERT_WEAK_KEY",
        "firefox": "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE",
        "gnutls": "The certificate chain uses insecure algorithm.",
    },
    # Of Chrome it is not known: it carries a choice of what is revoked, and asks nobody.
    "revoked-ocsp": {**_ACCEPTED, "firefox": "SEC_ERROR_REVOKED_CERTIFICATE"},
    "revoked-crl": {**_ACCEPTED, "firefox": "SEC_ERROR_REVOKED_CERTIFICATE"},
    "revoked-ocsp-staple": {
        **_ACCEPTED,
        "chrome": "ERR_CERT_REVOKED",
        "firefox": "SEC_ERROR_REVOKED_CERTIFICATE",
        "gnutls": "The certificate chain is revoked.",
    },
    "must-staple-missing": {
        **_ACCEPTED,
        "chrome": OK,
        "firefox": "MOZILLA_PKIX_ERROR_REQUIRED_TLS_FEATURE_MISSING",
        "gnutls": "The certificate requires the server to include an OCSP status in its response, but the OCSP status is "
        "missing.",
    },
    "no-scts": _NOT_LOGGED,
    "too-few-scts": _NOT_LOGGED,
    "common-name-only": {
        "openssl": OK, "curl": OK, "python": OK, "java": OK, "node": OK, "gnutls": OK,
        "go": _GO + "certificate relies on legacy Common Name field, use SANs instead",
        "chrome": "ERR_CERT_COMMON_NAME_INVALID",
        "firefox": "SSL_ERROR_BAD_CERT_DOMAIN",
    },
}  # fmt: skip

# What Node says where nothing but the leaf came: it keeps the last error of OpenSSL, not the first.
NODE_LEAF_ALONE: Final = node_text(21, "unable to verify the first certificate")

# keyUsage of the leaf that lacks what the key exchange needs: what is missing -> who refuses, and how
USAGE_TEXTS: Final[Mapping[str, Mapping[str, str]]] = {
    missing: {
        "java": _JAVA + words,
        "chrome": "ERR_SSL_KEY_USAGE_INCOMPATIBLE",
        "gnutls": "Key usage violation in certificate has been detected.",
    }
    for missing, words in {
        "digitalSignature": "KeyUsage does not allow digital signatures",
        "keyEncipherment": "KeyUsage does not allow key encipherment",
    }.items()
}
# A signature in the chain that is of a kind which some do not verify (Ed25519, Ed448)
UNVERIFIED_TEXTS: Final[Mapping[str, str]] = {
    "go": "remote error: tls: handshake failure",
    "chrome": "ERR_CERT_INVALID",
    "firefox": "SEC_ERROR_UNSUPPORTED_KEYALG",
}
# A path that is longer than some follow
TOO_LONG_TEXTS: Final[Mapping[str, str]] = {
    "java": "javax.net.ssl.SSLProtocolException: The certificate chain length ({sent}) exceeds the maximum allowed "
    "length (10)",
    "chrome": "ERR_CERT_AUTHORITY_INVALID",
    "firefox": "SEC_ERROR_UNKNOWN_ISSUER",
    "gnutls": "The certificate chain length is too long.",
}
# More names times constraints than some compare; the others were seen to take that
COMPARISONS_TEXTS: Final[Mapping[str, str]] = {
    "go": OK,
    "java": OK,
    "gnutls": "The certificate chain violates the signer's constraints.",
}
TOO_COSTLY_TEXTS: Final[Mapping[str, str]] = {
    **library_texts("excessive message size", "EXCESSIVE_MESSAGE_SIZE"),
    "go": _GO + "signature check attempts limit reached while verifying certificate chain",
    "java": TOO_LONG_TEXTS["java"],
    "gnutls": TOO_LONG_TEXTS["gnutls"],
}

NAME_TEXTS: Final[Mapping[str, str]] = {
    **verify_texts(62, "hostname mismatch"),
    "curl": "(60) SSL: no alternative certificate subject name matches target host name '{name}'",
    "python": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid "
    "for '{name}'.",
    "go": _GO + "certificate is valid for {nearest}, not {name}",
    "java": _JAVA + "No subject alternative DNS name matching {name} found.",
    "node": _NODE_NAME + "Host: {name}. is not in the cert's altnames",
    "chrome": "ERR_CERT_COMMON_NAME_INVALID",
    "firefox": "SSL_ERROR_BAD_CERT_DOMAIN",
    "gnutls": "The name in the certificate does not match the expected.",
}
ADDRESS_TEXTS: Final[Mapping[str, str]] = {
    **NAME_TEXTS,
    "openssl": "verify error:num=64:IP address mismatch",
    "python": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch, certificate is not valid "
    "for '{name}'.",
    "go": _GO + "cannot validate certificate for {name}",
    "java": _JAVA + "No subject alternative names matching IP address {name} found",
    "node": _NODE_NAME + "IP: {name} is not in the cert's list",
}
