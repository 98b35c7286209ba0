"""Misconfigured servers: they speak another protocol, close early, or send the wrong certificates."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

from scanner.demo import server_messages
from scanner.demo.cases import (
    DOMAIN,
    DemoCase,
    Endpoint,
    ServerFactory,
    failing_case,
    presenting,
    valid_credential,
    warning_case,
    without_certificate,
)
from scanner.demo.client_hello import ClientHello
from scanner.demo.pki import DAY, Credential, Pki, name, new_key
from scanner.demo.servers import (
    Handler,
    after_proxy_header,
    answer_hello_with,
    close_with_alert,
    greet_with,
    postgres,
    refuse_if,
    scripted,
    smtp,
)

_SUITES: Final = [server_messages.ServerSuite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]

# Codes that also apply to every placeholder certificate.
_ALSO_TRUE: Final = ("self-signed-leaf", "name-not-in-san", "default-certificate")

_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\nServer: demo\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
    b"Connection: close\r\n\r\nBad Request\n"
)


def _ingress(pki: Pki, at: Endpoint) -> Credential:
    # The certificate that ingress-nginx generates when no secret is configured.
    common_name = "Kubernetes Ingress Controller Fake Certificate"
    subject = name(common_name, organization="Acme Co")
    return pki.self_signed(subject, "ingress.local", validity=(-10 * DAY, 355 * DAY))


def _traefik(pki: Pki, at: Endpoint) -> Credential:
    subject = name("TRAEFIK DEFAULT CERT", organization=None)
    host = f"{secrets.token_hex(16)}.{secrets.token_hex(16)}.traefik.default"
    return pki.self_signed(subject, host, validity=(-10 * DAY, 355 * DAY))


def _sni_unrecognized(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    refuse = close_with_alert(server_messages.Alert.UNRECOGNIZED_NAME)
    return refuse_if(
        lambda hello: hello.server_name != f"default-site.{DOMAIN}", refuse, factory.default_context, endpoint.story
    )


def _behind_a_load_balancer(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return after_proxy_header(factory.context(valid_credential(factory.pki, endpoint)), endpoint.story)


def _warns_of_name(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    def flight(hello: ClientHello, version: int, suite: server_messages.ServerSuite, credential: Credential) -> bytes:
        warning = server_messages.records(21, version, bytes([1, server_messages.Alert.UNRECOGNIZED_NAME]))
        return warning + server_messages.server_flight(hello, version, suite, credential)

    return scripted(factory.pki.leaf(endpoint.host), suites=_SUITES, flight=flight)


def _with_many_names(pki: Pki, at: Endpoint) -> Credential:
    # Shared hosting that puts all its customers into one certificate
    return pki.leaf(at.host, *(f"customer-{number}.shared-hosting.{DOMAIN}" for number in range(1000)))


def _closes_midway(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    def half(hello: ClientHello, version: int, suite: server_messages.ServerSuite, credential: Credential) -> bytes:
        flight = server_messages.server_flight(hello, version, suite, credential)
        return flight[: len(flight) // 2]

    return scripted(factory.pki.leaf(endpoint.host), suites=_SUITES, flight=half, closes_after_flight=True)


def _malformed(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    def flight(hello: ClientHello, version: int, suite: server_messages.ServerSuite, credential: Credential) -> bytes:
        # The session id claims 255 bytes, where 32 are allowed and a few are present.
        body = version.to_bytes(2) + secrets.token_bytes(32) + b"\xff" + suite.to_bytes(2) + b"\x00"
        return server_messages.records(22, version, server_messages.handshake(2, body))

    return scripted(factory.pki.leaf(endpoint.host), suites=_SUITES, flight=flight)


def _no_certificate(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return scripted(factory.pki.leaf(endpoint.host).sending(), suites=_SUITES)


def _key_mismatch(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return scripted(Credential(factory.pki.leaf(endpoint.host).chain, new_key()), suites=_SUITES)


def _misordered(pki: Pki, at: Endpoint) -> Credential:
    upper = pki.authority("Demo Policy CA")
    credential = pki.leaf(at.host, issuer=pki.authority("Demo Department CA", issuer=upper))
    leaf, lower_der, upper_der = credential.chain
    return credential.sending(leaf, upper_der, lower_der)


def _with_extras(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host)
    leftover = pki.authority("Demo CA of last year", validity=(-700 * DAY, -20 * DAY))
    return credential.sending(*credential.chain, leftover.der)


def _with_root(pki: Pki, at: Endpoint) -> Credential:
    credential = pki.leaf(at.host)
    return credential.sending(*credential.chain, pki.root.der)


_case: Final = partial(failing_case, "server-misconfiguration")

CASES: Final = (
    _case(
        "plain-http",
        "plaintext-on-tls-port",
        "An HTTP server that takes the hello for a bad request.",
        without_certificate(greet_with(b"", _BAD_REQUEST)),
        protocol="https",
    ),
    _case(
        "plain-ssh",
        "plaintext-on-tls-port",
        "An SSH server on the port.",
        without_certificate(greet_with(b"SSH-2.0-demo\r\n")),
        owner="platform",
    ),
    _case(
        "plain-smtp",
        "plaintext-on-tls-port",
        "An SMTP server that waits for STARTTLS, on the port for TLS from the first byte.",
        without_certificate(greet_with(b"220 mx.demo.test ESMTP ready\r\n", b"500 5.5.1 Command unrecognized\r\n")),
        protocol="smtps",
        owner="mail",
    ),
    _case(
        "ingress",
        "placeholder-certificate",
        "A Kubernetes ingress controller without a certificate of its own.",
        presenting(_ingress, for_any_name=True),
        owner="platform",
        also=_ALSO_TRUE,
    ),
    _case(
        "traefik",
        "placeholder-certificate",
        "A Traefik proxy without a certificate of its own.",
        presenting(_traefik, for_any_name=True),
        owner="platform",
        also=_ALSO_TRUE,
    ),
    _case(
        "no-starttls",
        "starttls-not-offered",
        "An SMTP server that does not know STARTTLS.",
        without_certificate(smtp(None, offered=False)),
        protocol="smtp",
        owner="mail",
    ),
    _case(
        "starttls-refused",
        "starttls-refused",
        "An SMTP server that offers STARTTLS and then has no certificate for it.",
        without_certificate(smtp(None, refusal="454 4.7.0 TLS not available due to local problem")),
        protocol="smtp",
        owner="mail",
    ),
    _case(
        "session-refused",
        "session-refused",
        "An SMTP server that serves clients of its own network only.",
        without_certificate(greet_with(b"554 5.7.1 mx.demo.test: client host rejected: Access denied\r\n")),
        protocol="smtp",
        owner="mail",
    ),
    _case(
        "proxy-header",
        "proxy-header-expected",
        "A listener for a load balancer that sends PROXY headers, reached directly.",
        _behind_a_load_balancer,
        owner="platform",
    ),
    _case(
        "plain-database",
        "starttls-not-offered",
        "A PostgreSQL server without TLS.",
        without_certificate(postgres(None)),
        protocol="postgres",
        owner="data",
    ),
    _case(
        "sni-unrecognized",
        "sni-unrecognized",
        "An unrecognized_name alert: the server does not know the name.",
        _sni_unrecognized,
    ),
    _case(
        "warns-of-name",
        "sni-unrecognized",
        "A warning that the name is not known, and then a certificate that fits: Java hangs up at the warning.",
        _warns_of_name,
        owner="platform",
    ),
    _case(
        "oversized-message",
        "oversized-message",
        "A certificate with a thousand names: its message is longer than Java takes.",
        presenting(_with_many_names),
    ),
    _case(
        "internal-error",
        "internal-error",
        "An internal_error alert.",
        without_certificate(answer_hello_with(server_messages.alert(server_messages.Alert.INTERNAL_ERROR))),
    ),
    _case(
        "hangs-up", "closed-during-handshake", "Hangs up on every hello.", without_certificate(answer_hello_with(b""))
    ),
    _case("hangs-up-midway", "closed-during-handshake", "Hangs up in the middle of its flight.", _closes_midway),
    _case("malformed-handshake", "malformed-handshake", "A ServerHello whose lengths make no sense.", _malformed),
    _case("no-certificate", "no-certificate", "A Certificate message with no certificate in it.", _no_certificate),
    _case("key-mismatch", "key-mismatch", "Signs with a key that is not the certificate's.", _key_mismatch),
    warning_case(
        "chain-misordered",
        "chain-misordered",
        "The intermediates in the wrong order: TLS 1.2 demands the right one, most clients sort.",
        presenting(_misordered),
    ),
    warning_case(
        "chain-has-extras",
        "chain-has-extras",
        "Last year's intermediate is still sent along.",
        presenting(_with_extras),
        owner="mail",
    ),
    DemoCase(
        name="root-sent",
        story="The root is sent along, which every client has or will not believe.",
        code="root-sent",
        servers=(presenting(_with_root),),
    ),
    warning_case(
        "two-certificates",
        "endpoints-disagree",
        "Two addresses with two certificates, both good.",
        presenting(valid_credential),
        presenting(valid_credential),
    ),
    failing_case(
        "expired-or-self-signed",
        "one-expired",
        "certificate-expired",
        "Two addresses, and on one of them the certificate was not renewed.",
        presenting(valid_credential),
        presenting(lambda pki, at: pki.leaf(at.host, validity=(-99 * DAY, -9 * DAY))),
        also=("endpoints-disagree",),
    ),
)
