"""What each client says to a code, where that depends on the evidence: how a handshake ended, what was offered, who refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.by_deviation import (
    NO_RENEGOTIATION_INFO,
    NO_SHARE_TLS13,
    java_warning,
    malformed_texts,
    oversized_texts,
    unoffered_scheme_texts,
)
from scanner.diagnosis.clients.by_revocation import by_list, by_responder, by_staple, invalid_staple, must_staple
from scanner.diagnosis.clients.endings import (
    BROWSERS,
    CLIENTS,
    NO_CLIENT_CERTIFICATE,
    OK,
    alert_texts,
    ending_texts,
    verify_texts,
)
from scanner.diagnosis.clients.texts import (
    ADDRESS_TEXTS,
    COMPARISONS_TEXTS,
    KEY_FORM_TEXTS,
    MALFORMED_POLICIES,
    NAME_TEXTS,
    NODE_LEAF_ALONE,
    TEXTS,
    TOO_COSTLY_TEXTS,
    TOO_LONG_TEXTS,
    USAGE_TEXTS,
)
from scanner.model.evidence import Stage, Target
from scanner.tls import offers
from scanner.tls.registry_names import SUITES, cipher_suite
from scanner.x509.malformations import EXPLICIT_CURVE

Texts = Mapping[str, str]


def texts_of(code: str, evidence: Mapping[str, Any], target: Target) -> Texts | None:
    """Return what each client says to ``code``; ``None`` if it says nothing about it."""
    special = _SPECIAL.get(code)
    texts = special(evidence, target) if special is not None else TEXTS.get(code)
    if texts is None or CODES[code].stage is not Stage.CERTIFICATE:
        return texts
    refusing = evidence.get("refused_by")
    if refusing:
        named = {str(client).lower() for client in refusing}
        if "openssl" in named and code not in _NODE_DECIDES:
            named |= _LIBRARIES
        texts = {client: text if client in named else OK for client, text in texts.items()}
    if evidence.get("anchor") and code not in _JAVA_ASKS_OF_ANCHORS:
        return {**texts, "java": OK}
    return texts


# Node compares names itself.
_NODE_DECIDES: Final = frozenset({"name-not-in-san"})
# Of an anchor Java asks that it is a CA and may sign, and nothing else.
_JAVA_ASKS_OF_ANCHORS: Final = frozenset({"issuer-not-a-ca", "wrong-key-usage"})


# The TLS 1.2 suites that each client offers by default, beside those of TLS 1.3
_AEAD: Final = frozenset(offers.ECDHE_AEAD)
_CBC_SHA1: Final = frozenset((*offers.ECDHE_CBC_SHA1, 0xC009, 0xC00A))
_CERTIFIED: Final = frozenset({"any", "RSA", "ECDSA"})
_OFFERED: Final[Mapping[str, Callable[[int], bool]]] = {
    "openssl": lambda code: _openssl_offers(code),
    "curl": lambda code: _openssl_offers(code),
    "python": lambda code: _python_offers(code),
    "go": lambda code: code in _AEAD or code in _CBC_SHA1,
    "java": lambda code: _offers(code, ("ECDHE", "DHE", "TLS13")),
    # A list of its own, then HIGH without Camellia: CCM and ARIA are in
    "node": lambda code: _offers(code, ciphers=("AES", "CHACHA20", "ARIA"), ccm=True),
    "chrome": lambda code: code in offers.MODERN_SUITES,
    "firefox": lambda code: code in offers.MODERN_SUITES,
    "gnutls": lambda code: _offers(code, ccm=True) and cipher_suite(code).mac in ("AEAD", "SHA1"),
}


def _offers(
    code: int,
    exchanges: tuple[str, ...] = ("ECDHE", "DHE", "RSA", "TLS13"),
    ciphers: tuple[str, ...] = ("AES", "CHACHA20"),
    *,
    ccm: bool = False,
) -> bool:
    suite = cipher_suite(code)
    current = suite.weak is None and suite.kx in exchanges and suite.auth in _CERTIFIED
    return current and suite.cipher.startswith(ciphers) and (ccm or "CCM" not in suite.cipher)


def _openssl_offers(code: int) -> bool:
    # DEFAULT leaves out CCM, Camellia and ARIA since 1.1.1
    return _offers(code) and not cipher_suite(code).name.startswith("OLD_")


def _python_offers(code: int) -> bool:
    # ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES:DHE+AES without SHA-1 and CCM
    suite = cipher_suite(code)
    offered = suite.kx in ("ECDHE", "TLS13") or (suite.kx == "DHE" and suite.cipher.startswith("AES"))
    return _openssl_offers(code) and offered and suite.mac != "SHA1"


def _no_shared_cipher(evidence: Mapping[str, Any], _: Target) -> Texts:
    code = evidence.get("cipher_code")
    # A server that took RSA key transport was not refused: what it answers to those without it is an alert, as a rule.
    ending = alert_texts(40) if evidence.get("failure") is None else ending_texts(evidence)
    if not isinstance(code, int) or code not in SUITES:
        return {client: text for client, text in ending.items() if client == "chrome"}
    texts = {client: OK if _OFFERED[client](code) else text for client, text in ending.items()}
    bits = evidence.get("dh_bits")
    if isinstance(bits, int) and bits < OPENSSL_DH_BITS:
        texts.update({client: text for client, text in _SHORT_PRIME.items() if texts.get(client) == OK})
        if bits >= GNUTLS_DH_BITS:
            texts["gnutls"] = OK
    return texts


# What OpenSSL's security level 2 wants of a Diffie-Hellman prime, and GnuTLS
OPENSSL_DH_BITS: Final = 2048
GNUTLS_DH_BITS: Final = 1008
_SHORT_PRIME: Final = {
    "openssl": "SSL routines::dh key too small",
    "curl": "(35) TLS connect error: SSL routines::dh key too small",
    "python": "[SSL: DH_KEY_TOO_SMALL] dh key too small",
    "node": "ERR_SSL_DH_KEY_TOO_SMALL: SSL routines::dh key too small",
    "gnutls": "The Diffie-Hellman prime sent by the server is not acceptable (not long enough).",
}


def _no_shared_group(evidence: Mapping[str, Any], _: Target) -> Texts:
    bits = evidence.get("dh_bits")
    if evidence.get("failure") is None and isinstance(bits, int):
        return _SHORT_PRIME
    ending = ending_texts(evidence)
    # X448 and P-521 are offered by OpenSSL, P-521 by Firefox, Go, Java and GnuTLS; finite-field groups by the last two.
    takes = _GROUP_TAKEN.get(str(evidence.get("group")), frozenset())
    return {client: OK if client in takes else text for client, text in ending.items()}


_LIBRARIES: Final = frozenset({"openssl", "curl", "python", "node"})
_GROUP_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    "secp521r1": _LIBRARIES | {"firefox", "go", "java", "gnutls"},
    "x448": _LIBRARIES | {"java", "gnutls"},
    "ffdhe2048": _LIBRARIES | {"firefox", "java", "gnutls"},
    "ffdhe3072": _LIBRARIES | {"firefox", "java", "gnutls"},
    "ffdhe4096": _LIBRARIES | {"java", "gnutls"},
}


def _no_shared_scheme(evidence: Mapping[str, Any], target: Target) -> Texts:
    if "signed_with" in evidence:
        return unoffered_scheme_texts(evidence, target)
    refusing = {str(name).lower() for name in evidence.get("refused_by", ())}
    if "openssl" in refusing:
        refusing |= _LIBRARIES
    ending = alert_texts(40)
    return {client: text if client in refusing else OK for client, text in ending.items()}


def _no_shared_alpn(evidence: Mapping[str, Any], _: Target) -> Texts:
    # libraries offer no protocol unless they are told to
    texts = ending_texts(evidence)
    return {client: texts[client] if client == "curl" or client in BROWSERS else OK for client in texts}


def _large_hello(evidence: Mapping[str, Any], _: Target) -> Texts:
    # Java and GnuTLS do not send a post-quantum share by default.
    return {client: OK if client in ("java", "gnutls") else text for client, text in ending_texts(evidence).items()}


# A version as Go and as Java write it
_CHOSEN_VERSION: Final = {"TLSv1.1": ("302", "TLS11"), "TLSv1.0": ("301", "TLS10"), "SSLv3": ("300", "SSL30")}


def _legacy(evidence: Mapping[str, Any], _: Target) -> Texts:
    versions = set(evidence.get("versions", ()))
    texts = dict(alert_texts(70) if evidence.get("failure") is None else ending_texts(evidence))
    if evidence.get("failure") is None:
        del (
            texts["python"],
            texts["node"],
        )  # an alert of the server's, or "unsupported protocol": it depends on its suites
        go, java = _CHOSEN_VERSION.get(next(iter(evidence.get("versions", ())), ""), ("", ""))
        texts.update(
            go=f"tls: server selected unsupported protocol version {go}".rstrip(),
            java=f"javax.net.ssl.SSLHandshakeException: The server selected protocol version {java} is not accepted by "
            "client preferences [TLS13, TLS12]",
            firefox="SSL_ERROR_UNSUPPORTED_VERSION",
        )
    if versions & {"TLSv1.0", "TLSv1.1"}:
        texts["gnutls"] = OK  # its NORMAL priorities still have both
        # OpenSSL offers both, and then refuses the only signatures that they have (MD5 with SHA-1).
        texts["openssl"] = "SSL routines::legacy sigalg disallowed or unsupported"
        texts["curl"] = "(35) TLS connect error: SSL routines::legacy sigalg disallowed or unsupported"
    return texts


def _names(evidence: Mapping[str, Any], target: Target) -> Texts:
    return ADDRESS_TEXTS if target.host_is_ip and target.sni is None else NAME_TEXTS


def _unknown_issuer(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["issuer-unknown"]
    return {**texts, "node": NODE_LEAF_ALONE} if evidence.get("leaf") is True else texts


def _not_sent(evidence: Mapping[str, Any], target: Target) -> Texts:
    texts = dict(_unknown_issuer(evidence, target))
    if evidence.get("urls"):
        texts["chrome"] = OK  # fetches what AIA names
    if "shipped" in evidence.get("completed_from", ()):
        texts["firefox"] = OK  # carries all intermediates that its CAs have disclosed
    return texts


def _unobtainable(evidence: Mapping[str, Any], target: Target) -> Texts:
    texts = dict(_unknown_issuer(evidence, target))
    if evidence.get("fetched") is False:
        del texts["chrome"]  # it would fetch what AIA names; whether that helps is not known
    return texts


def _untrusted_root(evidence: Mapping[str, Any], _: Target) -> Texts:
    # Without the root in what was sent, OpenSSL cannot see that it is a self-signed one.
    return TEXTS["untrusted-root"] if evidence.get("root_sent") else TEXTS["issuer-unknown"]


def _issuer_dates(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["intermediate-expired"]
    return {**texts, **verify_texts(9, "certificate is not yet valid")} if evidence.get("not_before") else texts


def _local_clock(evidence: Mapping[str, Any], _: Target) -> Texts:
    # the same clock is theirs
    return TEXTS["certificate-expired" if evidence.get("by_local_clock") == "expired" else "certificate-not-yet-valid"]


def _weak_key(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["weak-key"])
    if "dsa_bits" in evidence:
        # none of them offers a suite for it, so that a server with nothing else refuses
        return alert_texts(40)
    if evidence.get("leaf") is False:
        texts.update(verify_texts(67, "CA certificate key too weak"))
    return texts


def _unsupported_algorithm(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["unsupported-algorithm"])
    form = evidence.get("form")
    if form is not None:
        texts |= KEY_FORM_TEXTS
    if form == EXPLICIT_CURVE:
        texts |= verify_texts(94, "Certificate public key has explicit ECC parameters")
    refusing = {str(client).lower() for client in evidence.get("refused_by", ())}
    if "reason" in evidence:  # who knows the algorithm may find the signature bad
        return {
            client: text
            for client, text in texts.items()
            if ("openssl" if client in _LIBRARIES else client) in refusing
        }
    return texts


def _wrong_key_usage(evidence: Mapping[str, Any], _: Target) -> Texts:
    if evidence.get("leaf") is not True:
        # Go takes a key usage without a bit for none
        return {**TEXTS["wrong-key-usage"], "go": OK} if evidence.get("key_usage") == [] else TEXTS["wrong-key-usage"]
    missing = USAGE_TEXTS.get(str(evidence.get("missing")))
    if missing is None:
        return {**TEXTS["not-for-server-auth"], "go": OK, "firefox": "SEC_ERROR_INADEQUATE_KEY_USAGE"}
    return {**dict.fromkeys(CLIENTS, OK), **missing}


def _too_many(evidence: Mapping[str, Any], _: Target) -> Texts:
    return {**dict.fromkeys(CLIENTS, OK), **TOO_LONG_TEXTS}


def _path_length(evidence: Mapping[str, Any], _: Target) -> Texts:
    return {} if "detail" in evidence else TEXTS["path-length-exceeded"]


def _dead_end(evidence: Mapping[str, Any], _: Target) -> Texts:
    # what they say is what is wrong with the path that they took
    return TEXTS.get(str(evidence.get("because")), {})


def _policies(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["policy-not-satisfied"]
    return {**texts, "go": MALFORMED_POLICIES} if evidence.get("malformed") else texts


def _too_costly(evidence: Mapping[str, Any], _: Target) -> Texts | None:
    if "refused_by" not in evidence:
        return None
    if "comparisons" in evidence:
        return {**verify_texts(1, "unspecified certificate verification error"), **COMPARISONS_TEXTS}
    # of the others it is not known what they make of such a chain
    refusing = {str(client).lower() for client in evidence["refused_by"]}
    if "openssl" in refusing:
        refusing.add("node")
    return {client: text for client, text in TOO_COSTLY_TEXTS.items() if client in refusing}


def _purposes(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["not-for-server-auth"])
    if evidence.get("responder"):
        texts["firefox"] = "SEC_ERROR_INADEQUATE_CERT_TYPE"
        return texts
    if evidence.get("refused_by"):
        texts["firefox"] = "MOZILLA_PKIX_ERROR_CA_CERT_USED_AS_END_ENTITY"
        return texts
    purposes = set(evidence.get("extended_key_usage", ()))
    if evidence.get("extended_key_usage") == []:
        texts.update(go=OK, gnutls=OK)  # take a list without purposes for none
    is_leaf = evidence.get("leaf") is True
    if "anyExtendedKeyUsage" in purposes:
        texts.update(go=OK, java=OK, chrome=OK)
        if is_leaf:
            texts["gnutls"] = OK
    if purposes & _GATED:
        texts.update(openssl=OK, curl=OK, python=OK, node=OK, java=OK)
    if not is_leaf:
        texts["java"] = OK  # looks at the leaf's alone
    if evidence.get("anchor"):
        texts["gnutls"] = OK
    return texts


# Server Gated Cryptography of Netscape and Microsoft, which OpenSSL and Java still take for serverAuth
_GATED: Final = frozenset({"2.16.840.1.113730.4.1", "1.3.6.1.4.1.311.10.3.3"})


def _client_certificate(evidence: Mapping[str, Any], _: Target) -> Texts:
    if evidence.get("failure") is None:
        return dict.fromkeys(CLIENTS, OK)  # TLS is content; what the application says is in its own words
    texts = dict(ending_texts(evidence))
    if evidence.get("alert_code") == 40:
        texts |= NO_CLIENT_CERTIFICATE
    if evidence.get("version_code") == offers.TLS13:
        # the handshake has ended well, and the refusal is what is read first
        texts["curl"] = texts["curl"].replace("(35) TLS connect error:", "(56) OpenSSL SSL_read:")
    return texts


def _behind_tls(evidence: Mapping[str, Any], target: Target) -> Texts:
    ending = _HUNG_UP.get(str(evidence.get("failure")))
    if "asked" in evidence and evidence.get("failure") == "alert":
        # libraries are content with the handshake, and learn of the alert when they read the answer
        curl = alert_texts(evidence["alert_code"])["curl"].replace("(35) TLS connect error:", "(56) OpenSSL SSL_read:")
        return {**{client: OK for client in CLIENTS if client not in BROWSERS}, "curl": curl}
    if evidence.get("asked") == "after the handshake":
        # curl lets itself be asked, browsers do not
        return {client: OK for client in CLIENTS if client != "curl"}
    if ending is None:
        return dict.fromkeys(CLIENTS, OK)
    # libraries are content with the handshake; what their users make of an end without a word is their own affair
    return {**{client: OK for client in CLIENTS if client not in BROWSERS}, **ending}


_HUNG_UP: Final[Mapping[str, Texts]] = {
    "closed": {"curl": "(52) Empty reply from server", "chrome": "ERR_EMPTY_RESPONSE"},
    "reset": {"curl": "(56) Recv failure: Connection reset by peer", "chrome": "ERR_CONNECTION_RESET"},
}


def _same_ending(evidence: Mapping[str, Any], _: Target) -> Texts:
    return ending_texts(evidence)


def _malformed(evidence: Mapping[str, Any], target: Target) -> Texts:
    if "deviation" in evidence:
        return malformed_texts(evidence, target)
    detail = str(evidence.get("detail"))
    if detail.startswith("key_share: is not a share") and "bytes" not in detail:
        return NO_SHARE_TLS13
    return ending_texts(evidence)


def _unrecognized(evidence: Mapping[str, Any], _: Target) -> Texts:
    if "warning" in evidence:
        return {**dict.fromkeys(CLIENTS, OK), "java": java_warning(evidence)}
    return ending_texts(evidence)


def _no_renegotiation_info(evidence: Mapping[str, Any], _: Target) -> Texts:
    return NO_RENEGOTIATION_INFO


_SPECIAL: Final[Mapping[str, Callable[[Mapping[str, Any], Target], Texts | None]]] = {
    "client-certificate-required": _client_certificate,
    "client-certificate-rejected": _client_certificate,
    "client-certificate-required-by-application": _behind_tls,
    "reset-after-hello": _same_ending,
    "silent-after-hello": _same_ending,
    "sni-filtered": _same_ending,
    "sni-unrecognized": _unrecognized,
    "legacy-renegotiation": _no_renegotiation_info,
    "oversized-message": oversized_texts,
    "too-many-certificates": _too_many,
    "internal-error": _same_ending,
    "closed-during-handshake": _same_ending,
    "malformed-handshake": _malformed,
    "version-rejected": _same_ending,
    "version-intolerant": _same_ending,
    "handshake-failure": _same_ending,
    "large-hello-dropped": _large_hello,
    "no-shared-alpn": _no_shared_alpn,
    "legacy-version-only": _legacy,
    "no-shared-cipher": _no_shared_cipher,
    "no-shared-group": _no_shared_group,
    "no-shared-signature-scheme": _no_shared_scheme,
    "name-not-in-san": _names,
    "wildcard-depth": _names,
    "default-certificate": _names,
    "intermediate-not-sent": _not_sent,
    "intermediate-unobtainable": _unobtainable,
    "issuer-unknown": _unknown_issuer,
    "local-clock-wrong": _local_clock,
    "intermediate-expired": _issuer_dates,
    "untrusted-root": _untrusted_root,
    "weak-key": _weak_key,
    "unsupported-algorithm": _unsupported_algorithm,
    "path-length-exceeded": _path_length,
    "too-costly-to-judge": _too_costly,
    "path-not-found-by-all": _dead_end,
    "policy-not-satisfied": _policies,
    "not-for-server-auth": _purposes,
    "wrong-key-usage": _wrong_key_usage,
    "revoked-ocsp": by_responder,
    "revoked-ocsp-staple": by_staple,
    "revoked-crl": by_list,
    "must-staple-missing": must_staple,
    "staple-invalid": invalid_staple,
}
