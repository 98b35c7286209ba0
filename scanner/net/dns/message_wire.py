"""DNS messages (RFC 1035) of the usual shape: queries for one question, and answers to them, read straight from the octets.

Nearly every message of a scan has one shape: one question for A, AAAA or CNAME; an answer of CNAME and address records in the order
of the chain; perhaps SOA and OPT. dnspython builds an object for each part of it, which costs 2.5 times as much a name
as everything that our resolver does (261 us to 102, measured on one machine). So that shape is read here, and everything else by
``dnspython_codec``: :func:`read_answer_untrusted` returns ``None`` for it.

What breaks if this is touched: an answer that is read here must come out as dnspython would have it. ``tests/net/dns/test_message_wire.py``
holds both against each other, on mutated messages too.

Sans-IO and pure: message ids come from the caller. Names are lower-case text without a final dot.
"""

from __future__ import annotations

import struct
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Final

from msgspec import Struct

from scanner.net.dns.wire_names import UnusualName, encode_name, read_name_untrusted, skip_name_untrusted

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
AAAA: Final = 28
OPT: Final = 41
TLSA: Final = 52
CAA: Final = 257
CLASS_IN: Final = 1
# What is asked about nearly every name.
ADDRESSES: Final = (A, AAAA)

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
BADVERS: Final = 16

FLAG_AA: Final = 0x0400
FLAG_TC: Final = 0x0200
FLAG_RD: Final = 0x0100
FLAG_RA: Final = 0x0080
FLAG_AD: Final = 0x0020
FLAG_CD: Final = 0x0010
OPCODE_BITS: Final = 0x7800

HEADER_SIZE: Final = 12
OPTION_EXTENDED_ERROR: Final = 15  # RFC 8914

# The payload size that crosses common paths without fragments (the advice of DNS Flag Day 2020, RFC 9715).
UDP_PAYLOAD: Final = 1232
# Resolvers give up on chains of 8 to 16 CNAMEs themselves; a longer one is of no use to any client.
MAX_CHAIN: Final = 16
# Address answers have a handful of records; above this the long way decides with its own limit.
MAX_SHORT_RECORDS: Final = 128
# Extended errors kept of one message; real ones carry one or two.
MAX_EXTENDED_ERRORS: Final = 8
# A TTL with the top bit set counts as zero (RFC 2181 section 8).
MAX_TTL: Final = 0x7FFFFFFF

_COUNTS = struct.Struct("!2x5H")
_ID = struct.Struct("!H")
_RECORD = struct.Struct("!HHIH")  # type, class, TTL, length of the data that follows
_POINTED_RECORD = struct.Struct("!HHHIH")  # the same behind an owner that is a pointer
_OPTION = struct.Struct("!HH")
_UINT32 = struct.Struct("!I")
_QUESTION_END = struct.Struct("!HH")
_A_END = _QUESTION_END.pack(A, CLASS_IN)
_AAAA_END = _QUESTION_END.pack(AAAA, CLASS_IN)

# An owner that points to the name in the question, as nearly all do.
_POINTER_TO_QUESTION: Final = 0xC000 | HEADER_SIZE
# Of the types of addresses: the family, and the length of a record's data.
_ADDRESS_FORMS: Final = {A: (int(AF_INET), 4), AAAA: (int(AF_INET6), 16)}
# Types whose answers are read here. The general codec refuses a whole answer for one TLSA record of a wrong length or an odd CAA
# tag. What such a record means is for the reader to decide, so its data is kept.
_READ_HERE: Final = frozenset({A, AAAA, CNAME, CAA, TLSA})

# What follows the id: flags with RD, and AD to learn of authentication (RFC 6840 section 5.7); one question; OPT or none.
_HEADER_EDNS = struct.pack("!5H", FLAG_RD | FLAG_AD, 1, 0, 0, 1)
_HEADER_EDNS_CD = struct.pack("!5H", FLAG_RD | FLAG_AD | FLAG_CD, 1, 0, 0, 1)
_HEADER_PLAIN = struct.pack("!5H", FLAG_RD | FLAG_AD, 1, 0, 0, 0)
_HEADER_PLAIN_CD = struct.pack("!5H", FLAG_RD | FLAG_AD | FLAG_CD, 1, 0, 0, 0)
# Root owner, type OPT, payload size in the class, version 0 and no flags in the TTL, no options (RFC 6891).
_OPT_RECORD = struct.pack("!BHHIH", 0, OPT, UDP_PAYLOAD, 0, 0)
# The octets between the id and the question, and those after it, by (with EDNS, checking disabled).
ENVELOPES: Final = {
    (True, False): (_HEADER_EDNS, _OPT_RECORD),
    (True, True): (_HEADER_EDNS_CD, _OPT_RECORD),
    (False, False): (_HEADER_PLAIN, b""),
    (False, True): (_HEADER_PLAIN_CD, b""),
}


