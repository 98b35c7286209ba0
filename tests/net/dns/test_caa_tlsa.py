"""CAA and TLSA, as octets and as a resolver finds them."""

from __future__ import annotations

import struct

from trio.testing import MockClock, trio_test

from scanner.net.dns.caa_tlsa import caa_set_untrusted, tlsa_set_untrusted
from scanner.net.dns.resolver import CaaAnswer, TlsaAnswer
from tests.net.dns.dns_memory import ZONE, Arrivals, memory_resolver, serving


def test_caa_octets() -> None:
    assert caa_set_untrusted([b"\x80\5issueca.example", b"\0\1a\x1b\xff\\"]) == (
        (128, "issue", "ca.example"),
        (0, "a", "\\027\\255\\\\"),
    )
    for data in (b"", b"\0", b"\0\0x", b"\0\xffissue"):
        assert caa_set_untrusted([b"\0\5issueca", data]) is None
    assert caa_set_untrusted([]) == ()


def test_tlsa_octets() -> None:
    assert tlsa_set_untrusted([b"\3\1\1abc", b"\3\1", b"", b"\0\0\0"]) == ((3, 1, 1, b"abc"), (0, 0, 0, b""))


@trio_test
async def test_caa_climbs_the_tree_and_shares_the_parents(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, network):
        expected = CaaAnswer(((0, "issue", "ca.example"), (128, "iodef", 'mailto:"x"\\\\y')), "example")
        assert await resolver.caa("deep.a.example") == expected
        assert len(network.queries) == 3
        assert await resolver.caa("*.a.example.") == expected
        assert await resolver.caa("other.a.example") == expected
        assert len(network.queries) == 4, "only what had not been asked yet"
        assert await resolver.caa("none.test") == CaaAnswer((), None)
        assert await resolver.caa("x.caa-fails.test") == CaaAnswer(None, None)


@trio_test
async def test_unreadable_caa_is_not_known(clock: MockClock) -> None:
    data = b""

    def script(query: bytes, tcp: bool) -> Arrivals:
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 257, 1, 60, len(d)) + d for d in (b"\0\5issueca", data))
        return [(0.1, query[:2] + b"\x81\x80\0\1\0\2\0\0\0\0" + query[12:-11] + records)]

    for data in (b"", b"\0", b"\0\0x", b"\0\xffissue"):  # noqa: B007 - the script reads it
        async with memory_resolver([script]) as (resolver, _network):
            assert await resolver.caa("a.example") == CaaAnswer(None, "a.example")


@trio_test
async def test_tlsa(clock: MockClock) -> None:
    async with memory_resolver([serving(ZONE)]) as (resolver, _network):
        found = await resolver.tlsa(443, "tcp", "A.example.")
        assert found == TlsaAnswer(((3, 1, 1, b"\1" * 32), (2, 0, 2, b"\2" * 64)), True)
        assert await resolver.tlsa(8443, "tcp", "a.example") == TlsaAnswer((), False)
        assert await resolver.tlsa(25, "tcp", "a.example") == TlsaAnswer(None, False)


@trio_test
async def test_tlsa_of_a_wrong_length_is_kept_for_the_judge(clock: MockClock) -> None:
    def script(query: bytes, tcp: bool) -> Arrivals:
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", 52, 1, 60, len(d)) + d for d in (b"\3\1\1short", b"\3"))
        return [(0.1, query[:2] + b"\x81\xa0\0\1\0\2\0\0\0\0" + query[12:-11] + records)]

    async with memory_resolver([script]) as (resolver, _network):
        assert await resolver.tlsa(443, "tcp", "a.example") == TlsaAnswer(((3, 1, 1, b"short"),), True)
