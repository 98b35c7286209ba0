"""Servers that share no version, suite, group or signature scheme with today's clients."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ed25519
from msgspec.structs import replace

from scanner.demo.cases import (
    Endpoint,
    HandlerFactory,
    ServerFactory,
    failing_case,
    presenting,
    valid_credential,
    valid_rsa_credential,
    without_certificate,
)
from scanner.demo.client_hello import ALPN, EMPTY_RENEGOTIATION_INFO_SCSV, RENEGOTIATION_INFO, ClientHello
from scanner.demo.pki import Credential
from scanner.demo.server_messages import (
    RSA_PKCS1_SHA1,
    SSL30,
    TLS10,
    TLS11,
    TLS12,
    Alert,
    ServerSuite,
    alert,
    server_flight,
)
from scanner.demo.servers import (
    Handler,
    answer_hello_with,
    close_gracefully,
    close_with_alert,
    drain,
    refuse_if,
    scripted,
)


def _old(version: int, *suites: ServerSuite, answers_any_version: bool = False) -> HandlerFactory:
    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        ecdsa = ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA in suites
        make = valid_credential if ecdsa else valid_rsa_credential
        return scripted(
            make(factory.pki, endpoint), version=version, suites=suites, answers_any_version=answers_any_version
        )

    return build


def _refusing(wrong: Callable[[ClientHello], bool], refuse: Handler, maximum: ssl.TLSVersion) -> HandlerFactory:
    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        context = factory.context(valid_credential(factory.pki, endpoint), maximum=maximum)
        return refuse_if(wrong, refuse, context, endpoint.story)

    return build


def _intolerant(refuse: Handler) -> HandlerFactory:
    return _refusing(lambda hello: hello.offers_tls13, refuse, ssl.TLSVersion.TLSv1_2)


def _offers_alpn(hello: ClientHello) -> bool:
    return ALPN in hello.extensions


def _sha1_signatures(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    credential = valid_rsa_credential(factory.pki, endpoint)
    flight = partial(server_flight, scheme=RSA_PKCS1_SHA1)
    suites = [ServerSuite.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]
    return scripted(credential, suites=suites, flight=flight, scheme=RSA_PKCS1_SHA1)


def _legacy_renegotiation(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    def flight(hello: ClientHello, version: int, suite: ServerSuite, credential: Credential) -> bytes:
        # to a client that does not know RFC 5746
        extensions = hello.extensions - {RENEGOTIATION_INFO}
        suites = tuple(suite for suite in hello.suites if suite != EMPTY_RENEGOTIATION_INFO_SCSV)
        return server_flight(replace(hello, extensions=extensions, suites=suites), version, suite, credential)

    suites = [ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]
    return scripted(factory.pki.leaf(endpoint.host), suites=suites, flight=flight)


_version_case: Final = partial(failing_case, "protocol-version")
_cipher_case: Final = partial(failing_case, "cipher-mismatch")

CASES: Final = (
    _version_case(
        "tls11-only",
        "legacy-version-only",
        "TLS 1.1 and nothing newer; says so with a protocol_version alert.",
        _old(TLS11, ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA),
        owner="payments",
    ),
    _version_case(
        "tls10-only",
        "legacy-version-only",
        "TLS 1.0 from before version lists: answers every hello with its own version.",
        _old(
            TLS10,
            ServerSuite.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
            ServerSuite.TLS_RSA_WITH_AES_128_CBC_SHA,
            answers_any_version=True,
        ),
        owner="payments",
    ),
    _version_case(
        "ssl3-only",
        "legacy-version-only",
        "SSL 3.0, broken since 2014.",
        _old(SSL30, ServerSuite.TLS_RSA_WITH_RC4_128_SHA),
        owner="platform",
    ),
    _version_case(
        "version-rejected",
        "version-rejected",
        "A protocol_version alert for every version there is.",
        without_certificate(answer_hello_with(alert(Alert.PROTOCOL_VERSION))),
    ),
    _version_case(
        "version-intolerant",
        "version-intolerant",
        "TLS 1.2 works, but a hello that mentions TLS 1.3 is refused instead of negotiated down.",
        _intolerant(close_with_alert(Alert.PROTOCOL_VERSION)),
        owner="payments",
    ),
    _version_case(
        "version-intolerant-close",
        "version-intolerant",
        "The same, by hanging up.",
        _intolerant(close_gracefully),
        owner="payments",
    ),
    _version_case(
        "version-intolerant-silent",
        "version-intolerant",
        "The same, by not answering.",
        _intolerant(drain),
        owner="payments",
    ),
    _version_case(
        "legacy-renegotiation",
        "legacy-renegotiation",
        "TLS 1.2 without secure renegotiation, which OpenSSL 3 insists on.",
        _legacy_renegotiation,
        owner="payments",
    ),
    _cipher_case(
        "retired-suites",
        "no-shared-cipher",
        "TLS 1.2 with ECDHE and CBC-SHA384 alone, which browsers gave up years ago.",
        presenting(
            valid_credential, for_any_name=True, maximum=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES256-SHA384"
        ),
    ),
    _cipher_case(
        "triple-des-only",
        "no-shared-cipher",
        "Nothing but 3DES and RC4, which nobody offers.",
        _old(TLS12, ServerSuite.TLS_RSA_WITH_3DES_EDE_CBC_SHA, ServerSuite.TLS_RSA_WITH_RC4_128_SHA),
        owner="platform",
    ),
    _cipher_case(
        "no-forward-secrecy",
        "no-shared-cipher",
        "RSA key transport alone: browsers still take it, Go and Python do not.",
        presenting(
            valid_rsa_credential,
            for_any_name=True,
            maximum=ssl.TLSVersion.TLSv1_2,
            ciphers="AES128-GCM-SHA256",
        ),
        owner="data",
    ),
    _cipher_case(
        "no-shared-group",
        "no-shared-group",
        "P-521 as the only group: OpenSSL and curl have it, Chrome does not.",
        presenting(valid_credential, for_any_name=True, curve="secp521r1"),
    ),
    _cipher_case(
        "ed25519",
        "no-shared-signature-scheme",
        "An Ed25519 certificate alone: no browser takes one.",
        presenting(lambda pki, at: pki.leaf(at.host, key=ed25519.Ed25519PrivateKey.generate())),
    ),
    _cipher_case(
        "sha1-signatures",
        "no-shared-signature-scheme",
        "Signs its handshakes with SHA-1, which Chrome, Go and OpenSSL no longer take.",
        _sha1_signatures,
        owner="platform",
    ),
    _cipher_case(
        "strict-about-alpn",
        "no-shared-alpn",
        "A service that is none of the web: it knows neither h2 nor http/1.1, and says so in ALPN.",
        _refusing(_offers_alpn, close_with_alert(Alert.NO_APPLICATION_PROTOCOL), ssl.TLSVersion.TLSv1_3),
        protocol="https",
    ),
    _cipher_case(
        "handshake-failure",
        "handshake-failure",
        "A handshake_failure alert whatever is offered.",
        without_certificate(answer_hello_with(alert(Alert.HANDSHAKE_FAILURE))),
    ),
    _cipher_case(
        "insufficient-security",
        "handshake-failure",
        "An insufficient_security alert whatever is offered.",
        without_certificate(answer_hello_with(alert(Alert.INSUFFICIENT_SECURITY))),
    ),
)
