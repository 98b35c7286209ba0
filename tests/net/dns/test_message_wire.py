"""Usual messages are read exactly as dnspython reads them; all others are declined, hostile ones too."""

from __future__ import annotations

import random
import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.net.dns import dnspython_codec, message_wire
from scanner.net.dns.message_wire import AAAA, CNAME, A, DnsQuestion

NAME = "www.example.com"
C00C = b"\xc0\x0c"


def question(rdtype: int = A, name: str = NAME) -> DnsQuestion:
    return message_wire.questions_for(name, (rdtype,))[0]


def header(
    answers: int = 0, *, authority: int = 0, additional: int = 0, flags: int = 0x8180, questions: int = 1
) -> bytes:
    return struct.pack("!6H", 7, flags, questions, answers, authority, additional)


def record(owner: bytes, rdtype: int, data: bytes, *, ttl: int = 300, rdclass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, rdclass, ttl, len(data)) + data


def response(asked: DnsQuestion, *records: bytes, flags: int = 0x8180) -> bytes:
    return header(len(records), flags=flags) + asked.wire + b"".join(records)


# --- questions -----------------------------------------------------------------------------------


def test_a_query_is_what_the_general_codec_would_send() -> None:
    """RD and AD, one question, an OPT of 1232 octets without options."""
    message = dns.message.from_wire(message_wire.build_query(0x1234, question(AAAA)))
    assert message.id == 0x1234
    assert message.flags == dns.flags.RD | dns.flags.AD
    assert message.question[0].to_text() == "www.example.com. IN AAAA"
    assert (message.edns, message.payload, message.options, message.ednsflags) == (0, 1232, (), 0)


def test_checking_can_be_disabled_and_edns_left_out() -> None:
    message = dns.message.from_wire(message_wire.build_query(1, question(), edns=False, checking_disabled=True))
    assert message.flags == dns.flags.RD | dns.flags.AD | dns.flags.CD
    assert message.edns == -1
    assert dns.message.from_wire(message_wire.build_query(1, question(), checking_disabled=True)).flags & dns.flags.CD
    assert not dns.message.from_wire(message_wire.build_query(1, question(), edns=False)).flags & dns.flags.CD


# --- whose answer --------------------------------------------------------------------------------


def test_an_answer_must_repeat_the_question() -> None:
    asked = question()
    assert message_wire.answers_question(response(asked), asked)
    assert message_wire.answers_question(response(asked).replace(b"www", b"WwW"), asked)
    assert not message_wire.answers_question(response(question(name="www.example.net")), asked)
    assert not message_wire.answers_question(response(question(AAAA)), asked)
    assert not message_wire.answers_question(response(question(name="ww.example.com")), asked)
    assert not message_wire.answers_question(response(asked, flags=0x0180), asked), "a query is no answer"
    assert not message_wire.answers_question(header(questions=2) + asked.wire * 2, asked)
    assert not message_wire.answers_question(b"", asked)
    assert not message_wire.answers_question(response(asked)[:-1], asked)


def test_case_does_not_hide_another_type() -> None:
    """The type 0x0061 is not 0x0041, though their octets are the letters a and A."""
    asked = question(0x0061)
    other = asked.wire[:-4] + struct.pack("!HH", 0x0041, 1)
    assert not message_wire.answers_question(header() + other, asked)


def test_only_errors_of_reading_may_leave_the_question_out() -> None:
    asked = question()
    for rcode, accepted in ((0, False), (1, True), (2, False), (3, False), (4, True), (5, False)):
        data = header(flags=0x8180 | rcode, questions=0)
        assert message_wire.answers_question(data, asked) is accepted
        assert message_wire.read_answer_untrusted(data, asked) is None, "the long way reads what is odd"


# --- answers -------------------------------------------------------------------------------------


