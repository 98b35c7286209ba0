"""How each client puts it: what OpenSSL says in each of the clients that stand on it, how a handshake ends, and alerts.

``OK`` means that a client accepts. ``scanner.diagnosis.clients.texts`` has the texts of each code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.tls.registry_names import alert_name

CLIENTS: Final = ("openssl", "curl", "python", "go", "java", "node", "chrome", "firefox", "gnutls")
BROWSERS: Final = frozenset({"chrome", "firefox"})
# Over OpenSSL
LIBRARIES: Final = frozenset({"openssl", "curl", "python", "node"})
OK: Final = "ok"

# Node's name for a number of OpenSSL's; those that it has no name for are UNSPECIFIED.
_NODE_NAMES: Final = {
    7: "CERT_SIGNATURE_FAILURE",
    9: "CERT_NOT_YET_VALID",
    10: "CERT_HAS_EXPIRED",
    18: "DEPTH_ZERO_SELF_SIGNED_CERT",
    19: "SELF_SIGNED_CERT_IN_CHAIN",
    20: "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    21: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    25: "PATH_LENGTH_EXCEEDED",
    26: "INVALID_PURPOSE",
    79: "INVALID_CA",
}


def verify_texts(number: int, text: str) -> dict[str, str]:
    """Return what the four clients over OpenSSL say for an X509_V_ERR ``number`` and its text."""
    return {
        "node": f"{_NODE_NAMES.get(number, 'UNSPECIFIED')}: {text}",
        "openssl": f"verify error:num={number}:{text}",
        "curl": f"(60) SSL certificate problem: {text}",
        "python": f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text}",
    }


def library_texts(reason: str) -> dict[str, str]:
    """Return what the four clients over OpenSSL say when it ends a handshake for ``reason``, one of its texts."""
    name = reason.upper().replace(" ", "_")
    return {
        "openssl": f"SSL routines::{reason}",
        "curl": f"(35) TLS connect error: SSL routines::{reason}",
        "python": f"[SSL: {name}] {reason}",
        "node": f"ERR_SSL_{name}: SSL routines::{reason}",
    }


# --- releases that differ -------------------------------------------------------------------------

_SINCE: Final = " (since "
_BEFORE: Final = "; before: "


def since(text: str, release: str, before: str = OK) -> str:
    """Return a prediction that holds since a release, with what older ones say."""
    return f"{text}{_SINCE}{release}{_BEFORE}{before})"


def by_release(said: str) -> tuple[str, str | None, str | None]:
    """Return the parts of a prediction: what the newest release says, since which one, and what older ones say."""
    text, _, rest = said.partition(_SINCE)
    release, found, before = rest.removesuffix(")").partition(_BEFORE)
    return (text, release, before) if found else (said, None, None)


# --- how a handshake ends, whatever the reason ----------------------------------------------------

RESET: Final[Mapping[str, str]] = {
    "openssl": "write:errno=104",
    "curl": "(35) Recv failure: Connection reset by peer",
    "python": "ConnectionResetError: [Errno 104] Connection reset by peer",
    "go": "read tcp: read: connection reset by peer",
    "java": "java.net.SocketException: Connection reset",
    "node": "ECONNRESET: read ECONNRESET",
    "chrome": "ERR_CONNECTION_RESET",
    "firefox": "PR_CONNECT_RESET_ERROR",
    "gnutls": "Error in the pull function.",
}
CLOSED: Final[Mapping[str, str]] = {
    "openssl": "SSL routines::unexpected eof while reading",
    "curl": "(35) TLS connect error: SSL routines::unexpected eof while reading",
    "python": "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol",
    "node": "ECONNRESET: Client network socket disconnected before secure TLS connection was established",
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
    "node": "no answer until interrupted",
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
    20: "bad record MAC",
    44: "revoked certificate",
    45: "expired certificate",
    46: "unknown certificate",
    48: "unknown certificate authority",
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
    **dict.fromkeys((42, 43, 44, 45, 46, 48, 49, 116), "ERR_BAD_SSL_CLIENT_AUTH_CERT"),
}
FIREFOX_ALERTS: Final = {
    40: "SSL_ERROR_NO_CYPHER_OVERLAP",
    42: "SSL_ERROR_BAD_CERT_ALERT",
    43: "SSL_ERROR_UNSUPPORTED_CERT_ALERT",
    44: "SSL_ERROR_REVOKED_CERT_ALERT",
    45: "SSL_ERROR_EXPIRED_CERT_ALERT",
    46: "SSL_ERROR_CERTIFICATE_UNKNOWN_ALERT",
    48: "SSL_ERROR_UNKNOWN_CA_ALERT",
    49: "SSL_ERROR_ACCESS_DENIED_ALERT",
    47: "SSL_ERROR_ILLEGAL_PARAMETER_ALERT",
    50: "SSL_ERROR_DECODE_ERROR_ALERT",
    70: "SSL_ERROR_PROTOCOL_VERSION_ALERT",
    71: "SSL_ERROR_INSUFFICIENT_SECURITY_ALERT",
    80: "SSL_ERROR_INTERNAL_ERROR_ALERT",
    112: "SSL_ERROR_UNRECOGNIZED_NAME_ALERT",
    116: "SSL_ERROR_RX_CERTIFICATE_REQUIRED_ALERT",
}
# Of handshake_failure after the server has asked for a certificate of the client's
NO_CLIENT_CERTIFICATE: Final = {
    "chrome": "ERR_BAD_SSL_CLIENT_AUTH_CERT",
    "firefox": "SSL_ERROR_HANDSHAKE_FAILURE_ALERT",
}


# What a server breaks on, and who sends it: always, since a release, or never by default
_SENT: Final[Mapping[str, Mapping[str, str | None]]] = {
    "two key shares": {
        **dict.fromkeys(("go", "java", "chrome", "firefox", "gnutls")),
        **dict.fromkeys(("openssl", "curl", "python"), "OpenSSL 3.5"),
        "node": "Node 24",
    },
    "status_request": dict.fromkeys(("go", "java", "chrome", "firefox", "gnutls")),
}


def broken_on_texts(evidence: Mapping[str, Any]) -> dict[str, str]:
    """Return what each client says, by how the server ended the handshake, and ``OK`` if it does not send what breaks the server."""
    texts = ending_texts(evidence)
    sent = _SENT.get(str(evidence.get("breaks_on")))
    if sent is None:
        return texts
    return {
        client: OK if client not in sent else text if (release := sent[client]) is None else since(text, release)
        for client, text in texts.items()
    }


def ending_texts(evidence: Mapping[str, Any]) -> dict[str, str]:
    """Return what each client says, by how the server ended the handshake."""
    failure = evidence.get("failure")
    code = evidence.get("alert_code")
    if failure == "alert" and isinstance(code, int):
        return alert_texts(code)
    return dict({"reset": RESET, "closed": CLOSED, "silent": SILENT}.get(str(failure), MALFORMED))


def alert_texts(code: int) -> dict[str, str]:
    """Return what each client says when it receives the alert ``code``."""
    name = alert_name(code)
    spaced = name.replace("_", " ")
    if code in OPENSSL_BARE_ALERTS:
        reason = OPENSSL_BARE_ALERTS[code]
        python = reason.upper().replace(" ", "_")
    elif code in OPENSSL_OLD_ALERTS:
        reason, python = f"ssl/tls alert {spaced}", f"SSLV3_ALERT_{name.upper()}"
    else:
        family = "tlsv13" if code in OPENSSL_13_ALERTS else "tlsv1"
        reason, python = f"{family} alert {spaced}", f"{family.upper()}_ALERT_{name.upper()}"
    texts = {
        "openssl": f"SSL routines::{reason}:SSL alert number {code}",
        "curl": f"(35) TLS connect error: SSL routines::{reason}",
        "python": f"[SSL: {python}] {reason}",
        "go": f"remote error: tls: {GO_ALERTS.get(code, spaced)}",
        "node": f"ERR_SSL_{reason.upper().replace(' ', '_')}: SSL routines::{reason}:SSL alert number {code}",
        "java": f"javax.net.ssl.{JAVA_PLAIN_ALERTS.get(code, 'SSLHandshakeException')}: Received fatal alert: {name}",
        "chrome": CHROME_ALERTS.get(code, "ERR_SSL_PROTOCOL_ERROR"),
        "gnutls": f"A TLS fatal alert has been received. Received alert [{code}]",
    }
    if code in FIREFOX_ALERTS:
        texts["firefox"] = FIREFOX_ALERTS[code]
    return texts
