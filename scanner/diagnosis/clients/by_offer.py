"""What each client says where a server refuses, or chooses, what the client did or did not offer: suites, groups, schemes, shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from scanner.diagnosis.clients.by_deviation import unoffered_scheme_texts
from scanner.diagnosis.clients.endings import BROWSERS, LIBRARIES, OK, alert_texts, ending_texts, since
from scanner.model.evidence import Target
from scanner.tls import offers
from scanner.tls.registry_names import SUITES, cipher_suite

Texts = Mapping[str, str]

# The TLS 1.2 suites that each client offers by default, beside those of TLS 1.3
_AEAD: Final = frozenset(offers.ECDHE_AEAD)
_CBC_SHA1: Final = frozenset((*offers.ECDHE_CBC_SHA1, 0xC009, 0xC00A))
_CERTIFIED: Final = frozenset({"any", "RSA", "ECDSA"})
# Java and Node still offer suites for keys of DSA.
_CERTIFIED_OR_DSA: Final = _CERTIFIED | {"DSS"}
OFFERED: Final[Mapping[str, Callable[[int], bool]]] = {
    "openssl": lambda code: _openssl_offers(code),
    "curl": lambda code: _openssl_offers(code),
    "python": lambda code: _python_offers(code),
    "go": lambda code: code in _AEAD or code in _CBC_SHA1,
    "java": lambda code: _offers(code, ("ECDHE", "DHE", "TLS13"), keys=_CERTIFIED_OR_DSA),
    # A list of its own, then HIGH without Camellia: CCM and ARIA are in
    "node": lambda code: _offers(code, ciphers=("AES", "CHACHA20", "ARIA"), keys=_CERTIFIED_OR_DSA, ccm=True),
    "chrome": lambda code: code in offers.MODERN_SUITES,
    "firefox": lambda code: code in offers.MODERN_SUITES,
    "gnutls": lambda code: _offers(code, ccm=True) and cipher_suite(code).mac in ("AEAD", "SHA1"),
}


def _offers(
    code: int,
    exchanges: tuple[str, ...] = ("ECDHE", "DHE", "RSA", "TLS13"),
    ciphers: tuple[str, ...] = ("AES", "CHACHA20"),
    keys: frozenset[str] = _CERTIFIED,
    *,
    ccm: bool = False,
) -> bool:
    suite = cipher_suite(code)
    current = suite.weak is None and suite.kx in exchanges and suite.auth in keys
    return current and suite.cipher.startswith(ciphers) and (ccm or "CCM" not in suite.cipher)


def _openssl_offers(code: int) -> bool:
    # DEFAULT leaves out CCM, Camellia and ARIA since 1.1.1
    return _offers(code) and not cipher_suite(code).name.startswith("OLD_")


def _python_offers(code: int) -> bool:
    # ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES without SHA-1 and CCM
    suite = cipher_suite(code)
    offered = suite.kx in ("ECDHE", "TLS13") or (suite.kx == "DHE" and suite.cipher.startswith("AES"))
    return _openssl_offers(code) and offered and suite.mac != "SHA1"


def no_shared_cipher(evidence: Mapping[str, Any], _: Target) -> Texts:
    """Return what each client says to ``no-shared-cipher``."""
    code = evidence.get("cipher_code")
    # A server that took RSA key transport was not refused: what it answers to those without it is an alert, as a rule.
    ending = alert_texts(40) if evidence.get("failure") is None else ending_texts(evidence)
    if not isinstance(code, int) or code not in SUITES:
        return {client: text for client, text in ending.items() if client == "chrome"}
    texts = {client: OK if OFFERED[client](code) else text for client, text in ending.items()}
    if cipher_suite(code).kx == "RSA" and _offers(code, ciphers=("AES",)):
        # Java 24 disabled the suites without forward secrecy
        texts["java"] = since(texts["java"], "Java 24")
    bits = evidence.get("dh_bits")
    if isinstance(bits, int) and bits < OPENSSL_DH_BITS:
        texts.update({client: text for client, text in _SHORT_PRIME.items() if texts.get(client) == OK})
        if bits >= NODE_DH_BITS and "node" in texts:
            texts["node"] = since(texts["node"], "Node 24")
        if bits >= GNUTLS_DH_BITS and OFFERED["gnutls"](code):
            texts["gnutls"] = OK
    return texts


# What OpenSSL's security level 2 wants of a Diffie-Hellman prime, and GnuTLS
OPENSSL_DH_BITS: Final = 2048
GNUTLS_DH_BITS: Final = 1008
# and its level 1, which is that of Node before 24
NODE_DH_BITS: Final = 1024
NODE_RSA_BITS: Final = 1024
_SHORT_PRIME: Final = {
    "openssl": "SSL routines::dh key too small",
    "curl": "(35) TLS connect error: SSL routines::dh key too small",
    "python": "[SSL: DH_KEY_TOO_SMALL] dh key too small",
    "node": "ERR_SSL_DH_KEY_TOO_SMALL: SSL routines::dh key too small",
    "gnutls": "The Diffie-Hellman prime sent by the server is not acceptable (not long enough).",
}


def no_shared_group(evidence: Mapping[str, Any], _: Target) -> Texts:
    """Return what each client says to ``no-shared-group``."""
    bits = evidence.get("dh_bits")
    if evidence.get("failure") is None and isinstance(bits, int):
        return _SHORT_PRIME
    ending = ending_texts(evidence)
    # X448 and P-521 are offered by OpenSSL, P-521 by Firefox, Go, Java and GnuTLS; finite-field groups by the last two.
    takes = _GROUP_TAKEN.get(str(evidence.get("group")), frozenset())
    return {client: OK if client in takes else text for client, text in ending.items()}


_GROUP_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "secp521r1": LIBRARIES | {"firefox", "go", "java", "gnutls"},
    "x448": LIBRARIES | {"java", "gnutls"},
    "ffdhe2048": LIBRARIES | {"firefox", "java", "gnutls"},
    "ffdhe3072": LIBRARIES | {"firefox", "java", "gnutls"},
    "ffdhe4096": LIBRARIES | {"java", "gnutls"},
}


def no_shared_scheme(evidence: Mapping[str, Any], target: Target) -> Texts:
    """Return what each client says to ``no-shared-signature-scheme``."""
    if "signed_with" in evidence:
        return unoffered_scheme_texts(evidence, target)
    refusing = {str(name).lower() for name in evidence.get("refused_by", ())}
    if "openssl" in refusing:
        refusing |= LIBRARIES
    ending = alert_texts(40)
    texts = {client: text if client in refusing else OK for client, text in ending.items()}
    if str(evidence.get("scheme", "")).endswith("sha1"):
        texts["java"] = since(ending["java"], "Java 25")
    return texts


# Who has offered a post-quantum share since when; Java up to 26 and GnuTLS 3.7 do not.
_LARGE_SINCE: Final = {**dict.fromkeys(("openssl", "curl", "python"), "OpenSSL 3.5"), "node": "Node 24"}
_NEVER_LARGE: Final = frozenset({"java", "gnutls"})


def no_shared_alpn(evidence: Mapping[str, Any], _: Target) -> Texts:
    """Return what each client says to ``no-shared-alpn``."""
    # libraries offer no protocol unless they are told to
    texts = ending_texts(evidence)
    return {client: texts[client] if client == "curl" or client in BROWSERS else OK for client in texts}


def large_hello(evidence: Mapping[str, Any], _: Target) -> Texts:
    """Return what each client says to ``large-hello-dropped``."""
    return {
        client: OK if client in _NEVER_LARGE else since(text, _LARGE_SINCE[client]) if client in _LARGE_SINCE else text
        for client, text in ending_texts(evidence).items()
    }
