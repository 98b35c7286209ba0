"""Unreachable addresses, and middleboxes that drop a ClientHello."""

from __future__ import annotations

from typing import Final

from scanner.demo.cases import (
    DeadSocket,
    DemoCase,
    Endpoint,
    ServerFactory,
    presenting,
    valid_credential,
    without_certificate,
)
from scanner.demo.servers import (
    ONE_PACKET,
    Handler,
    close_with_reset,
    drain,
    refuse_if,
    reset_after_hello,
    silent,
)


def _sni_filtered(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return refuse_if(
        lambda hello: hello.server_name == endpoint.host, close_with_reset, factory.default_context, endpoint.story
    )


def _drops_large_hello(factory: ServerFactory, endpoint: Endpoint) -> Handler:
    return refuse_if(
        lambda hello: hello.size > ONE_PACKET,
        drain,
        factory.context(valid_credential(factory.pki, endpoint)),
        endpoint.story,
    )


CASES: Final = (
    DemoCase(
        name="port-closed",
        story="The host is there and nothing listens.",
        outcome="fail",
        cause="network-blocked",
        code="connection-refused",
        servers=(DeadSocket.REFUSES,),
    ),
    DemoCase(
        name="firewalled",
        story="Connection requests vanish.",
        outcome="fail",
        cause="network-blocked",
        code="connect-timeout",
        owner="platform",
        servers=(DeadSocket.NEVER_ACCEPTS,),
    ),
    DemoCase(
        name="reset-after-hello",
        story="The connection opens, and every hello is answered by a reset.",
        outcome="fail",
        cause="network-blocked",
        code="reset-after-hello",
        servers=(without_certificate(reset_after_hello),),
    ),
    DemoCase(
        name="silent-after-hello",
        story="The connection opens, and every hello is answered by nothing.",
        outcome="fail",
        cause="network-blocked",
        code="silent-after-hello",
        servers=(without_certificate(silent),),
    ),
    DemoCase(
        name="sni-filtered",
        story="A filter resets connections that ask for this name; the server behind it is well.",
        outcome="fail",
        cause="network-blocked",
        code="sni-filtered",
        servers=(_sni_filtered,),
    ),
    DemoCase(
        name="large-hello-dropped",
        story="A middlebox drops hellos of more than one packet, which every hello with a post-quantum share is.",
        outcome="fail",
        cause="network-blocked",
        code="large-hello-dropped",
        owner="payments",
        servers=(_drops_large_hello,),
    ),
    DemoCase(
        name="half-dead",
        story="Two addresses, and one of them refuses connections.",
        outcome="warn",
        code="some-addresses-unreachable",
        servers=(DeadSocket.REFUSES, presenting(valid_credential)),
    ),
)
