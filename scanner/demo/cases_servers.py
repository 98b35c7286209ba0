"""Servers that are set up wrongly: they speak something else, break off, or send the wrong certificates."""

from __future__ import annotations

import secrets
from typing import Final

from scanner.demo import wire
from scanner.demo.cases import DOMAIN, Case, Opening, Place, Workshop, always, presenting, sound
from scanner.demo.hello import ClientHello
from scanner.demo.pki import DAY, Credential, Pki, name, new_key
from scanner.demo.servers import (
    Handler,
    answering,
    greeting,
    plain_http,
    postgres,
    refuse_with_alert,
    scripted,
    smtp,
    unless,
)

_SUITES: Final = [wire.Suite.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]

# What is true of every placeholder as well.
_NOT_THEIR_OWN: Final = ("self-signed-leaf", "name-not-in-san", "default-certificate")

_BAD_REQUEST: Final = (
    b"HTTP/1.1 400 Bad Request\r\nServer: demo\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n"
    b"Connection: close\r\n\r\nBad Request\n"
)


def _ingress(pki: Pki, at: Place) -> Credential:
    # What ingress-nginx makes for itself where no secret is configured.
    common_name = "Kubernetes Ingress Controller Fake Certificate"
    subject = name(common_name, organization="Acme Co")
    return pki.self_signed(subject, "ingress.local", validity=(-10 * DAY, 355 * DAY))


def _traefik(pki: Pki, at: Place) -> Credential:
    subject = name("TRAEFIK DEFAULT CERT", organization=None)
    host = f"{secrets.token_hex(16)}.{secrets.token_hex(16)}.traefik.default"
    return pki.self_signed(subject, host, validity=(-10 * DAY, 355 * DAY))


def _sni_unrecognized(shop: Workshop, place: Place) -> Handler:
    refuse = refuse_with_alert(wire.Alert.UNRECOGNIZED_NAME)
    return unless(
        lambda hello: hello.server_name != f"default-site.{DOMAIN}", refuse, shop.default_context, place.story
    )


