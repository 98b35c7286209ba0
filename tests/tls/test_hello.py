"""Hellos contain what their offer says; real servers read them in ``test_handshake``."""

from __future__ import annotations

import pytest

from scanner.tls import offers
from scanner.tls.hello import HelloTemplate
from scanner.tls.messages import extensions_untrusted
from scanner.tls.wire import Reader
from tests.tls.peers import KEYS, RANDOM

ALPN = (b"h2", b"http/1.1")


class Hello:
    """A ClientHello taken apart."""

    def __init__(self, message: bytes) -> None:
        reader = Reader(message, "ClientHello")
        assert reader.number(1) == 1
        body = Reader(reader.vector(3), "ClientHello body")
        reader.done()
        self.version = body.number(2)
        self.random = body.number(32).to_bytes(32, "big")
        self.session_id = body.vector(1)
        self.suites = body.codes16()
        assert body.vector(1) == b"\x00"
        self.extensions = extensions_untrusted(body.vector(2), "extensions") if body.position < body.end else None
        body.done()


def hello(offer: offers.Offer, sni: str | None = "a.test", alpn: tuple[bytes, ...] = ALPN) -> Hello:
    return Hello(HelloTemplate(offer, KEYS, alpn).message(RANDOM[:32], RANDOM[32:], sni))


@pytest.mark.parametrize("offer", offers.OFFERS.values(), ids=lambda offer: offer.name)
def test_a_hello_contains_its_offer(offer: offers.Offer) -> None:
    said = hello(offer)
    assert said.version == min(max(offer.versions), offers.TLS12)
    assert said.random == RANDOM[:32]
    if not offer.extensions:
        assert said.extensions is None
        assert said.suites == (*offer.suites, 0x00FF)
        return
    assert said.suites == offer.suites
    assert said.extensions is not None
    assert Reader(said.extensions[10], "groups").codes16() == offer.groups
    assert (43 in said.extensions) == (offers.TLS13 in offer.versions) == (51 in said.extensions)
    if offers.TLS13 in offer.versions:
        shares = Reader(Reader(said.extensions[51], "shares").vector(2), "shares")
        groups = []
        while shares.position < shares.end:
            groups.append(shares.number(2))
            assert shares.vector(2) == KEYS.share(groups[-1])
        assert tuple(groups) == offer.key_shares
        assert said.extensions[43] == bytes([2 * len(offer.versions)]) + b"".join(
            version.to_bytes(2, "big") for version in offer.versions
        )
    assert (13 in said.extensions) == (max(offer.versions) >= offers.TLS12)
    assert {0, 16, 18, 23, 35, 0xFF01} <= set(said.extensions)
    assert (5 in said.extensions) == offer.status_request


def test_the_server_name_is_a_host_name_entry() -> None:
    said = hello(offers.MODERN, "xn--mnchen-3ya.example")
    assert said.extensions is not None
    assert said.extensions[0] == b"\x00\x19\x00\x00\x16xn--mnchen-3ya.example"


def test_server_name_and_alpn_may_be_absent() -> None:
    said = hello(offers.MODERN, None, ())
    assert said.extensions is not None
    assert 0 not in said.extensions
    assert 16 not in said.extensions


def test_the_modern_hello_needs_two_packets_and_the_small_one_fits_into_one() -> None:
    def size(offer: offers.Offer) -> int:
        return len(HelloTemplate(offer, KEYS, ALPN).message(RANDOM[:32], RANDOM[32:], "a.test"))

    assert size(offers.MODERN) > 1460
    assert size(offers.SMALL) < 600


@pytest.mark.parametrize("length", range(1, 250, 7))
@pytest.mark.parametrize("offer", [offers.SMALL, offers.TLS12_ONLY, offers.TLS10_ONLY], ids=lambda offer: offer.name)
def test_no_hello_has_between_256_and_511_bytes(offer: offers.Offer, length: int) -> None:
    message = HelloTemplate(offer, KEYS, ALPN).message(RANDOM[:32], RANDOM[32:], "a" * length)
    assert not 256 <= len(message) < 512
    assert Hello(message).extensions is not None


def test_a_retry_sends_only_the_requested_share_and_the_cookie() -> None:
    template = HelloTemplate(offers.MODERN, KEYS, ALPN)
    said = Hello(template.retry(offers.SECP384R1, b"cookie").message(RANDOM[:32], RANDOM[32:], "a.test"))
    first = Hello(template.message(RANDOM[:32], RANDOM[32:], "a.test"))
    assert said.extensions is not None
    assert first.extensions is not None
    share = KEYS.share(offers.SECP384R1)
    entry = b"\x00\x18" + len(share).to_bytes(2, "big") + share
    assert said.extensions[51] == len(entry).to_bytes(2, "big") + entry
    assert said.extensions[44] == b"\x00\x06cookie"
    # nothing else may change but padding (RFC 8446 section 4.1.2)
    changed = {51, 44, 21}
    assert {k: v for k, v in said.extensions.items() if k not in changed} == {
        k: v for k, v in first.extensions.items() if k not in changed
    }
    assert (said.random, said.session_id, said.suites) == (first.random, first.session_id, first.suites)


@pytest.mark.parametrize("sni", ["a.test", "a" * 63 + ".test", None])
def test_the_longest_cookie_fills_the_extensions(sni: str | None) -> None:
    template = HelloTemplate(offers.MODERN, KEYS, ALPN)
    room = template.retry(offers.SECP384R1, None).cookie_room(sni)
    said = Hello(template.retry(offers.SECP384R1, bytes(room)).message(RANDOM[:32], RANDOM[32:], sni))
    assert said.extensions is not None and said.extensions[44][2:] == bytes(room)
    with pytest.raises(OverflowError):
        template.retry(offers.SECP384R1, bytes(room + 1)).message(RANDOM[:32], RANDOM[32:], sni)
