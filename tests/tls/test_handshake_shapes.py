"""ServerHellos of a kind that was met before are understood at a glance, and never for anything else than with care."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from scanner.tls import constants as c
from scanner.tls import hello, offers
from scanner.tls.events import Broken, State
from scanner.tls.handshake import ClientHandshake
from scanner.tls.hello import HelloTemplate
from tests.tls.peers import KEYS, client, drain, server_context


def _again(template: HelloTemplate, spoil: Callable[[bytes], bytes] = lambda hello: hello) -> ClientHandshake:
    """A handshake with ``template`` and OpenSSL, whose ServerHello goes through ``spoil``."""
    conn = client(template=template)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context().wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(conn.data_to_send())
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    flight = outgoing.read()
    end = 5 + int.from_bytes(flight[3:5], "big")
    conn.receive_data(flight[:5] + spoil(flight[5:end]) + flight[end:])
    return conn


def test_an_answer_of_a_kind_met_before_is_understood_as_the_first() -> None:
    template = HelloTemplate(offers.MODERN, KEYS, (b"h2",))
    first, second = _again(template), _again(template)
    assert len(template.shapes) == 1
    for conn in (first, second):
        assert (conn.version, conn.suite, conn.group, conn.state) == (0x0304, 0x1302, offers.X25519, State.COMPLETE)
        assert conn.signature_valid is conn.finished_valid is True
    assert first.server_random != second.server_random


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (4, "version"),  # legacy_version: 0x0203 selects nothing, since supported_versions decides
        (38, "byte"),  # the length of the session id
        (39, "does not echo the session id"),
        (70, "does not echo the session id"),
        (71, "was not offered"),
        (72, "does not decrypt"),  # another suite that was offered
        (73, "compression"),
        (75, "byte"),
        (80, "version"),
    ],
)
def test_what_differs_from_one_met_before_is_read_with_care(place: int, says: str) -> None:
    def spoil(hello: bytes) -> bytes:
        return hello[:place] + bytes([hello[place] ^ 1]) + hello[place + 1 :]

    learnt = HelloTemplate(offers.MODERN, KEYS)
    _again(learnt)
    fresh = HelloTemplate(offers.MODERN, KEYS)
    met, new = (drain(_again(template, spoil))[-1] for template in (learnt, fresh))
    assert type(met) is type(new)
    if place != 4:
        assert isinstance(met, Broken) and isinstance(new, Broken)
        assert says in met.detail
        assert met.detail == new.detail


def test_a_retry_in_the_shape_of_a_hello_is_a_retry() -> None:
    template = HelloTemplate(offers.MODERN, KEYS)
    _again(template)
    conn = _again(template, lambda hello: hello[:6] + c.HELLO_RETRY_RANDOM + hello[38:])
    assert conn.hello_retry
    assert conn.state is State.FAILED


def test_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hello, "_SHAPES_KEPT", 2)
    template = HelloTemplate(offers.MODERN, KEYS)
    for number in range(5):
        template.learn(b"m" * 90, 32, bytes([number]), (0x0304, 0x1301, offers.X25519))
    assert len(template.shapes) == 2
    template.learn(b"m" * 90, 33, b"another size", (0x0304, 0x1301, offers.X25519))
    assert template.share_sizes == {90: 32}