class DnsQuestion(Struct, frozen=True):
    """One question of class IN: ``name`` as text, and ``wire`` as in the message."""

    name: str
    rdtype: int
    wire: bytes


class DnsResponse(Struct):
    """What a response says about its question.

    ``rcode`` is the response code with the upper bits of OPT. ``cname`` is the chain of names after the one asked for.
    ``ttl`` is the least TTL of the records used, ``negative_ttl`` that of RFC 2308 where an SOA came.
    ``referral`` says that a server named other servers instead of answering.
    ``records`` is the data of records of other types than A, AAAA and CNAME.
    """

    rcode: int
    flags: int
    addresses: tuple[str, ...] = ()
    cname: tuple[str, ...] = ()
    loop: bool = False
    ttl: int | None = None
    negative_ttl: int | None = None
    referral: bool = False
    extended_errors: tuple[tuple[int, str], ...] = ()
    records: tuple[bytes, ...] = ()

    @property
    def truncated(self) -> bool:
        """True with TC: the whole answer has to be fetched over TCP."""
        return bool(self.flags & FLAG_TC)


def questions_for(name: str, rdtypes: tuple[int, ...]) -> tuple[DnsQuestion, ...]:
    """Return a :class:`DnsQuestion` about ``name`` for each type. Raises :class:`NameNotEncodable`."""
    wire = encode_name(name)
    text = name.lower()
    if rdtypes == ADDRESSES:
        return DnsQuestion(text, A, wire + _A_END), DnsQuestion(text, AAAA, wire + _AAAA_END)
    return tuple([DnsQuestion(text, rdtype, wire + _QUESTION_END.pack(rdtype, CLASS_IN)) for rdtype in rdtypes])


def build_query(message_id: int, question: DnsQuestion, *, edns: bool = True, checking_disabled: bool = False) -> bytes:
    """Return a query with RD and AD set; with OPT (RFC 6891) unless ``edns`` is False; with CD (RFC 4035) on demand."""
    header, trailer = ENVELOPES[edns, checking_disabled]
    return _ID.pack(message_id) + header + question.wire + trailer


def answers_question(data: bytes, question: DnsQuestion) -> bool:
    """Return True if ``data`` is a response to exactly this question (RFC 5452 section 9.1); its id is the caller's to check.

    An error response may leave the question out (RFC 1035 allows servers that could not read it to do so);
    that is accepted for FORMERR and NOTIMP only, since those alone come from not reading the question.
    """
    if len(data) < HEADER_SIZE or not data[2] & 0x80:
        return False
    wire = question.wire
    asked = data[HEADER_SIZE : HEADER_SIZE + len(wire)]
    count = data[4] << 8 | data[5]
    if count == 0:
        return data[3] & 0x0F in (FORMERR, NOTIMP)
    # A server may answer in another case than it was asked in; names compare without it (RFC 4343).
    return count == 1 and (asked == wire or (asked[:-4].lower() == wire[:-4] and asked[-4:] == wire[-4:]))


class _Unusual(Exception):
    """The message does not have the shape that is read here."""


def read_answer_untrusted(data: bytes, question: DnsQuestion) -> DnsResponse | None:
    """Read a response to ``question`` (one that :func:`answers_question` accepted), or return ``None`` for ``dnspython_codec`` to.

    Only A, AAAA, CNAME, CAA and TLSA questions are read, and only answers whose records are in the order of the chain.
    Never raises, whatever ``data`` is.
    """
    try:
        flags, qdcount, ancount, nscount, arcount = _COUNTS.unpack_from(data)
        rcode: int = flags & 0x0F
        if flags & FLAG_TC:
            # What a truncated answer holds is not to be used (RFC 2181 section 9), so it is not read either.
            return DnsResponse(rcode, flags)
        if flags & OPCODE_BITS or qdcount != 1 or ancount + nscount + arcount > MAX_SHORT_RECORDS:
            return None
        if question.rdtype not in _READ_HERE:
            return None
        position = HEADER_SIZE + len(question.wire)
        answer = DnsResponse(rcode, flags)
        if ancount:
            position = _read_answers_untrusted(data, position, ancount, question, answer)
        referral = False
        if nscount:
            referral, position = _read_authority_untrusted(data, position, nscount, answer)
        if arcount:
            position = _read_additional_untrusted(data, position, arcount, answer)
        if position != len(data):
            return None
        # A server that names others, and neither has an answer nor proves that there is none, has not answered.
        if referral and not ancount and answer.negative_ttl is None and not flags & FLAG_AA and answer.rcode == NOERROR:
            answer.referral = True
        return answer
    except (_Unusual, UnusualName, struct.error, IndexError):
        return None


