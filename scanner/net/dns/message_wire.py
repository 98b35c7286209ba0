"""DNS messages (RFC 1035), the short way: an address question out, its usual answer back, no objects in between.

A general codec costs more than a TLS probe. Nearly every message of a scan has one shape (one question for A, AAAA
or CNAME; an answer of CNAME and address records in order; perhaps SOA and OPT), so that shape is read here
directly, and everything else is handed on: :func:`read_answer_untrusted` gives ``None`` and the caller
takes the long way (``scanner.net.dns.dnspython_codec``).

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
_INET: Final = int(AF_INET)
_INET6: Final = int(AF_INET6)

# What follows the id: flags with RD, and AD to learn of authentication (RFC 6840 section 5.7); one question; OPT or none.
_HEADER_EDNS = struct.pack("!5H", FLAG_RD | FLAG_AD, 1, 0, 0, 1)
_HEADER_EDNS_CD = struct.pack("!5H", FLAG_RD | FLAG_AD | FLAG_CD, 1, 0, 0, 1)
_HEADER_PLAIN = struct.pack("!5H", FLAG_RD | FLAG_AD, 1, 0, 0, 0)
_HEADER_PLAIN_CD = struct.pack("!5H", FLAG_RD | FLAG_AD | FLAG_CD, 1, 0, 0, 0)
# Root owner, type OPT, payload size in the class, version 0 and no flags in the TTL, no options (RFC 6891).
_OPT_RECORD = struct.pack("!BHHIH", 0, OPT, UDP_PAYLOAD, 0, 0)
# What stands between the id and the question, and behind it, by (with EDNS, checking disabled).
ENVELOPES: Final = {
    (True, False): (_HEADER_EDNS, _OPT_RECORD),
    (True, True): (_HEADER_EDNS_CD, _OPT_RECORD),
    (False, False): (_HEADER_PLAIN, b""),
    (False, True): (_HEADER_PLAIN_CD, b""),
}


class Question(Struct, frozen=True):
    """One question of class IN: ``name`` as text, and ``wire`` as it stands in the message."""

    name: str
    rdtype: int
    wire: bytes


class Answer(Struct, frozen=True):
    """What a response says about its question.

    ``rcode`` is the response code with the upper bits of OPT. ``cname`` is the chain of names after the one asked for.
    ``ttl`` is the least TTL of the records used, ``negative_ttl`` that of RFC 2308 where an SOA came.
    ``referral`` says that a server named other servers instead of answering.
    ``records`` is the data of records of other types than A, AAAA and CNAME, as it stands.
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
        """TC: the whole answer has to be fetched over TCP."""
        return bool(self.flags & FLAG_TC)

    @property
    def authenticated(self) -> bool:
        """AD: the server says that it validated everything in the answer (RFC 4035 section 3.2.3)."""
        return bool(self.flags & FLAG_AD)

    @property
    def recursion_available(self) -> bool:
        """RA: the server follows chains for us."""
        return bool(self.flags & FLAG_RA)


def questions_for(name: str, rdtypes: tuple[int, ...]) -> tuple[Question, ...]:
    """One :class:`Question` per type about the same name; raises :class:`NameNotEncodable`."""
    wire = encode_name(name)
    text = name.lower()
    if rdtypes == ADDRESSES:
        return Question(text, A, wire + _A_END), Question(text, AAAA, wire + _AAAA_END)
    return tuple([Question(text, rdtype, wire + _QUESTION_END.pack(rdtype, CLASS_IN)) for rdtype in rdtypes])


def build_query(message_id: int, question: Question, *, edns: bool = True, checking_disabled: bool = False) -> bytes:
    """A query with RD and AD set; with OPT (RFC 6891) unless the server does not take it; CD (RFC 4035) on demand."""
    header, trailer = ENVELOPES[edns, checking_disabled]
    return _ID.pack(message_id) + header + question.wire + trailer


