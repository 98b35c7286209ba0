"""dnspython reads every message that ``message_wire`` declines, and what a hostile message can cost is bounded."""

from __future__ import annotations

import struct

import dns.message
import dns.rrset
import pytest

from scanner.net.dns import dnspython_codec, message_wire
from scanner.net.dns.dnspython_codec import MalformedAnswer
from scanner.net.dns.message_wire import DnsQuestion, DnsResponse
from scanner.net.dns.wire_names import NameNotEncodable


def question(rdtype: int = message_wire.A, name: str = "www.example") -> DnsQuestion:
    return message_wire.questions_for(name, (rdtype,))[0]


def answer_of(asked: DnsQuestion, *rrsets: dns.rrset.RRset) -> DnsResponse:
    response = dns.message.make_response(
        dns.message.from_wire(message_wire.build_query(1, asked)), recursion_available=True
    )
    response.answer.extend(rrsets)
    return dnspython_codec.read_answer_untrusted(response.to_wire(), asked)


def test_records_out_of_order_and_of_other_names() -> None:
    """The chain is followed by name; what does not belong to it is left out."""
    asked = question()
    found = answer_of(
        asked,
        dns.rrset.from_text("b.example.", 60, "IN", "A", "192.0.2.1"),
        dns.rrset.from_text("evil.example.", 60, "IN", "A", "203.0.113.66"),
        dns.rrset.from_text("WWW.example.", 30, "IN", "CNAME", "B.example."),
    )
    assert (found.addresses, found.cname, found.ttl, found.loop) == (("192.0.2.1",), ("b.example",), 30, False)


def test_a_dname_with_its_synthesised_cname() -> None:
    asked = question(name="a.old.example")
    found = answer_of(
        asked,
        dns.rrset.from_text("old.example.", 60, "IN", "DNAME", "new.example."),
        dns.rrset.from_text("a.old.example.", 0, "IN", "CNAME", "a.new.example."),
        dns.rrset.from_text("a.new.example.", 60, "IN", "A", "192.0.2.7"),
    )
    assert (found.addresses, found.cname) == (("192.0.2.7",), ("a.new.example",))


def test_a_target_with_odd_octets_is_escaped_and_can_be_asked_for() -> None:
    asked = question()
    found = answer_of(asked, dns.rrset.from_text("www.example.", 60, "IN", "CNAME", r"a\.b\027.example."))
    assert found.cname == (r"a\.b\027.example",)
    assert dnspython_codec.encode_escaped_name(found.cname[0]) == b"\x04a.b\x1b\x07example\0"


@pytest.mark.parametrize("name", [r"a\999", "a\\", r"\256.b", "a" * 64 + r"\046"])
def test_escapes_that_are_no_name(name: str) -> None:
    with pytest.raises(NameNotEncodable):
        dnspython_codec.encode_escaped_name(name)


def test_a_loop_out_of_order() -> None:
    found = answer_of(
        question(),
        dns.rrset.from_text("b.example.", 60, "IN", "CNAME", "www.example."),
        dns.rrset.from_text("www.example.", 60, "IN", "CNAME", "b.example."),
    )
    assert found.loop and found.cname == ("b.example", "www.example") and found.addresses == ()


def test_records_of_other_types() -> None:
    found = answer_of(
        question(message_wire.CAA), dns.rrset.from_text("www.example.", 60, "IN", "CAA", '0 issue "ca.example"')
    )
    assert found.records == (b"\0\5issueca.example",)
    assert found.addresses == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 5,
        struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + question().wire + b"\xc0",
        struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + question().wire + b"\xc0\x1d\0\1\0\1\0\0\0\0\0\4\1\2\3\4",
        struct.pack("!6H", 1, 0x8180, 1, 1, 0, 0) + question().wire + b"\xc0\x0c\0\1\0\1\0\0\0\0\0\3\1\2\3",
        struct.pack("!6H", 1, 0x8180, 1, 0xFFFF, 0xFFFF, 0xFFFF) + question().wire,
        struct.pack("!6H", 1, 0x8180, 1, 0, 0, 1) + question().wire + b"\0\0\x29\4\xd0\0\0\0\0\0\4\0\x0f\0\x09",
    ],
)
def test_malformed_messages_raise_one_error(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        dnspython_codec.read_answer_untrusted(data, question())


def test_thousands_of_records_are_refused_before_they_cost_anything() -> None:
    """64 KB of records whose owners all point at one long name: the general codec would spend half a second."""
    asked = question()
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4"
    data = struct.pack("!6H", 1, 0x8180, 1, 4000, 0, 0) + asked.wire + record * 4000
    with pytest.raises(MalformedAnswer, match="4000 records"):
        dnspython_codec.read_answer_untrusted(data, asked)