def test_answers_with_addresses_are_read() -> None:
    asked = question()
    found = message_wire.read_answer_untrusted(
        response(asked, record(C00C, A, bytes([192, 0, 2, 1]), ttl=60), record(C00C, A, bytes([192, 0, 2, 2]), ttl=30)),
        asked,
    )
    assert found is not None
    assert (found.rcode, found.addresses, found.ttl, found.cname) == (0, ("192.0.2.1", "192.0.2.2"), 30, ())
    assert found.flags & message_wire.FLAG_RA and not found.flags & message_wire.FLAG_AD and not found.truncated
    asked = question(AAAA)
    found = message_wire.read_answer_untrusted(
        response(asked, record(C00C, AAAA, bytes.fromhex("20010db8" + "00" * 11 + "01")), flags=0x81A0), asked
    )
    assert found is not None and found.addresses == ("2001:db8::1",) and found.flags & message_wire.FLAG_AD


def test_a_chain_in_order_with_pointers() -> None:
    asked = question()
    first = record(C00C, CNAME, b"\3cdn\xc0\x10")  # cdn.example.com, behind the question's "www"
    at = 12 + len(asked.wire) + 12
    second = record(struct.pack("!H", 0xC000 | at), CNAME, b"\1x\3NET\0")
    third = record(b"\1X\3net\0", A, b"\x7f\0\0\1", ttl=5)
    found = message_wire.read_answer_untrusted(response(asked, first, second, third), asked)
    assert found is not None
    assert (found.cname, found.addresses, found.ttl) == (("cdn.example.com", "x.net"), ("127.0.0.1",), 5)


def test_a_loop_within_the_answer() -> None:
    asked = question()
    found = message_wire.read_answer_untrusted(response(asked, record(C00C, CNAME, C00C)), asked)
    assert found is not None and found.loop and found.cname == (NAME,)
    chain = record(C00C, CNAME, b"\1b\0"), record(b"\1b\0", CNAME, C00C)
    found = message_wire.read_answer_untrusted(response(asked, *chain), asked)
    assert found is not None and found.loop and found.cname == ("b", NAME)


def test_a_question_for_the_cname_itself() -> None:
    asked = question(CNAME)
    found = message_wire.read_answer_untrusted(response(asked, record(C00C, CNAME, b"\1b\0")), asked)
    assert found is not None and (found.cname, found.loop) == (("b",), False)
    found = message_wire.read_answer_untrusted(response(asked, record(C00C, CNAME, C00C)), asked)
    assert found is not None and found.loop


def test_negative_answers_and_extended_errors() -> None:
    asked = question()
    soa = record(b"\0", 6, b"\0\0" + struct.pack("!5I", 1, 2, 3, 4, 42), ttl=900)
    ede = struct.pack("!HHH", 15, 2 + 5, 22) + b"dead\0"
    opt = record(b"\0", 41, struct.pack("!HH", 10, 2) + b"xx" + ede, rdclass=1232, ttl=0)
    data = header(authority=1, additional=1, flags=0x8183) + asked.wire + soa + opt
    found = message_wire.read_answer_untrusted(data, asked)
    assert found is not None
    assert (found.rcode, found.negative_ttl, found.ttl) == (3, 42, None)
    assert found.extended_errors == ((22, "dead"),)


def test_upper_bits_of_the_response_code_come_from_opt() -> None:
    asked = question()
    opt = record(b"\0", 41, b"", rdclass=1232, ttl=1 << 24)
    found = message_wire.read_answer_untrusted(header(additional=1) + asked.wire + opt, asked)
    assert found is not None and found.rcode == message_wire.BADVERS


def test_a_referral_is_told_from_no_data() -> None:
    asked = question()
    ns = record(C00C, 2, b"\2ns\0")
    for flags, expected in ((0x8100, True), (0x8500, False)):
        found = message_wire.read_answer_untrusted(header(authority=1, flags=flags) + asked.wire + ns, asked)
        assert found is not None and found.referral is expected


def test_nothing_of_a_truncated_answer_is_used() -> None:
    asked = question()
    found = message_wire.read_answer_untrusted(response(asked, record(C00C, A, b"\1\2\3\4"), flags=0x8380)[:40], asked)
    assert found is not None and found.truncated and found.addresses == ()