def answers_question(data: bytes, question: Question) -> bool:
    """Whether ``data`` is a response to exactly this question (RFC 5452 section 9.1); its id is the caller's to check.

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
    """The message has not the shape that is read here."""


def read_answer_untrusted(data: bytes, question: Question) -> Answer | None:
    """Read a response to ``question`` (one that :func:`answers_question` accepted); ``None``: take the long way.

    Only A, AAAA, CNAME, CAA and TLSA questions are read, and only answers whose records stand in the order of the chain.
    Never raises, whatever ``data`` is.
    """
    # One function for all of it, and none for its parts where those are common: this runs twice for every name of a scan.
    try:
        flags, qdcount, ancount, nscount, arcount = _COUNTS.unpack_from(data)
        rcode: int = flags & 0x0F
        if flags & FLAG_TC:
            # What a truncated answer holds is not to be used (RFC 2181 section 9), so it is not read either.
            return Answer(rcode, flags)
        if flags & OPCODE_BITS or qdcount != 1 or ancount + nscount + arcount > MAX_SHORT_RECORDS:
            return None
        rdtype = question.rdtype
        if rdtype == A:
            family, size = _INET, 4
        elif rdtype == AAAA:
            family, size = _INET6, 16
        elif rdtype in (CNAME, CAA, TLSA):
            # The general codec refuses a whole answer for one TLSA record of a wrong length or an odd CAA tag. What such
            # a record means is for the reader to say, so its data is kept.
            family, size = 0, -1
        else:
            return None
        end = len(data)
        position = HEADER_SIZE + len(question.wire)
        if position > end:
            return None
        owner = question.name
        names: dict[int, str] | None = None  # offset -> name, where there is another than the question's
        addresses: tuple[str, ...] = ()
        records: tuple[bytes, ...] = ()
        chain: tuple[str, ...] = ()
        loop = False
        ttl = MAX_TTL
        for _ in range(ancount):
            pointer, kind, rdclass, record_ttl, length = _POINTED_RECORD.unpack_from(data, position)
            if pointer == _POINTER_TO_QUESTION:
                at = question.name
                position += 12
            else:
                at, position = _read_owner_untrusted(data, position, names)
                kind, rdclass, record_ttl, length = _RECORD.unpack_from(data, position)
                position += 10
            following = position + length
            if following > end or rdclass != CLASS_IN or at != owner or loop:
                return None
            if kind == rdtype and length == size:
                addresses += (inet_ntop(family, data[position:following]),)
            elif kind == rdtype and family == 0 and kind != CNAME:
                records += (data[position:following],)
            elif (
                kind == CNAME
                and not addresses
                and not records
                and len(chain) < MAX_CHAIN
                and not (rdtype == CNAME and chain)
            ):
                target, after = read_name_untrusted(data, position)
                if after != following:
                    return None
                if names is None:
                    names = {}
                names[position] = target
                loop = target == question.name or target in chain
                chain += (target,)
                owner = target if rdtype != CNAME else owner
            else:
                return None
            if record_ttl < ttl:
                ttl = record_ttl
            elif record_ttl > MAX_TTL:
                ttl = 0
            position = following
        negative_ttl: int | None = None
        referral = False
        for _ in range(nscount):
            if data[position] >= 0xC0:
                position += 2
            else:
                position = skip_name_untrusted(data, position)
            kind, rdclass, record_ttl, length = _RECORD.unpack_from(data, position)
            position += 10 + length
            if position > end:
                return None
            if kind == SOA and length >= 22:
                # RFC 2308 section 5: the lesser of the record's TTL and its MINIMUM, which are its last four octets.
                negative_ttl = _UINT32.unpack_from(data, position - 4)[0]
                if record_ttl < negative_ttl:
                    negative_ttl = record_ttl
            elif kind == NS:
                referral = True
        extended: tuple[tuple[int, str], ...] = ()
        for _ in range(arcount):
            root = data[position] == 0
            position = position + 1 if root else skip_name_untrusted(data, position)
            kind, _class, record_ttl, length = _RECORD.unpack_from(data, position)
            position += 10
            following = position + length
            if following > end:
                return None
            if kind == OPT:
                if not root:
                    return None
                rcode |= (record_ttl >> 24) << 4
                if length:
                    extended += _read_options_untrusted(data, position, following)
            position = following
        if position != end:
            return None
        return Answer(
            rcode,
            flags,
            addresses,
            chain,
            loop,
            ttl if ancount else None,
            negative_ttl,
            # A server that names others, and neither has an answer nor proves that there is none, has not answered.
            referral and not ancount and negative_ttl is None and not flags & FLAG_AA and rcode == NOERROR,
            extended[:MAX_EXTENDED_ERRORS],
            records,
        )
    except (_Unusual, UnusualName, struct.error, IndexError):
        return None


def _read_options_untrusted(data: bytes, position: int, end: int) -> tuple[tuple[int, str], ...]:
    """The extended errors (RFC 8914) among the options of an OPT record."""
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
    """EXTRA-TEXT of RFC 8914: UTF-8 that may end in a NUL, which is no part of it."""
    return raw.rstrip(b"\0").decode("utf-8", "replace")


def _read_owner_untrusted(data: bytes, position: int, names: dict[int, str] | None) -> tuple[str, int]:
    """The owner of a record: mostly a bare pointer to a name that was read before."""
    first = data[position]
    if names is not None and first >= 0xC0:
        name = names.get((first & 0x3F) << 8 | data[position + 1])
        if name is not None:
            return name, position + 2
    return read_name_untrusted(data, position)