def _read_answers_untrusted(data: bytes, position: int, count: int, question: DnsQuestion, answer: DnsResponse) -> int:
    """Read the answer section into ``answer``: a chain of CNAMEs and the records at its end. Return the offset after it."""
    rdtype = question.rdtype
    family, size = _ADDRESS_FORMS.get(rdtype, (0, -1))
    end = len(data)
    owner = question.name
    names: dict[int, str] = {}  # offset -> name, of those that were read
    addresses: tuple[str, ...] = ()
    records: tuple[bytes, ...] = ()
    chain: tuple[str, ...] = ()
    ttl = MAX_TTL
    for _ in range(count):
        pointer, kind, rdclass, record_ttl, length = _POINTED_RECORD.unpack_from(data, position)
        if pointer == _POINTER_TO_QUESTION:
            at = question.name
            position += 12
        else:
            at, position = _read_owner_untrusted(data, position, names)
            kind, rdclass, record_ttl, length = _RECORD.unpack_from(data, position)
            position += 10
        following = position + length
        if following > end or rdclass != CLASS_IN or at != owner or answer.loop:
            raise _Unusual
        if kind == rdtype and length == size:
            addresses += (inet_ntop(family, data[position:following]),)
        elif kind == rdtype and family == 0 and kind != CNAME:
            records += (data[position:following],)
        elif kind == CNAME and not (addresses or records or (chain and rdtype == CNAME) or len(chain) == MAX_CHAIN):
            target, after = read_name_untrusted(data, position)
            if after != following:
                raise _Unusual
            names[position] = target
            answer.loop = target == question.name or target in chain
            chain += (target,)
            if rdtype != CNAME:
                owner = target
        else:
            raise _Unusual
        if record_ttl < ttl:
            ttl = record_ttl
        elif record_ttl > MAX_TTL:
            ttl = 0
        position = following
    answer.addresses, answer.records, answer.cname, answer.ttl = addresses, records, chain, ttl
    return position


def _read_authority_untrusted(data: bytes, position: int, count: int, answer: DnsResponse) -> tuple[bool, int]:
    """Read the authority section into ``answer``. Return whether it names servers, and the offset after it."""
    names_servers = False
    for _ in range(count):
        position = position + 2 if data[position] >= 0xC0 else skip_name_untrusted(data, position)
        kind, _class, record_ttl, length = _RECORD.unpack_from(data, position)
        position += 10 + length
        if position > len(data):
            raise _Unusual
        if kind == SOA and length >= 22:
            # RFC 2308 section 5: the lesser of the record's TTL and its MINIMUM, which are its last four octets.
            minimum = _UINT32.unpack_from(data, position - 4)[0]
            answer.negative_ttl = record_ttl if record_ttl < minimum else minimum
        elif kind == NS:
            names_servers = True
    return names_servers, position


def _read_additional_untrusted(data: bytes, position: int, count: int, answer: DnsResponse) -> int:
    """Read the additional section, of which only OPT counts (RFC 6891), into ``answer``. Return the offset after it."""
    for _ in range(count):
        root = data[position] == 0
        position = position + 1 if root else skip_name_untrusted(data, position)
        kind, _class, record_ttl, length = _RECORD.unpack_from(data, position)
        position += 10
        following = position + length
        if following > len(data) or (kind == OPT and not root):
            raise _Unusual
        if kind == OPT:
            answer.rcode |= (record_ttl >> 24) << 4
            if length:
                errors = answer.extended_errors + _read_options_untrusted(data, position, following)
                answer.extended_errors = errors[:MAX_EXTENDED_ERRORS]
        position = following
    return position


def _read_options_untrusted(data: bytes, position: int, end: int) -> tuple[tuple[int, str], ...]:
    """Return the extended errors (RFC 8914) among the options of an OPT record."""
    errors: list[tuple[int, str]] = []
    while position < end:
        code, length = _OPTION.unpack_from(data, position)
        position += 4
        following = position + length
        if following > end:
            raise _Unusual
        if code == OPTION_EXTENDED_ERROR:
            if length < 2:
                raise _Unusual
            if len(errors) < MAX_EXTENDED_ERRORS:
                errors.append((_ID.unpack_from(data, position)[0], extended_text(data[position + 2 : following])))
        position = following
    return tuple(errors)


def extended_text(raw: bytes) -> str:
    """Return EXTRA-TEXT of RFC 8914 as text: UTF-8 that may end in a NUL, which is no part of it."""
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _read_owner_untrusted(data: bytes, position: int, names: dict[int, str]) -> tuple[str, int]:
    """Return the owner of a record, mostly a bare pointer to a name that was read before, and the offset after it."""
    first = data[position]
    if names and first >= 0xC0:
        name = names.get((first & 0x3F) << 8 | data[position + 1])
        if name is not None:
            return name, position + 2
    return read_name_untrusted(data, position)
