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
from scanner.tls.wire import vector8
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
    assert len(template._shapes) == 1
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
    meaning = (0x0304, 0x1301, offers.X25519)

    def answer(kind: int, session_id: bytes = b"i" * 32, share: bytes = b"s" * 32) -> bytes:
        fixed = bytes([2, 0, 0, 0, 3, 3]) + b"r" * 32 + vector8(session_id) + bytes([kind]) * 15
        return fixed + share

    for kind in range(5):
        template.learn(answer(kind), b"s" * 32, meaning)
    assert [template.known(answer(kind), b"i" * 32) is not None for kind in range(5)] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert template.known(answer(0, share=b"t" * 32), b"i" * 32) == (*meaning, b"t" * 32)
    assert template.known(answer(0), b"j" * 32) is None
    assert template.known(answer(0, share=b"s" * 33), b"i" * 32) is None


def test_what_cannot_be_told_by_its_shape_is_not_learnt() -> None:
    template = HelloTemplate(offers.MODERN, KEYS)
    message = bytes([2, 0, 0, 0, 3, 3]) + b"r" * 32 + b"\x00" + bytes(15) + b"s" * 64
    template.learn(message, b"s" * 32, (0x0304, 0x1301, offers.X25519))  # without a session id
    assert template.known(message, message[39:71]) is None
    message = bytes([2, 0, 0, 0, 3, 3]) + b"r" * 32 + vector8(b"i" * 32) + b"s" * 32 + bytes(4)
    template.learn(message, b"s" * 32, (0x0304, 0x1301, offers.X25519))  # the share is not its end
    assert template.known(message, b"i" * 32) is None
