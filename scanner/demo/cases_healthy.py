"""Servers with nothing wrong, which must get no codes."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from scanner.demo.cases import (
    DOMAIN,
    DemoCase,
    Endpoint,
    HandlerFactory,
    ServerFactory,
    presenting,
    valid_credential,
    valid_rsa_credential,
)
from scanner.demo.servers import Handler, imap, openssl, postgres, smtp


def _starttls(serve: Callable[[ssl.SSLContext], Handler]) -> HandlerFactory:
    def build(factory: ServerFactory, endpoint: Endpoint) -> Handler:
        context = factory.context(valid_credential(factory.pki, endpoint))
        return serve(factory.only_for(endpoint.host, context))

    return build


def _needs_sni(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    context = factory.context(valid_credential(factory.pki, endpoint))

    def choose(_: ssl.SSLObject | ssl.SSLSocket, name: str | None, __: ssl.SSLContext) -> int | None:
        return None if name == endpoint.host else ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = choose
    return openssl(context, endpoint.story)


CASES: Final = (
    DemoCase(
        name="healthy",
        story="TLS 1.3 and 1.2, an ECDSA certificate and its intermediate.",
        protocol="https",
        servers=(presenting(valid_credential),),
    ),
    DemoCase(
        name="tls12",
        story="TLS 1.2 only, which every client still takes.",
        servers=(presenting(valid_credential, maximum=ssl.TLSVersion.TLSv1_2),),
    ),
    DemoCase(
        name="tls13",
        story="TLS 1.3 only, which every current client has.",
        servers=(presenting(valid_credential, minimum=ssl.TLSVersion.TLSv1_3),),
    ),
    DemoCase(
        name="rsa",
        story="An RSA certificate under an RSA intermediate.",
        owner="payments",
        servers=(presenting(valid_rsa_credential),),
    ),
    DemoCase(
        name="hello-retry",
        story="Takes P-384 alone and asks for another hello: one round trip more, nothing wrong.",
        owner="payments",
        servers=(presenting(valid_credential, curve="secp384r1"),),
    ),
    DemoCase(
        name="shop.wildcard",
        story="A wildcard that covers the name.",
        servers=(presenting(lambda pki, at: pki.leaf(f"*.wildcard.{DOMAIN}")),),
    ),
    DemoCase(
        name="bücher",
        story="An internationalized name, in the certificate as an A-label.",
        servers=(presenting(lambda pki, at: pki.leaf(f"xn--bcher-kva.{DOMAIN}")),),
        host=f"bücher.{DOMAIN}",
    ),
    DemoCase(
        name="address",
        story="Asked for by address, and the certificate has the address.",
        owner="data",
        host="",
        servers=(presenting(lambda pki, at: pki.leaf(at.address)),),
    ),
    DemoCase(
        name="ipv6",
        story="A name with an IPv6 address alone.",
        owner="data",
        ipv6=True,
        servers=(presenting(valid_credential),),
    ),
    DemoCase(
        name="sends-intermediate",
        story="Sends the intermediate that another server of the fleet forgets.",
        servers=(presenting(lambda pki, at: pki.leaf(at.host, issuer=pki.unsent)),),
    ),
    DemoCase(
        name="needs-sni",
        story="Refuses every name but its own, and clients that send none.",
        servers=(_needs_sni,),
    ),
    DemoCase(name="mx", story="SMTP with STARTTLS.", protocol="smtp", owner="mail", servers=(_starttls(smtp),)),
    DemoCase(name="mailbox", story="IMAP with STARTTLS.", protocol="imap", owner="mail", servers=(_starttls(imap),)),
    DemoCase(
        name="database", story="PostgreSQL with TLS.", protocol="postgres", owner="data", servers=(_starttls(postgres),)
    ),
)
