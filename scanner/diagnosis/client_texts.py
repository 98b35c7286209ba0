"""What each client says, code by code: facts about curl 8, OpenSSL 3, CPython 3.11+, Go 1.26, OpenJDK 25, Chromium 156,
Firefox 153 and GnuTLS 3.8, with their default settings. ``docs/clients.md`` says what was seen, and with which versions.

``{fields}`` are filled from the evidence. A client that is not in a code's entry is not known; ``OK`` means that it
accepts. Texts of GnuTLS's verification are sentences, of which it says all that hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLIENTS: Final = ("openssl", "curl", "python", "go", "java", "chrome", "firefox", "gnutls")
BROWSERS: Final = frozenset({"chrome", "firefox"})
OK: Final = "ok"

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
_UNKNOWN_AUTHORITY: Final = _GO + "certificate signed by unknown authority"


def _verify(number: int, text: str) -> dict[str, str]:
    """The three that are OpenSSL underneath: X509_V_ERR ``number`` and its text."""
    return {
        "openssl": f"verify error:num={number}:{text}",
        "curl": f"(60) SSL certificate problem: {text}",
        "python": f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text}",
    }


def _untrusted(number: int, text: str, firefox: str = "SEC_ERROR_UNKNOWN_ISSUER") -> dict[str, str]:
    return {
        **_verify(number, text),
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_BUILDING,
        "chrome": "ERR_CERT_AUTHORITY_INVALID",
        "firefox": firefox,
        "gnutls": "The certificate issuer is unknown.",
    }


def _library(reason: str, name: str) -> dict[str, str]:
    """A handshake that OpenSSL ends: the reason's text, and its name as Python prints it."""
    return {
        "openssl": f"SSL routines::{reason}",
        "curl": f"(35) TLS connect error: SSL routines::{reason}",
        "python": f"[SSL: {name}] {reason}",
    }


_NOT_RESOLVED: Final = {
    "openssl": "BIO_lookup_ex: Name or service not known",
    "curl": "(6) Could not resolve host: {host}",
    "python": "socket.gaierror: [Errno -2] Name or service not known",
    "go": "dial tcp: lookup {host}: no such host",
    "java": "java.net.UnknownHostException: {host}",
    "chrome": "ERR_NAME_NOT_RESOLVED",
    "firefox": "NS_ERROR_UNKNOWN_HOST",
    "gnutls": "Cannot resolve {host}: Name or service not known",
}
_RESOLVER_FAILS: Final = {
    **_NOT_RESOLVED,
    "openssl": "BIO_lookup_ex: Temporary failure in name resolution",
    "python": "socket.gaierror: [Errno -3] Temporary failure in name resolution",
    "go": "dial tcp: lookup {host}: server misbehaving",
    "gnutls": "Cannot resolve {host}: Temporary failure in name resolution",
}


_PYTHON_ERRORS: Final = {110: "TimeoutError", 111: "ConnectionRefusedError"}
_JAVA_ERRORS: Final = {110: "ConnectException", 111: "ConnectException", 113: "NoRouteToHostException"}


def _connect(number: int, words: str, curl: str, chrome: str, firefox: str, go: str = "") -> dict[str, str]:
    return {
        "openssl": f"connect:errno={number}",
        "curl": curl,
        "python": f"{_PYTHON_ERRORS.get(number, 'OSError')}: [Errno {number}] {words}",
        "go": f"dial tcp {{address}}:{{port}}: {go or 'connect: ' + words.lower()}",
        "java": f"java.net.{_JAVA_ERRORS.get(number, 'SocketException')}: {words}",
        "chrome": chrome,
        "firefox": firefox,
        "gnutls": f"Could not connect to {{address}}:{{port}}: {words}",
    }


# --- how a handshake ends, whatever the reason ----------------------------------------------------

RESET: Final[Mapping[str, str]] = {
    "openssl": "write:errno=104",
    "curl": "(35) Recv failure: Connection reset by peer",
    "python": "ConnectionResetError: [Errno 104] Connection reset by peer",
    "go": "read tcp: read: connection reset by peer",
    "java": "java.net.SocketException: Connection reset",
    "chrome": "ERR_CONNECTION_RESET",
    "firefox": "PR_CONNECT_RESET_ERROR",
    "gnutls": "Error in the pull function.",
}
CLOSED: Final[Mapping[str, str]] = {
    **_library("unexpected eof while reading", "UNEXPECTED_EOF_WHILE_READING"),
    "python": "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol",
    "go": "EOF",
    "java": "javax.net.ssl.SSLHandshakeException: Remote host terminated the handshake",
    "chrome": "ERR_CONNECTION_CLOSED",
    "firefox": "PR_END_OF_FILE_ERROR",
    "gnutls": "The TLS connection was non-properly terminated.",
}
SILENT: Final[Mapping[str, str]] = {
    "openssl": "no answer until interrupted",
    "curl": "(28) SSL connection timeout",
    "python": "TimeoutError: _ssl.c: The handshake operation timed out",
    "go": "net/http: TLS handshake timeout",
    "java": "java.net.SocketTimeoutException: Read timed out",
    "chrome": "ERR_CONNECTION_TIMED_OUT",
    "firefox": "NS_ERROR_NET_TIMEOUT",
    "gnutls": "The operation timed out",
}
MALFORMED: Final[Mapping[str, str]] = {
    "chrome": "ERR_SSL_PROTOCOL_ERROR",
    "java": "javax.net.ssl.SSLException",
    "gnutls": "Error decoding the received TLS packet.",
}