def test_a_ttl_with_the_top_bit_counts_as_zero() -> None:
    asked = question()
    found = message_wire.read_answer_untrusted(response(asked, record(C00C, A, b"\1\2\3\4", ttl=0xFFFFFFFF)), asked)
    assert found is not None and found.ttl == 0


# --- what is declined ----------------------------------------------------------------------------


def _loop_at(position: int) -> bytes:
    return struct.pack("!H", 0xC000 | position)


_ANSWER_AT = 12 + len(question().wire)

HOSTILE = {
    "another owner": response(question(), record(b"\4evil\0", A, b"\1\2\3\4")),
    "an owner that points at itself": response(question(), record(_loop_at(_ANSWER_AT), A, b"\1\2\3\4")),
    "an owner that points ahead": response(question(), record(_loop_at(_ANSWER_AT + 40), A, b"\1\2\3\4")),
    "a target that points at itself": response(question(), record(C00C, CNAME, _loop_at(_ANSWER_AT + 12))),
    "a target of two pointers in a circle": response(
        question(), record(C00C, CNAME, b"\1a" + _loop_at(_ANSWER_AT + 16) + _loop_at(_ANSWER_AT + 12))
    ),
    "a target longer than its data": response(question(), record(C00C, CNAME, b"\5a")),
    "a target shorter than its data": response(question(), record(C00C, CNAME, b"\1a\0junk")),
    "an address of three octets": response(question(), record(C00C, A, b"\1\2\3")),
    "an address of the other family": response(question(), record(C00C, AAAA, bytes(16))),
    "another class": response(question(), record(C00C, A, b"\1\2\3\4", rdclass=3)),
    "another type": response(question(), record(C00C, 16, b"\1x")),
    "a cname after an address": response(question(), record(C00C, A, b"\1\2\3\4"), record(C00C, CNAME, b"\1a\0")),
    "an answer after a loop": response(question(), record(C00C, CNAME, C00C), record(C00C, A, b"\1\2\3\4")),
    "records announced and missing": header(3) + question().wire + record(C00C, A, b"\1\2\3\4"),
    "giant counts": header(65535, authority=65535, additional=65535) + question().wire,
    "trailing octets": response(question(), record(C00C, A, b"\1\2\3\4")) + b"x",
    "a record cut short": response(question(), record(C00C, A, b"\1\2\3\4"))[:-2],
    "a label type that does not exist": response(question(), record(b"\x80abc\0", A, b"\1\2\3\4")),
    "another opcode": response(question(), flags=0x8980),
    "an octet that no host name has": response(question(), record(C00C, CNAME, b"\3a\x1bb\0")),
    "a dot inside a label": response(question(), record(C00C, CNAME, b"\3a.b\0")),
    "the root as target": response(question(), record(C00C, CNAME, b"\0")),
    "a name of 300 octets": response(question(), record(C00C, CNAME, (b"\x31" + b"a" * 49) * 6 + b"\0")),
    "an option longer than opt": header(additional=1)
    + question().wire
    + record(b"\0", 41, struct.pack("!HH", 15, 500) + b"\0\1", rdclass=1232),
    "opt with an owner": header(additional=1) + question().wire + record(b"\1a\0", 41, b"", rdclass=1232),
    "an authority of endless labels": header(authority=1) + question().wire + b"\1a" * 200 + b"\0" + bytes(10),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_unusual_messages_are_left_to_the_general_codec(data: bytes) -> None:
    assert message_wire.read_answer_untrusted(data, question()) is None


def test_a_chain_longer_than_any_client_follows_is_declined() -> None:
    records = [record(C00C, CNAME, b"\2c0\0")]
    records += [record(b"\3c%02d\0" % n, CNAME, b"\3c%02d\0" % (n + 1)) for n in range(30)]
    assert message_wire.read_answer_untrusted(response(question(), *records), question()) is None


def test_caa_and_tlsa_are_kept_as_they_stand() -> None:
    asked = question(message_wire.TLSA)
    found = message_wire.read_answer_untrusted(
        response(asked, record(C00C, CNAME, b"\1b\0"), record(b"\1b\0", 52, b"\3\1\1short"), record(b"\1b\0", 52, b"")),
        asked,
    )
    assert found is not None and found.records == (b"\3\1\1short", b"") and found.cname == ("b",)


def test_other_types_are_left_to_the_general_codec() -> None:
    assert message_wire.read_answer_untrusted(response(question(16)), question(16)) is None


# --- against the general codec -------------------------------------------------------------------

_labels = st.text("abc-_019", min_size=1, max_size=9)
_names = st.lists(_labels, min_size=1, max_size=5).map(".".join)


@given(
    name=_names,
    chain=st.lists(_names, max_size=4),
    addresses=st.lists(st.ip_addresses(v=4).map(str), max_size=4, unique=True),
    ttl=st.integers(0, 86400),
    rcode=st.sampled_from([0, 2, 3, 5]),
    text=st.text(max_size=10),
    soa=st.booleans(),
)
def test_both_readers_agree(
    name: str, chain: list[str], addresses: list[str], ttl: int, rcode: int, text: str, soa: bool
) -> None:
    asked = question(A, name)
    message = dns.message.from_wire(message_wire.build_query(9, asked))
    answer = dns.message.make_response(message, recursion_available=True)
    answer.set_rcode(dns.rcode.Rcode(rcode))
    owner = name
    for target in chain:
        answer.answer.append(dns.rrset.from_text(dns.name.from_text(owner), ttl, "IN", "CNAME", target + "."))
        owner = target
    if addresses:
        answer.answer.append(dns.rrset.from_text_list(dns.name.from_text(owner), ttl, "IN", "A", addresses))
    if soa:
        answer.authority.append(dns.rrset.from_text(dns.name.root, 70, "IN", "SOA", "a. b. 1 2 3 4 60"))
    text = text.rstrip("\0")
    answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(3), text or None)])
    data = answer.to_wire()
    assert message_wire.answers_question(data, asked)
    short = message_wire.read_answer_untrusted(data, asked)
    long = dnspython_codec.read_answer_untrusted(data, asked)
    if short is None:
        # Declined only where the chain comes back to itself and something stands behind that.
        assert len({name, *chain}) < len(chain) + 1
    else:
        assert short == long


