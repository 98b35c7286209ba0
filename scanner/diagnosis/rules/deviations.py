"""Rules on a flight that came whole and contains what the hello did not allow, or lacks what clients demand.

TLS forbids it to the server, and clients differ in what they make of it. So each claim names those that refuse, as they were seen
(``tests/clients/test_deviations.py`` asks them again): OpenSSL 3.0 and 4.0, curl, Python, Go 1.26, Java 17 and its successor,
GnuTLS 3.7, Chromium 156, Firefox 153.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from scanner.caching import bounded_memo
from scanner.codec.encode import LONGEST_NEGOTIATION, MAX_NEGOTIATIONS, negotiation_bytes
from scanner.diagnosis.claim import Claim
from scanner.model.evidence import Deviation, DeviationKind, Negotiation
from scanner.model.findings import Severity
from scanner.tls import constants as c
from scanner.tls.offers import TLS13
from scanner.tls.registry_names import alert_name, cipher_name, extension_name, group_name, scheme_name, version_name

_BROWSERS: Final = ("Chrome", "Firefox")
_MAINSTREAM: Final = frozenset({*_BROWSERS, "OpenSSL", "Go", "Java"})
_ALL: Final = ("OpenSSL", "Go", "Java", "Chrome", "Firefox", "GnuTLS")

# Extensions that OpenSSL 3 knows: it refuses one that it did not offer, or in a message where it does not belong, and ignores what
# it does not know. OpenSSL 4 knows four more.
OPENSSL_KNOWS: Final = frozenset(
    {0, 1, 5, 10, 11, 12, 13, 14, 16, 18, 21, 22, 23, 35, 41, 42, 43, 44, 45, 47, 49, 50, 51, 13172, 0xFF01}
)
OPENSSL_4_KNOWS: Final = frozenset({19, 20, 27, 0xFE0D})
_ENCRYPT_THEN_MAC: Final = 22  # OpenSSL and GnuTLS offer it
_GNUTLS_KNOWS: Final = frozenset({1, 12, 13, 14, 15, 16, 19, 20, 27, 41, 42, 44, 45, 49})
# crypto/tls and JSSE look for some by name, and ignore the others
_GO_REFUSES_OLD: Final = frozenset({16})
_GO_REFUSES: Final = {
    "ServerHello": frozenset({5, 16, 18, 23, 35, 41, 44, 0xFF01}),
    "EncryptedExtensions": frozenset({16, 42, 57}),
}
# Chrome takes no extension that it did not offer; Firefox offers more, and takes those where it reads them
_FIREFOX_TAKES_OLD: Final = frozenset({13, 27, 28, 34, 44, 45})
_FIREFOX_TAKES: Final = {"EncryptedExtensions": frozenset({28})}
_JAVA_REFUSES_OLD: Final = frozenset({1, 13, 16, 44, 45, 47, 50})
_JAVA_REFUSES: Final = {
    "ServerHello": frozenset({13, 41, 44, 45, 47, 50}),
    "EncryptedExtensions": frozenset({1, 16}),
}
# The extensions of our hellos; what else comes was not offered.
_OFFERED: Final = c.IN_OLD_SERVER_HELLO | c.IN_RETRY | {c.EXT_SIGNATURE_ALGORITHMS, c.EXT_PSK_KEY_EXCHANGE_MODES}
# ... but for addresses, and for protocols other than the web's
_NOT_ALWAYS_OFFERED: Final = frozenset({c.EXT_SERVER_NAME, c.EXT_ALPN})

# Longest message that a client takes, in bytes without its header: (all, Certificate). jdk.tls.maxHandshakeMessageSize;
# SSL_MAX_CERT_LIST_DEFAULT of OpenSSL and BoringSSL, which both apply to either; maxHandshake and maxHandshakeCertificateMsg of
# Go; MAX_HANDSHAKE_MSG_LEN of NSS; MAX_HANDSHAKE_PACKET_SIZE of GnuTLS.
LONGEST: Final = {
    "Java": (32_768, 32_768),
    "OpenSSL": (102_400, 102_400),
    "Chrome": (102_400, 102_400),
    "Go": (65_536, 262_144),
    "Firefox": (131_071, 131_071),
    "GnuTLS": (131_072, 131_072),
}
# Alerts that Java takes for the end of a handshake even as warnings (``handshakeOnly`` in sun.security.ssl.Alert)
JAVA_HANDSHAKE_ALERTS: Final = frozenset({40, *range(41, 52), 60, 70, 71, 100, *range(109, 117), 120})
_UNRECOGNIZED_NAME: Final = 112
_NO_RENEGOTIATION: Final = 100


@bounded_memo(MAX_NEGOTIATIONS, LONGEST_NEGOTIATION, lambda negotiation, browsers: negotiation_bytes(negotiation))
def deviation_claims(negotiation: Negotiation, browsers: bool) -> tuple[Claim, ...]:
    """Return what clients hold against what a whole flight contains. ``browsers`` speak the protocol."""
    return tuple(_claims(negotiation, browsers)) if negotiation.complete else ()


def deviations_of_file(certificates: Sequence[bytes]) -> tuple[Deviation, ...]:
    """Return how the Certificate message of a server that sends these certificates would deviate: it may be longer than clients take."""
    size = 3 + sum(3 + len(certificate) for certificate in certificates)
    return (Deviation("long-message", "Certificate", size=size),) if size > LONGEST["Java"][1] else ()


def warning_claims(alert: tuple[int, int]) -> Iterator[Claim]:
    """Yield what clients hold against a warning alert that came before the end of a flight, which then came whole."""
    level, code = alert
    if level != c.ALERT_WARNING or code not in JAVA_HANDSHAKE_ALERTS:
        return
    refusing = ["Java", "OpenSSL", "GnuTLS"] if code == _NO_RENEGOTIATION else ["Java"]
    facts: dict[str, Any] = {
        "warning": alert_name(code),
        "warning_code": code,
        "refused_by": refusing,
    }
    if code == _UNRECOGNIZED_NAME:
        yield Claim("sni-unrecognized", facts)
    else:
        detail = f"the alert {alert_name(code)} comes as a warning before a flight that goes on"
        yield Claim("malformed-handshake", {"detail": detail, "deviation": "warning", **facts})


def _claims(negotiation: Negotiation, browsers: bool) -> Iterator[Claim]:
    for deviation in negotiation.deviations:
        refusing = [
            client
            for client in _REFUSING[deviation.kind](deviation, negotiation)
            if browsers or client not in _BROWSERS
        ]
        claim = _CLAIM[deviation.kind](deviation, negotiation)
        yield Claim(claim.code, {**claim.evidence, "refused_by": refusing}, _severity(refusing))


def _severity(refusing: list[str]) -> Severity:
    if _MAINSTREAM.isdisjoint(refusing):
        return "warning" if refusing else "note"
    return "error"


# --- who refuses -------------------------------------------------------------------------------------


def _everybody(deviation: Deviation, negotiation: Negotiation) -> tuple[str, ...]:
    return _ALL


def _without_renegotiation_info(deviation: Deviation, negotiation: Negotiation) -> tuple[str, ...]:
    return ("OpenSSL", "curl", "Python")


def _of_extension(deviation: Deviation, negotiation: Negotiation) -> list[str]:
    code, message = deviation.code, deviation.message
    old = negotiation.version != TLS13
    if message == "HelloRetryRequest":
        message = "ServerHello"
    refusing = ["Chrome"]
    if code not in (_FIREFOX_TAKES_OLD if old else _FIREFOX_TAKES.get(message, ())):
        refusing.append("Firefox")
    if code in OPENSSL_KNOWS | OPENSSL_4_KNOWS and not (old and code == _ENCRYPT_THEN_MAC):
        refusing.append("OpenSSL")
    if code in (_GO_REFUSES_OLD if old else _GO_REFUSES.get(message, ())):
        refusing.append("Go")
    if code in (_JAVA_REFUSES_OLD if old else _JAVA_REFUSES.get(message, ())):
        refusing.append("Java")
    if message == "Certificate" or code in _GNUTLS_KNOWS or (not old and code in (_ENCRYPT_THEN_MAC, *_OFFERED)):
        refusing.append("GnuTLS")
    return refusing


def _of_alpn(deviation: Deviation, negotiation: Negotiation) -> tuple[str, ...]:
    return (*_BROWSERS, "curl")


def _of_size(deviation: Deviation, negotiation: Negotiation) -> list[str]:
    size = deviation.size or 0
    return [client for client, most in LONGEST.items() if size > most[deviation.message == "Certificate"]]


_REFUSING: Final[dict[DeviationKind, Callable[[Deviation, Negotiation], tuple[str, ...] | list[str]]]] = {
    "no-renegotiation-info": _without_renegotiation_info,
    "wrong-renegotiation-info": _everybody,
    "extension": _of_extension,
    "alpn": _of_alpn,
    "scheme": _everybody,
    "no-key-exchange": _everybody,
    "share": _everybody,
    "long-message": _of_size,
}


# --- what is claimed ---------------------------------------------------------------------------------


def _malformed(deviation: Deviation, detail: str, **facts: Any) -> Claim:
    return Claim("malformed-handshake", {"detail": detail, "deviation": deviation.kind, **facts})


def _legacy_renegotiation(deviation: Deviation, negotiation: Negotiation) -> Claim:
    version = negotiation.version
    return Claim("legacy-renegotiation", {} if version is None else {"version": version_name(version)})


def _wrong_info(deviation: Deviation, negotiation: Negotiation) -> Claim:
    return _malformed(deviation, "the renegotiation_info of its first ServerHello is not empty")


def _extension(deviation: Deviation, negotiation: Negotiation) -> Claim:
    code = deviation.code or 0
    name = extension_name(code)
    why = "was not offered" if code not in _OFFERED or code in _NOT_ALWAYS_OFFERED else "does not belong there"
    facts = {"message": deviation.message, "extension": name, "extension_code": code}
    if negotiation.version is not None:
        facts["version_code"] = negotiation.version
    return _malformed(deviation, f"its {deviation.message} has the extension {name}, which {why}", **facts)


def _alpn(deviation: Deviation, negotiation: Negotiation) -> Claim:
    name = deviation.name or ""
    detail = f"its {deviation.message} selects the ALPN protocol {name!r}, which was not offered"
    return _malformed(deviation, detail, message=deviation.message, alpn=name)


def _scheme(deviation: Deviation, negotiation: Negotiation) -> Claim:
    scheme = scheme_name(deviation.code or 0)
    facts = {"scheme": scheme, "signed_with": scheme, "scheme_code": deviation.code}
    return Claim("no-shared-signature-scheme", facts)


def _no_exchange(deviation: Deviation, negotiation: Negotiation) -> Claim:
    cipher = cipher_name(negotiation.cipher or 0)
    return _malformed(deviation, f"it has no ServerKeyExchange, which {cipher} needs", cipher=cipher)


def _share(deviation: Deviation, negotiation: Negotiation) -> Claim:
    group = "its group" if deviation.code is None else group_name(deviation.code)
    detail = f"the public key in its {deviation.message} is none of {group}"
    return _malformed(deviation, detail, group=group, fault=deviation.name)


def _long(deviation: Deviation, negotiation: Negotiation) -> Claim:
    takers = [most[deviation.message == "Certificate"] for most in LONGEST.values() if (deviation.size or 0) > most[0]]
    facts: dict[str, Any] = {"message": deviation.message, "size": deviation.size, "longest": min(takers, default=0)}
    if deviation.message == "CertificateRequest" and negotiation.client_auth is not None:
        facts["names_count"] = len(negotiation.client_auth.authorities)
    return Claim("oversized-message", facts)


_CLAIM: Final[dict[DeviationKind, Callable[[Deviation, Negotiation], Claim]]] = {
    "no-renegotiation-info": _legacy_renegotiation,
    "wrong-renegotiation-info": _wrong_info,
    "extension": _extension,
    "alpn": _alpn,
    "scheme": _scheme,
    "no-key-exchange": _no_exchange,
    "share": _share,
    "long-message": _long,
}