# Alert -> OpenSSL's text, where it is not "tlsv1 alert" and the alert's name, or Go's, where it is not the name
OPENSSL_OLD_ALERTS: Final = frozenset((10, 20, 30, 40, 41, 42, 43, 44, 45, 46, 47))
# What is not only an alert of handshakes is another exception in Java.
JAVA_PLAIN_ALERTS: Final = {10: "SSLProtocolException", **dict.fromkeys((0, 20, 21, 22, 80, 86, 90), "SSLException")}
OPENSSL_13_ALERTS: Final = frozenset((109, 116))
# OpenSSL's reason for this one lacks the word "alert"
OPENSSL_BARE_ALERTS: Final = {110: "tlsv1 unsupported extension", 112: "tlsv1 unrecognized name"}
GO_ALERTS: Final = {
    70: "protocol version not supported",
    71: "insufficient security level",
    109: "missing extension",
    47: "illegal parameter",
    50: "error decoding message",
    51: "error decrypting message",
    116: "certificate required",
}
CHROME_ALERTS: Final = {
    40: "ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
    70: "ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
    71: "ERR_SSL_VERSION_OR_CIPHER_MISMATCH",
    112: "ERR_SSL_UNRECOGNIZED_NAME_ALERT",
    20: "ERR_SSL_BAD_RECORD_MAC_ALERT",
    51: "ERR_SSL_DECRYPT_ERROR_ALERT",
    42: "ERR_BAD_SSL_CLIENT_AUTH_CERT",
    116: "ERR_BAD_SSL_CLIENT_AUTH_CERT",
}
FIREFOX_ALERTS: Final = {
    40: "SSL_ERROR_NO_CYPHER_OVERLAP",
    47: "SSL_ERROR_ILLEGAL_PARAMETER_ALERT",
    50: "SSL_ERROR_DECODE_ERROR_ALERT",
    70: "SSL_ERROR_PROTOCOL_VERSION_ALERT",
    71: "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT",
    80: "SSL_ERROR_INTERNAL_ERROR_ALERT",
    112: "SSL_ERROR_UNRECOGNIZED_NAME_ALERT",
    116: "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT",
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
        **_library("wrong version number", "WRONG_VERSION_NUMBER"),
        "go": "tls: first record does not look like a TLS handshake",
        "java": "javax.net.ssl.SSLException: Unsupported or unrecognized SSL message",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SSL_ERROR_RX_RECORD_TOO_LONG",
        "gnutls": "An unexpected TLS packet was received.",
    },
    "starttls-not-offered": {"openssl": "Didn't find STARTTLS in server response", "curl": "(64) STARTTLS not supported."},
    "starttls-refused": {"openssl": "Didn't find STARTTLS in server response", "curl": "(64) STARTTLS denied"},
    "no-certificate": {
        **_library("length mismatch", "LENGTH_MISMATCH"),
        "go": "tls: received unexpected handshake message of type *tls.certificateMsg when waiting for *tls.certificateMsg",
        "java": _JAVA + "Empty server certificate chain",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SSL_ERROR_RX_MALFORMED_CERTIFICATE",
        "gnutls": "No certificate was found.",
    },
    "key-mismatch": {
        **_library("bad signature", "BAD_SIGNATURE"),
        "go": "tls: invalid signature by the server certificate",
        "java": _JAVA + "Invalid CertificateVerify signature",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SEC_ERROR_BAD_SIGNATURE",
        "gnutls": "Public key signature verification has failed.",
    },
    "certificate-expired": {
        **_verify(10, "certificate has expired"),
        "go": _GO + "certificate has expired or is not yet valid: current time is after {not_after}",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "SEC_ERROR_EXPIRED_CERTIFICATE",
        "gnutls": "The certificate chain uses expired certificate.",
    },
    "certificate-not-yet-valid": {
        **_verify(9, "certificate is not yet valid"),
        "go": _GO + "certificate has expired or is not yet valid: current time is before {not_before}",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "MOZILLA_PKIX_ERROR_NOT_YET_VALID_CERTIFICATE",
        "gnutls": "The certificate chain uses not yet valid certificate.",
    },
    "self-signed-leaf": _untrusted(18, "self-signed certificate", "MOZILLA_PKIX_ERROR_SELF_SIGNED_CERT"),
    "intermediate-not-sent": _untrusted(20, "unable to get local issuer certificate"),
    "intermediate-unobtainable": _untrusted(20, "unable to get local issuer certificate"),
    "issuer-unknown": _untrusted(20, "unable to get local issuer certificate"),
    "untrusted-root": _untrusted(19, "self-signed certificate in certificate chain"),
    "bad-signature": {
        # curl is left out: with some signatures it reports the library's error (35) instead.
        "openssl": "verify error:num=7:certificate signature failure",
        "python": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate signature failure",
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_VALIDATION + "signature check failed",
        "chrome": "ERR_CERT_AUTHORITY_INVALID",
        "firefox": "SEC_ERROR_BAD_SIGNATURE",
        "gnutls": "The signature in the certificate is invalid.",
    },
    "intermediate-expired": {
        **_verify(10, "certificate has expired"),
        "go": _GO + "certificate has expired or is not yet valid",
        "java": _JAVA_VALIDATION + "validity check failed",
        "chrome": "ERR_CERT_DATE_INVALID",
        "firefox": "SEC_ERROR_EXPIRED_ISSUER_CERTIFICATE",
        "gnutls": "The certificate chain uses expired certificate.",
    },
    "issuer-not-a-ca": {
        **_verify(79, "invalid CA certificate"),
        "go": _CANNOT_SIGN,
        "java": _JAVA_VALIDATION + "basic constraints check failed: this is not a CA certificate",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CA_CERT_INVALID",
        "gnutls": "The certificate issuer is not a CA.",
    },
    "path-length-exceeded": {
        **_verify(25, "path length constraint exceeded"),
        "go": _GO + "too many intermediates for path length constraint",
        "java": _JAVA_VALIDATION + "basic constraints check failed: pathLenConstraint violated - this "
        "cert must be the last cert in the certification path",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_PATH_LEN_CONSTRAINT_INVALID",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "name-constraint-violated": {
        **_verify(47, "permitted subtree violation"),
        "go": _GO + "a root or intermediate certificate is not authorized to sign for this name",
        "java": _JAVA_VALIDATION + "name constraints check failed",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CERT_NOT_IN_NAME_SPACE",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "wrong-key-usage": {
        **_verify(79, "invalid CA certificate"),
        "go": _CANNOT_SIGN,
        "java": _JAVA_VALIDATION + "CA key usage check failed: keyCertSign bit is not set",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_INADEQUATE_KEY_USAGE",
        "gnutls": "The certificate chain violates the signer's constraints.",
    },
    "not-for-server-auth": {
        **_verify(26, "unsuitable certificate purpose"),
        "go": _GO + "certificate specifies an incompatible key usage",
        "java": _JAVA + "Extended key usage does not permit use for TLS server authentication",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_INADEQUATE_CERT_TYPE",
        "gnutls": "The certificate chain does not match the intended purpose.",
    },
    "unknown-critical-extension": {
        **_verify(34, "unhandled critical extension"),
        "go": _GO + "unhandled critical extension",
        "java": _JAVA_VALIDATION + "unrecognized critical extension(s)",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_UNKNOWN_CRITICAL_EXTENSION",
        "gnutls": "The certificate contains an unknown critical extension.",
    },
    "malformed-certificate": {
        **_library("ASN1 lib", ""),
        "python": "[SSL] ASN1 lib",
        "go": "tls: failed to parse certificate from server: x509: malformed certificate",
        "java": _JAVA + "Failed to parse server certificates",
        "chrome": "ERR_SSL_PROTOCOL_ERROR",
        "firefox": "SEC_ERROR_BAD_DER",
        "gnutls": "Error in the certificate.",
    },
    "weak-signature": {
        **_verify(68, "CA signature digest algorithm too weak"),
        "go": _UNKNOWN_AUTHORITY,
        "java": _JAVA_VALIDATION + "Algorithm constraints check failed on signature algorithm: {signature}",
        "chrome": "ERR_CERT_INVALID",
        "firefox": "SEC_ERROR_CERT_SIGNATURE_ALGORITHM_DISABLED",
        "gnutls": "The certificate chain uses insecure algorithm.",
    },
    "weak-key": {
        **_verify(66, "EE certificate key too weak"),
        "go": "tls: failed to verify certificate",
        "java": _JAVA_VALIDATION + "Algorithm constraints check failed on keysize limits: {key}",
        "chrome": "ERR_CERT_WEAK_KEY",
        "firefox": "MOZILLA_PKIX_ERROR_INADEQUATE_KEY_SIZE",
        "gnutls": "The certificate chain uses insecure algorithm.",
    },
    "common-name-only": {
        "openssl": OK, "curl": OK, "python": OK, "java": OK, "gnutls": OK,
        "go": _GO + "certificate relies on legacy Common Name field, use SANs instead",
        "chrome": "ERR_CERT_COMMON_NAME_INVALID",
        "firefox": "SSL_ERROR_BAD_CERT_DOMAIN",
    },
}  # fmt: skip

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

NAME_TEXTS: Final[Mapping[str, str]] = {
    **_verify(62, "hostname mismatch"),
    "curl": "(60) SSL: no alternative certificate subject name matches target host name '{name}'",
    "python": "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid "
    "for '{name}'.",
    "go": _GO + "certificate is valid for {nearest}, not {name}",
    "java": _JAVA + "No subject alternative DNS name matching {name} found.",
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
}
