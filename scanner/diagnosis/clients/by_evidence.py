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
)
from scanner.diagnosis.clients.by_name import name_constraint_texts, name_texts
from scanner.diagnosis.clients.by_offer import (
    NODE_RSA_BITS,
    large_hello,
    no_shared_alpn,
    no_shared_cipher,
    no_shared_group,
    no_shared_scheme,
)
from scanner.diagnosis.clients.by_revocation import by_list, by_responder, by_staple, invalid_staple, must_staple
from scanner.diagnosis.clients.by_upgrade import not_offered, refused, session_refused
from scanner.diagnosis.clients.endings import (
    BROWSERS,
    CLIENTS,
    LIBRARIES,
    NO_CLIENT_CERTIFICATE,
    OK,
    alert_texts,
    broken_on_texts,
    ending_texts,
    since,
    verify_texts,
)
from scanner.diagnosis.clients.texts import (
    COMPARISONS_TEXTS,
    KEY_FORM_TEXTS,
    MALFORMED_POLICIES,
    NODE_LEAF_ALONE,
    TEXTS,
    TOO_COSTLY_TEXTS,
    TOO_LONG_TEXTS,
    USAGE_TEXTS,
)
from scanner.model.evidence import Stage, Target
from scanner.tls import offers
from scanner.trust.path_check import JAVA_ASKS_OF_ANCHORS
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
            named |= LIBRARIES
        texts = {client: text if client in named else OK for client, text in texts.items()}
    if evidence.get("anchor") and code not in JAVA_ASKS_OF_ANCHORS:
        return {**texts, "java": OK}
    return texts


# Node compares names itself.
_NODE_DECIDES: Final = frozenset({"name-not-in-san"})


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


def _key_mismatch(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["key-mismatch"])
    texts["openssl"] = since("SSL routines::provider signature failure", "OpenSSL 4.0", texts["openssl"])
    if evidence.get("version_code") != offers.TLS13:
        del texts["java"]  # names the message, which is another one in TLS 1.2
    return texts


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
    ahead = evidence.get("not_before")
    if ahead or evidence.get("not_after"):
        side = "before {not_before}" if ahead else "after {not_after}"
        texts = {**texts, "go": f"{texts['go']}: current time NOW is {side}"}
    return {**texts, **verify_texts(9, "certificate is not yet valid")} if ahead else texts


def _local_clock(evidence: Mapping[str, Any], _: Target) -> Texts:
    # the same clock is theirs
    return TEXTS["certificate-expired" if evidence.get("by_local_clock") == "expired" else "certificate-not-yet-valid"]


def _weak_key(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["weak-key"])
    if "dsa_bits" in evidence:
        # Java and Node alone offer suites for it; a server with nothing else refuses the others
        return {**alert_texts(40), "java": OK, "node": OK}
    if evidence.get("leaf") is False:
        texts.update(verify_texts(67, "CA certificate key too weak"))
    kind, size = [*str(evidence.get("key", "")).split(":", 1), ""][:2]
    if kind in ("rsa", "rsa-pss") and size.isdecimal() and int(size) >= NODE_RSA_BITS:
        texts["node"] = since(texts["node"], "Node 24")
    return texts