def _closes_midway(shop: Workshop, place: Place) -> Handler:
    def half(hello: ClientHello, version: int, suite: wire.Suite, credential: Credential) -> bytes:
        flight = wire.server_flight(hello, version, suite, credential)
        return flight[: len(flight) // 2]

    return scripted(shop.pki.leaf(place.host), suites=_SUITES, flight=half, hangs_up=True)


def _malformed(shop: Workshop, place: Place) -> Handler:
    def flight(hello: ClientHello, version: int, suite: wire.Suite, credential: Credential) -> bytes:
        # The session id claims 255 bytes, of 32 at most and a few that are there.
        body = version.to_bytes(2) + secrets.token_bytes(32) + b"\xff" + suite.to_bytes(2) + b"\x00"
        return wire.records(22, version, wire.handshake(2, body))

    return scripted(shop.pki.leaf(place.host), suites=_SUITES, flight=flight)


def _no_certificate(shop: Workshop, place: Place) -> Handler:
    credential = shop.pki.leaf(place.host)
    return scripted(credential.sending(), suites=_SUITES)


def _key_mismatch(shop: Workshop, place: Place) -> Handler:
    return scripted(Credential(shop.pki.leaf(place.host).chain, new_key()), suites=_SUITES)


def _misordered(pki: Pki, at: Place) -> Credential:
    upper = pki.authority("Demo Policy CA")
    credential = pki.leaf(at.host, issuer=pki.authority("Demo Department CA", issuer=upper))
    leaf, lower_der, upper_der = credential.chain
    return credential.sending(leaf, upper_der, lower_der)


def _with_extras(pki: Pki, at: Place) -> Credential:
    credential = pki.leaf(at.host)
    leftover = pki.authority("Demo CA of last year", validity=(-700 * DAY, -20 * DAY))
    return credential.sending(*credential.chain, leftover.der)


def _with_root(pki: Pki, at: Place) -> Credential:
    credential = pki.leaf(at.host)
    return credential.sending(*credential.chain, pki.root.der)


def _smtp_without_starttls(shop: Workshop, place: Place) -> Handler:
    return smtp(None, offered=False)


def _smtp_refusing(shop: Workshop, place: Place) -> Handler:
    return smtp(None, refusal="454 4.7.0 TLS not available due to local problem")


def _case(
    case: str,
    code: str,
    story: str,
    *servers: Opening,
    protocol: str = "tls",
    owner: str = "web",
    also: tuple[str, ...] = (),
) -> Case:
    return Case(
        name=case,
        story=story,
        outcome="fail",
        cause="server-misconfiguration",
        code=code,
        also=also,
        servers=servers,
        protocol=protocol,
        owner=owner,
    )


CASES: Final = (
    _case(
        "plain-http",
        "plaintext-on-tls-port",
        "An HTTP server that takes the hello for a bad request.",
        always(plain_http(_BAD_REQUEST)),
        protocol="https",
    ),
    _case(
        "plain-ssh",
        "plaintext-on-tls-port",
        "An SSH server on the port.",
        always(greeting(b"SSH-2.0-demo\r\n")),
        owner="platform",
    ),
    _case(
        "plain-smtp",
        "plaintext-on-tls-port",
        "An SMTP server that waits for STARTTLS, on the port for TLS from the first byte.",
        always(greeting(b"220 mx.demo.test ESMTP ready\r\n", b"500 5.5.1 Command unrecognized\r\n")),
        protocol="smtps",
        owner="mail",
    ),
    _case(
        "ingress",
        "placeholder-certificate",
        "A Kubernetes ingress controller without a certificate of its own.",
        presenting(_ingress, for_any_name=True),
        owner="platform",
        also=_NOT_THEIR_OWN,
    ),
    _case(
        "traefik",
        "placeholder-certificate",
        "A Traefik proxy without a certificate of its own.",
        presenting(_traefik, for_any_name=True),
        owner="platform",
        also=_NOT_THEIR_OWN,
    ),
    _case(
        "no-starttls",
        "starttls-not-offered",
        "An SMTP server that does not know STARTTLS.",
        _smtp_without_starttls,
        protocol="smtp",
        owner="mail",
    ),
    _case(
        "starttls-refused",
        "starttls-refused",
        "An SMTP server that offers STARTTLS and then has no certificate for it.",
        _smtp_refusing,
        protocol="smtp",
        owner="mail",
    ),
    _case(
        "plain-database",
        "starttls-not-offered",
        "A PostgreSQL server without TLS.",
        always(postgres(None)),
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
        "internal-error",
        "internal-error",
        "An internal_error alert.",
        always(answering(wire.alert(wire.Alert.INTERNAL_ERROR))),
    ),
    _case("hangs-up", "closed-during-handshake", "Hangs up on every hello.", always(answering(b""))),
    _case("hangs-up-midway", "closed-during-handshake", "Hangs up in the middle of its flight.", _closes_midway),
    _case("malformed-handshake", "malformed-handshake", "A ServerHello whose lengths make no sense.", _malformed),
    _case("no-certificate", "no-certificate", "A Certificate message with no certificate in it.", _no_certificate),
    _case("key-mismatch", "key-mismatch", "Signs with a key that is not the certificate's.", _key_mismatch),
    Case(
        name="chain-misordered",
        story="The intermediates in the wrong order: TLS 1.2 demands the right one, most clients sort.",
        outcome="warn",
        code="chain-misordered",
        servers=(presenting(_misordered),),
    ),
    Case(
        name="chain-has-extras",
        story="Last year's intermediate is still sent along.",
        outcome="warn",
        code="chain-has-extras",
        owner="mail",
        servers=(presenting(_with_extras),),
    ),
    Case(
        name="root-sent",
        story="The root is sent along, which every client has or will not believe.",
        code="root-sent",
        servers=(presenting(_with_root),),
    ),
    Case(
        name="two-certificates",
        story="Two addresses with two certificates, both good.",
        outcome="warn",
        code="endpoints-disagree",
        servers=(presenting(sound), presenting(sound)),
    ),
    Case(
        name="one-expired",
        story="Two addresses, and on one of them the certificate was not renewed.",
        outcome="fail",
        cause="expired-or-self-signed",
        code="certificate-expired",
        also=("endpoints-disagree",),
        servers=(
            presenting(sound),
            presenting(lambda pki, at: pki.leaf(at.host, validity=(-99 * DAY, -9 * DAY))),
        ),
    ),
)