@given(st.binary(max_size=200), st.sampled_from([A, AAAA, CNAME]))
def test_any_tail_is_read_or_declined(tail: bytes, rdtype: int) -> None:
    """Whatever follows the question, the short path returns; whatever it accepts, the long way reads alike or refuses."""
    asked = question(rdtype)
    for counts in ((1, 0, 0), (2, 0, 0), (0, 1, 1), (1, 1, 1)):
        data = header(counts[0], authority=counts[1], additional=counts[2]) + asked.wire + tail
        message_wire.read_answer_untrusted(data, asked)
        try:
            dnspython_codec.read_answer_untrusted(data, asked)
        except dnspython_codec.MalformedAnswer:
            pass


def test_mutations_of_a_good_answer_never_raise() -> None:
    asked = question()
    ede = record(b"\0", 41, struct.pack("!HHH", 15, 4, 22) + b"hi", rdclass=1232, ttl=0)
    good = bytearray(
        header(2, additional=1)
        + asked.wire
        + record(C00C, CNAME, b"\3cdn\xc0\x10")
        + record(b"\3cdn\xc0\x10", A, b"\1\2\3\4")
        + ede
    )
    assert message_wire.read_answer_untrusted(bytes(good), asked) is not None
    rng = random.Random(5)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(2, len(data))] = rng.choice((0, 1, 0x3F, 0x40, 0xC0, 0xFF, rng.randrange(256)))
        cut = bytes(data[: rng.randint(12, len(data))] if rng.random() < 0.3 else data)
        if message_wire.answers_question(cut, asked):
            found = message_wire.read_answer_untrusted(cut, asked)
            assert found is None or len(found.addresses) <= 2
