"""DNS messages read by dnspython: those that ``message_wire`` does not read. Pure.

That is other record types, answers in another order, DNAME, names with odd octets, large answers over TCP.
"""

from __future__ import annotations

from typing import Final, Protocol, cast

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdatatype
import dns.rrset

from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsQuestion, DnsResponse
from scanner.net.dns.wire_names import NameNotEncodable

# A full TCP message could hold 5,000 tiny records, each with a long name behind a pointer; reading those takes half a
# second. No address, CAA or TLSA answer comes near this number.
MAX_RECORDS: Final = 512


class MalformedAnswer(Exception):
    """The octets are not a DNS message that answers the question. The message says where it breaks."""


class _Addressed(Protocol):
    address: str


class _Targeted(Protocol):
    target: dns.name.Name


def encode_escaped_name(name: str) -> bytes:
    """Return the wire form of a name with escapes (RFC 1035 section 5.1). Raises ``NameNotEncodable``."""
    try:
        return dns.name.from_text(name, idna_codec=None).to_wire() or b""
    except (dns.exception.DNSException, ValueError) as error:
        raise NameNotEncodable(f"the name cannot be put into a question: {error}") from None


def escaped_questions(name: str, rdtypes: tuple[int, ...]) -> tuple[DnsQuestion, ...]:
    """Return a question for each type about a name with escapes. Raises ``NameNotEncodable``."""
    wire = encode_escaped_name(name)
    return tuple(DnsQuestion(name, rdtype, wire + rdtype.to_bytes(2, "big") + b"\0\1") for rdtype in rdtypes)


def name_text(name: dns.name.Name) -> str:
    """Return a name as lower-case text without the final dot."""
    return name.canonicalize().to_text(omit_final_dot=True)


def read_answer_untrusted(data: bytes, question: DnsQuestion) -> DnsResponse:
    """Read any response to ``question``. Raises only :class:`MalformedAnswer`."""
    counts = [int.from_bytes(data[at : at + 2], "big") for at in (6, 8, 10)]
    if sum(counts) > MAX_RECORDS:
        raise MalformedAnswer(f"a response of {sum(counts)} records, more than {MAX_RECORDS}")
    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
        return _digest(message, question)
    except MalformedAnswer:
        raise
    except dns.exception.DNSException as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a bug of the parser on a stranger's octets still makes them unreadable
        raise MalformedAnswer(f"unreadable response ({type(error).__name__})") from None


def _digest(message: dns.message.Message, question: DnsQuestion) -> DnsResponse:
    records: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
    for rrset in message.answer:
        if rrset.rdclass == message_wire.CLASS_IN:
            records.setdefault((rrset.name.canonicalize(), int(rrset.rdtype)), rrset)
    owner = dns.name.from_wire(question.wire, 0)[0].canonicalize()
    seen = {owner}
    chain: list[str] = []
    ttls: list[int] = []
    loop = False
    while (
        question.rdtype != message_wire.CNAME
        and (owner, question.rdtype) not in records
        and len(chain) < message_wire.MAX_CHAIN
    ):
        link = records.get((owner, message_wire.CNAME))
        if link is None or not len(link):
            break
        owner = cast("_Targeted", link[0]).target.canonicalize()
        ttls.append(link.ttl)
        chain.append(name_text(owner))
        if owner in seen:
            loop = True
            break
        seen.add(owner)
    found: tuple[dns.rdata.Rdata, ...] = ()
    if not loop and (owner, question.rdtype) in records:
        rrset = records[owner, question.rdtype]
        found = tuple(rrset)
        ttls.append(rrset.ttl)
    addresses: tuple[str, ...] = ()
    if question.rdtype in (message_wire.A, message_wire.AAAA):
        addresses = tuple(cast("_Addressed", rdata).address for rdata in found)
        found = ()
    elif question.rdtype == message_wire.CNAME and found:
        chain.append(name_text(cast("_Targeted", found[0]).target))
        loop = chain[-1] == question.name
        found = ()
    negative_ttl: int | None = None
    referral = False
    for rrset in message.authority:
        if rrset.rdtype == message_wire.SOA and len(rrset):
            negative_ttl = min(rrset.ttl, int(rrset[0].minimum))
        elif rrset.rdtype == message_wire.NS:
            referral = True
    errors = [
        (int(option.code), message_wire.extended_text((option.text or "").encode("utf-8", "replace")))
        for option in message.options
        if isinstance(option, dns.edns.EDEOption)
    ]
    rcode = int(message.rcode())
    return DnsResponse(
        rcode,
        int(message.flags),
        addresses,
        tuple(chain),
        loop,
        min(ttls) if ttls else None,
        negative_ttl,
        referral
        and not message.answer
        and negative_ttl is None
        and not message.flags & message_wire.FLAG_AA
        and rcode == message_wire.NOERROR,
        tuple(errors[: message_wire.MAX_EXTENDED_ERRORS]),
        tuple(rdata.to_wire() or b"" for rdata in found),
    )