def _unsupported_algorithm(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = dict(TEXTS["unsupported-algorithm"])
    form = evidence.get("form")
    if form is not None:
        texts |= KEY_FORM_TEXTS
    if form == EXPLICIT_CURVE:
        texts |= verify_texts(94, "Certificate public key has explicit ECC parameters")
    elif form is None and str(evidence.get("key", "")).startswith("ec:") and "signature" not in evidence:
        texts["go"] = "tls: failed to parse certificate from server: x509: unsupported elliptic curve"
    refusing = {str(client).lower() for client in evidence.get("refused_by", ())}
    if "reason" in evidence:  # who knows the algorithm may find the signature bad
        return {
            client: text for client, text in texts.items() if ("openssl" if client in LIBRARIES else client) in refusing
        }
    return texts


def _wrong_key_usage(evidence: Mapping[str, Any], _: Target) -> Texts:
    if evidence.get("leaf") is not True:
        texts = TEXTS["wrong-key-usage"]
        if evidence.get("anchor"):
            texts = {**texts, "java": _JAVA_ANCHOR_USAGE}
        # Go takes a key usage without a bit for none
        return {**texts, "go": OK} if evidence.get("key_usage") == [] else texts
    missing = USAGE_TEXTS.get(str(evidence.get("missing")))
    if missing is None:
        return {
            **TEXTS["not-for-server-auth"],
            "go": OK,
            "java": USAGE_TEXTS["digitalSignature"]["java"],
            "firefox": "SEC_ERROR_INADEQUATE_KEY_USAGE",
            "gnutls": USAGE_TEXTS["digitalSignature"]["gnutls"],
        }
    return {**dict.fromkeys(CLIENTS, OK), **missing}


def _not_a_ca(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["issuer-not-a-ca"]
    return {**texts, "java": _JAVA_ANCHOR_NO_CA} if evidence.get("anchor") else texts


_JAVA_ANCHOR: Final = (
    "javax.net.ssl.SSLHandshakeException: PKIX path validation failed: sun.security.validator.ValidatorException: "
    'TrustAnchor with subject "{subject}" '
)
_JAVA_ANCHOR_NO_CA: Final = f"{_JAVA_ANCHOR}is not a CA certificate"
_JAVA_ANCHOR_USAGE: Final = f"{_JAVA_ANCHOR}does not have keyCertSign bit set in KeyUsage extension"


def _too_many(evidence: Mapping[str, Any], _: Target) -> Texts:
    return {**dict.fromkeys(CLIENTS, OK), **TOO_LONG_TEXTS}


def _path_length(evidence: Mapping[str, Any], _: Target) -> Texts:
    return {} if "detail" in evidence else TEXTS["path-length-exceeded"]


def _dead_end(evidence: Mapping[str, Any], _: Target) -> Texts:
    # what they say is what is wrong with the path that they took
    return TEXTS.get(str(evidence.get("because")), {})


def _policies(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["policy-not-satisfied"]
    return {**texts, "go": MALFORMED_POLICIES} if evidence.get("mistake") else texts


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
    return broken_on_texts(evidence)


# What clients print of EACCES, which ICMPv6 "administratively prohibited" is to connect(2)
_PROHIBITED: Final = {
    "openssl": "connect:errno=13",
    "python": "PermissionError: [Errno 13] Permission denied",
    "go": "dial tcp {address}:{port}: connect: permission denied",
    "java": "java.net.BindException: Permission denied",
    "node": "EACCES: connect EACCES {address}:{port}",
    "chrome": "ERR_NETWORK_ACCESS_DENIED",
    "gnutls": "Could not connect to {address}:{port}: Permission denied",
}


def _host_unreachable(evidence: Mapping[str, Any], _: Target) -> Texts:
    texts = TEXTS["host-unreachable"]
    return {**texts, **_PROHIBITED} if evidence.get("detail") == "EACCES" else texts


def _malformed_certificate(evidence: Mapping[str, Any], _: Target) -> Texts | None:
    # a file is read by a server; what clients would say is not known before it serves something
    return None if "file_fault" in evidence else TEXTS["malformed-certificate"]


def _leaf_not_first(evidence: Mapping[str, Any], target: Target) -> Texts | None:
    """Return what clients say where they take another certificate for the server's: a CA's, which has no name of a host."""
    if "leaf_position" not in evidence:
        return None
    nameless = name_texts({"names": 0}, target)
    texts = {**TEXTS["key-mismatch"], "go": nameless["go"]}
    if evidence.get("first_signs") is False:
        texts |= {client: TEXTS["not-for-server-auth"][client] for client in ("openssl", "curl", "python")}
        texts["java"] = "javax.net.ssl.SSLHandshakeException: KeyUsage does not allow digital signatures"
        texts["chrome"] = "ERR_SSL_KEY_USAGE_INCOMPATIBLE"
        texts["gnutls"] = "Key usage violation in certificate has been detected."
    else:
        texts |= {client: nameless[client] for client in ("openssl", "python", "java")}
    if evidence.get("version") != "TLSv1.3":  # it verifies certificates before it looks at the signature
        texts["gnutls"] = nameless["gnutls"]
    return texts


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
    "host-unreachable": _host_unreachable,
    "chain-misordered": _leaf_not_first,
    "malformed-certificate": _malformed_certificate,
    "reset-after-hello": _same_ending,
    "silent-after-hello": _same_ending,
    "proxy-header-expected": _same_ending,
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
    "large-hello-dropped": large_hello,
    "no-shared-alpn": no_shared_alpn,
    "legacy-version-only": _legacy,
    "no-shared-cipher": no_shared_cipher,
    "no-shared-group": no_shared_group,
    "no-shared-signature-scheme": no_shared_scheme,
    "starttls-not-offered": not_offered,
    "starttls-refused": refused,
    "session-refused": session_refused,
    "key-mismatch": _key_mismatch,
    "issuer-not-a-ca": _not_a_ca,
    "name-constraint-violated": name_constraint_texts,
    "name-not-in-san": name_texts,
    "wildcard-depth": name_texts,
    "default-certificate": name_texts,
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
