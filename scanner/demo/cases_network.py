"""Unreachable addresses, and middleboxes that drop a ClientHello."""

from __future__ import annotations

from functools import partial
from typing import Final

from scanner.demo.cases import (
    DeadSocket,
    Endpoint,
    ServerFactory,
    failing_case,
    presenting,
    valid_credential,
    warning_case,
    without_certificate,
)
from scanner.demo.servers import ONE_PACKET, Handler, close_with_reset, drain, refuse_if, reset_after_hello


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


_network_case: Final = partial(failing_case, "network-blocked")

CASES: Final = (
    _network_case("port-closed", "connection-refused", "The host is there and nothing listens.", DeadSocket.REFUSES),
    _network_case(
        "firewalled", "connect-timeout", "Connection requests vanish.", DeadSocket.NEVER_ACCEPTS, owner="platform"
    ),
    _network_case(
        "reset-after-hello",
        "reset-after-hello",
        "The connection opens, and every hello is answered by a reset.",
        without_certificate(reset_after_hello),
    ),
    _network_case(
        "silent-after-hello",
        "silent-after-hello",
        "The connection opens, and every hello is answered by nothing.",
        without_certificate(drain),
    ),
    _network_case(
        "silent-greeting",
        "no-greeting",
        "An SMTP server that accepts the connection and does not greet.",
        without_certificate(drain),
        protocol="smtp",
        owner="mail",
    ),
    _network_case(
        "sni-filtered",
        "sni-filtered",
        "A filter resets connections that ask for this name; the server behind it is well.",
        _sni_filtered,
    ),
    _network_case(
        "large-hello-dropped",
        "large-hello-dropped",
        "A middlebox drops hellos of more than one packet, which every hello with a post-quantum share is.",
        _drops_large_hello,
        owner="payments",
    ),
    warning_case(
        "half-dead",
        "some-addresses-unreachable",
        "Two addresses, and one of them refuses connections.",
        DeadSocket.REFUSES,
        presenting(valid_credential),
    ),
)
