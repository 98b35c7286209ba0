"""Addresses that cannot be reached, and things in between that swallow a hello."""

from __future__ import annotations

from typing import Final

from scanner.demo.cases import Case, Place, Socket, Workshop, always, presenting, sound
from scanner.demo.servers import (
    ONE_PACKET,
    Handler,
    drain,
    refuse_with_reset,
    resetting,
    silent,
    unless,
)


def _sni_filtered(shop: Workshop, place: Place) -> Handler:
    return unless(lambda hello: hello.server_name == place.host, refuse_with_reset, shop.default_context, place.story)


def _drops_large_hello(shop: Workshop, place: Place) -> Handler:
    return unless(lambda hello: hello.size > ONE_PACKET, drain, shop.context(sound(shop.pki, place)), place.story)


CASES: Final = (
    Case(
        name="port-closed",
        story="The host is there and nothing listens.",
        outcome="fail",
        cause="network-blocked",
        code="connection-refused",
        servers=(Socket.REFUSES,),
    ),
    Case(
        name="firewalled",
        story="Connection requests vanish.",
        outcome="fail",
        cause="network-blocked",
        code="connect-timeout",
        owner="platform",
        servers=(Socket.NEVER_ACCEPTS,),
    ),
    Case(
        name="reset-after-hello",
        story="The connection opens, and every hello is answered by a reset.",
        outcome="fail",
        cause="network-blocked",
        code="reset-after-hello",
        servers=(always(resetting),),
    ),
    Case(
        name="silent-after-hello",
        story="The connection opens, and every hello is answered by nothing.",
        outcome="fail",
        cause="network-blocked",
        code="silent-after-hello",
        servers=(always(silent),),
    ),
    Case(
        name="sni-filtered",
        story="A filter resets connections that ask for this name; the server behind it is well.",
        outcome="fail",
        cause="network-blocked",
        code="sni-filtered",
        servers=(_sni_filtered,),
    ),
    Case(
        name="large-hello-dropped",
        story="A middlebox drops hellos of more than one packet, which every hello with a post-quantum share is.",
        outcome="fail",
        cause="network-blocked",
        code="large-hello-dropped",
        owner="payments",
        servers=(_drops_large_hello,),
    ),
    Case(
        name="half-dead",
        story="Two addresses, and one of them refuses connections.",
        outcome="warn",
        code="some-addresses-unreachable",
        servers=(Socket.REFUSES, presenting(sound)),
    ),
)
