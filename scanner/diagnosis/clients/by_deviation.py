"""What each client says to a flight that came whole and contains what its hello did not allow (``rules.deviations``).

The words are of OpenSSL 3, Go 1.26, Java 17, GnuTLS 3.7, Chromium 156 and Firefox 153, as they were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from scanner.diagnosis.clients.endings import CLIENTS, LIBRARIES, OK, library_texts, since
from scanner.diagnosis.rules.deviations import OPENSSL_4_KNOWS
from scanner.model.evidence import Target
from scanner.tls.offers import SHA1_SCHEMES, TLS13

Texts = Mapping[str, str]

_ALL_OK: Final = dict.fromkeys(CLIENTS, OK)
_CHROME: Final = "ERR_SSL_PROTOCOL_ERROR"
_SSL: Final = "javax.net.ssl."

NO_RENEGOTIATION_INFO: Final = {
    **_ALL_OK,
    **library_texts("unsafe legacy renegotiation disabled"),
}
# Extensions that OpenSSL knows of a message are "unsolicited" there; others that it knows do not belong there.
_BELONGS: Final = {
    "ServerHello": frozenset({0, 1, 5, 10, 11, 16, 22, 23, 35, 41, 13172, 0xFF01}),
    "HelloRetryRequest": frozenset({44}),
    "EncryptedExtensions": frozenset({0, 1, 10, 16, 42}),
    "Certificate": frozenset({5}),
}
# ... and Firefox tells what it offers and does not expect there from what it does not offer
_FIREFOX_KNOWS: Final = frozenset({5, 13, 18, 27, 28, 34, 44, 45})
_OF_TLS12_ALONE: Final = frozenset({10, 11, 16, 22, 23, 35, 0xFF01})


def malformed_texts(evidence: Mapping[str, Any], target: Target) -> Texts:
    """Return what each client says to ``malformed-handshake`` of a flight that came whole."""
    kind = evidence["deviation"]
    if kind == "extension":
        texts = _extension(evidence)
    elif kind == "warning":
        texts = _warning(evidence)
    elif kind == "share":
        reason = "bad key share" if evidence.get("fault") == "order" else "bad ecpoint"
        texts = {**NO_SHARE, "openssl": f"SSL routines::{reason}"}
        texts["python"] = library_texts(reason)["python"]
    else:
        texts = _OF_KIND.get(kind, {})
    refusing = {str(name).lower() for name in evidence.get("refused_by", ())}
    if "openssl" in refusing:
        refusing.update(LIBRARIES)
    if kind == "alpn":  # of those that offer none it is not known whether they get one
        return {client: texts[client] for client in texts if client in refusing}
    return {client: text for client in CLIENTS if (text := texts.get(client) if client in refusing else OK) is not None}


def _extension(evidence: Mapping[str, Any]) -> Texts:
    code, message = evidence.get("extension_code"), str(evidence.get("message"))
    modern = evidence.get("version_code") == TLS13
    belongs = code in _BELONGS.get(message, ()) and not (
        modern and message == "ServerHello" and code in _OF_TLS12_ALONE
    )
    known = modern and code in _FIREFOX_KNOWS
    texts: dict[str, str] = {
        "chrome": _CHROME,
        "firefox": f"SSL_ERROR_{'EXTENSION_DISALLOWED_FOR_VERSION' if known else 'RX_UNEXPECTED_EXTENSION'}",
        "gnutls": "An illegal TLS extension was received.",
    }
    if code not in OPENSSL_4_KNOWS:  # the present versions of those that stand on OpenSSL differ
        texts |= library_texts("unsolicited extension") if belongs else library_texts("bad extension")
    if message in ("ServerHello", "HelloRetryRequest"):
        texts["go"] = "tls: server sent a ServerHello extension forbidden in TLS 1.3"
        texts["java"] = f"{_SSL}SSLHandshakeException: extension ({code}) should not be presented in server_hello"
    elif message == "EncryptedExtensions":
        texts["go"] = f"tls: server sent an unexpected {evidence.get('extension')} extension"
    if code == 1:
        texts["java"] = f"{_SSL}SSLProtocolException: Unexpected max_fragment_length extension in ServerHello"
    elif code == 16:
        texts["go"] = "tls: server advertised unrequested ALPN extension"
        texts["java"] = f"{_SSL}SSLProtocolException: Unexpected application_layer_protocol_negotiation extension"
    elif code == 41:
        texts["java"] = f"{_SSL}SSLProtocolException: Server sent unexpected pre_shared_key extension"
    return texts


def _warning(evidence: Mapping[str, Any]) -> Texts:
    return {**library_texts("no renegotiation"), "java": java_warning(evidence)}


def java_warning(evidence: Mapping[str, Any]) -> str:
    """Return what Java says to a warning alert in a handshake."""
    return f"{_SSL}SSLHandshakeException: received handshake warning: {evidence.get('warning')}"


_OF_KIND: Final[Mapping[str, Texts]] = {
    "wrong-renegotiation-info": {
        **library_texts("renegotiation mismatch"),
        "go": "tls: initial handshake had non-empty renegotiation extension",
        "java": f"{_SSL}SSLHandshakeException: Invalid renegotiation_info in ServerHello: not empty renegotiated_connection",
        "chrome": _CHROME,
        "firefox": "SSL_ERROR_RX_MALFORMED_SERVER_HELLO",
        "gnutls": "Safe renegotiation failed.",
    },
    # those that send no ALPN may get none back
    "alpn": {
        "curl": "(35) TLS connect error: SSL routines::bad extension",
        "chrome": _CHROME,
        "firefox": "SSL_ERROR_NEXT_PROTOCOL_DATA_INVALID",
    },
    "no-key-exchange": {
        **library_texts("unexpected message"),
        "go": "tls: missing ServerKeyExchange message",
        "java": f"{_SSL}SSLException: No ECDHE credentials negotiated for client key exchange",
        "chrome": _CHROME,
        "firefox": "SSL_ERROR_RX_UNEXPECTED_HELLO_DONE",
        "gnutls": "An unexpected TLS handshake packet was received.",
    },
}
# A public key of the server's that makes no secret; curl and Node report another error of OpenSSL's, with its place in memory.
NO_SHARE: Final = {
    "go": "tls: invalid ServerKeyExchange message",
    "java": f"{_SSL}SSLHandshakeException: Could not generate secret",
    "chrome": _CHROME,
    "gnutls": "An illegal parameter has been received.",
}
NO_SHARE_TLS13: Final = {
    **NO_SHARE,
    "openssl": "SSL routines::bad key share",
    "python": "[SSL: BAD_KEY_SHARE] bad key share",
    "go": "tls: invalid server key share",
}

# --- a signature that was not offered -----------------------------------------------------------------

_WRONG_TYPE: Final = library_texts("wrong signature type")


def unoffered_scheme_texts(evidence: Mapping[str, Any], target: Target) -> Texts:
    """Return what each client says to a handshake that is signed with a scheme which it did not offer."""
    scheme = evidence["signed_with"]
    texts = {
        **_WRONG_TYPE,
        "go": "tls: certificate used with invalid signature algorithm",
        "java": f"{_SSL}SSLHandshakeException: Unsupported signature algorithm ({scheme}) used in ECDH ServerKeyExchange "
        "handshake message",
        "chrome": _CHROME,
        "firefox": "SSL_ERROR_UNSUPPORTED_SIGNATURE_ALGORITHM",
        "gnutls": "The signature algorithm is not supported.",
    }
    refusing = {str(name).lower() for name in evidence.get("refused_by", ())}
    if "openssl" in refusing:
        refusing.update(LIBRARIES)
    if evidence.get("scheme_code") not in SHA1_SCHEMES:
        refusing.add("gnutls")
    said = {client: texts[client] if client in refusing else OK for client in CLIENTS}
    if evidence.get("scheme_code") in SHA1_SCHEMES:
        said["java"] = since(texts["java"], "Java 25")
    return said


# --- long messages ------------------------------------------------------------------------------------


def oversized_texts(evidence: Mapping[str, Any], target: Target) -> Texts:
    """Return what each client says to ``oversized-message``."""
    size = evidence.get("size")
    texts = {
        **library_texts("excessive message size"),
        "java": f"{_SSL}SSLProtocolException: The size of the handshake message ({size}) exceeds the maximum allowed size (32768)",
        "chrome": _CHROME,
        "firefox": "SSL_ERROR_RX_MALFORMED_HANDSHAKE",
        "gnutls": "The handshake data size is too large.",
    }
    if evidence.get("message") == "CertificateRequest":
        texts["go"] = f"tls: handshake message of length {size} bytes exceeds maximum of 65536 bytes"
    refusing = {str(name).lower() for name in evidence.get("refused_by", ())}
    if "openssl" in refusing:
        refusing.update(LIBRARIES)
    return {client: text for client in CLIENTS if (text := texts.get(client) if client in refusing else OK) is not None}
