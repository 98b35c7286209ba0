"""The small DNS server behaves like a resolver, and survives malformed queries."""

from __future__ import annotations

import os
import random

import dns.asyncquery
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import trio
from trio.testing import trio_test

from scanner.demo.dns_server import DnsServer, Node, find_node, respond, run_dns, serve_dns

ZONE = {
    "a.example": Node(a=("127.0.0.1",), aaaa=("::1",), ttl=77),
    "www.example": Node(cname="a.example"),
    "l1.example": Node(cname="l2.example"),
    "l2.example": Node(cname="l1.example"),
    "dangling.example": Node(cname="gone.example"),
    "bogus.example": Node(a=("127.0.0.1",), bogus=True, extended_errors=((6, "signature"),)),
    "secure.example": Node(a=("127.0.0.1",), authenticated=True),
    "t.example": Node(a=("127.0.0.1",), truncated=True),
    "large.example": Node(a=tuple(f"192.0.2.{n}" for n in range(250))),
    "quiet.example": Node(silent=True),
    "half.example": Node(a=("127.0.0.1",), silent_types=("AAAA",), failing_types=("CAA",)),
    "stops.example": Node(cname="a.example", stops_at_cname=True),
    "refused.example": Node(rcode="REFUSED"),
    "caa.example": Node(caa=((0, "issue", "ca.example"), (128, "iodef", "mailto:a@example"))),
    "_443._tcp.a.example": Node(tlsa=((3, 1, 1, b"\1" * 32),)),
    "*.wild.example": Node(a=("127.0.0.9",)),
}


def ask(name: str, rdtype: str = "A", *, tcp: bool = False, cd: bool = False, edns: bool = True) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, use_edns=0 if edns else -1, payload=1232)
    query.flags |= dns.flags.AD | (dns.flags.CD if cd else 0)
    response = respond(query.to_wire(), ZONE, tcp=tcp)
    assert response is not None
    message = dns.message.from_wire(response)
    assert query.is_response(message)
    return message


def texts(message: dns.message.Message) -> list[str]:
    return [f"{rrset.name} {rdata}" for rrset in message.answer for rdata in rrset]


def test_existing_records_are_answered_and_others_denied() -> None:
    assert texts(ask("A.Example")) == ["A.Example. 127.0.0.1"]
    assert ask("a.example").answer[0].ttl == 77
    assert texts(ask("a.example", "AAAA")) == ["a.example. ::1"]
    assert texts(ask("caa.example", "CAA")) == [
        'caa.example. 0 issue "ca.example"',
        'caa.example. 128 iodef "mailto:a@example"',
    ]
    assert texts(ask("_443._tcp.a.example", "TLSA")) == ["_443._tcp.a.example. 3 1 1 " + "01" * 32]
    none = ask("a.example", "CAA")
    assert none.rcode() == 0 and not none.answer and none.authority[0].rdtype == dns.rdatatype.SOA
    missing = ask("nowhere.example")
    assert missing.rcode() == dns.rcode.NXDOMAIN and missing.authority


def test_cnames_are_followed_and_loops_fail() -> None:
    assert texts(ask("www.example")) == ["www.example. a.example.", "a.example. 127.0.0.1"]
    assert texts(ask("stops.example")) == ["stops.example. a.example."]
    loop = ask("l1.example")
    assert loop.rcode() == dns.rcode.SERVFAIL and not loop.answer
    assert texts(ask("l1.example", "CNAME")) == ["l1.example. l2.example."]
    dangling = ask("dangling.example")
    assert dangling.rcode() == dns.rcode.NXDOMAIN and texts(dangling) == ["dangling.example. gone.example."]


def test_bogus_names_fail_unless_checking_is_disabled() -> None:
    bogus = ask("bogus.example")
    assert bogus.rcode() == dns.rcode.SERVFAIL and [int(option.code) for option in bogus.extended_errors()] == [6]
    assert texts(ask("bogus.example", cd=True)) == ["bogus.example. 127.0.0.1"]
    assert ask("secure.example").flags & dns.flags.AD
    assert not ask("a.example").flags & dns.flags.AD


def test_truncated_and_large_answers_are_complete_over_tcp() -> None:
    assert ask("t.example").flags & dns.flags.TC and not ask("t.example").answer
    assert texts(ask("t.example", tcp=True)) == ["t.example. 127.0.0.1"]
    large = ask("large.example")
    assert large.flags & dns.flags.TC
    assert len(ask("large.example", tcp=True).answer[0]) == 250


def test_queries_may_be_ignored_refused_or_fail() -> None:
    assert respond(dns.message.make_query("quiet.example", "A").to_wire(), ZONE) is None
    assert respond(dns.message.make_query("half.example", "AAAA").to_wire(), ZONE) is None
    assert texts(ask("half.example")) == ["half.example. 127.0.0.1"]
    assert ask("half.example", "CAA").rcode() == dns.rcode.SERVFAIL
    assert ask("refused.example").rcode() == dns.rcode.REFUSED


def test_a_wildcard_covers_all_names_below_it_and_not_itself() -> None:
    assert texts(ask("x.y.wild.example")) == ["x.y.wild.example. 127.0.0.9"]
    assert find_node(ZONE, "wild.example") is None
    assert find_node({"*": Node(ttl=1)}, "any.thing") == Node(ttl=1)
    assert find_node({}, "") is None


def test_a_server_without_edns_answers_formerr() -> None:
    query = dns.message.make_query("a.example", "A", use_edns=0)
    response = respond(query.to_wire(), ZONE, edns=False)
    assert response is not None and dns.message.from_wire(response).rcode() == dns.rcode.FORMERR
    plain = respond(dns.message.make_query("a.example", "A").to_wire(), ZONE, edns=False)
    assert plain is not None and dns.message.from_wire(plain).rcode() == 0
    assert ask("a.example", edns=False).edns == -1


def test_malformed_queries_get_no_answer() -> None:
    rng = random.Random(3)
    good = dns.message.make_query("a.example", "A").to_wire()
    assert respond(b"", ZONE) is None
    assert respond(good[:2] + b"\x80" + good[3:], ZONE) is None, (
        "a response is not answered: two servers would never stop"
    )
    for _ in range(500):
        data = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        respond(bytes(data[: rng.randint(0, len(data))]), ZONE)
        respond(rng.randbytes(rng.randint(0, 60)), ZONE)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "127.77.0.53"])
def test_dnspython_gets_answers_over_udp_and_tcp(host: str) -> None:
    @trio_test
    async def run() -> None:
        async with serve_dns(ZONE, host) as server:
            query = dns.message.make_query("www.example", "A")
            reply = await dns.asyncquery.udp(query, server.address, port=server.port, timeout=5)
            assert texts(reply) == ["www.example. a.example.", "a.example. 127.0.0.1"]
            reply = await dns.asyncquery.tcp(query, server.address, port=server.port, timeout=5)
            assert texts(reply) == ["www.example. a.example.", "a.example. 127.0.0.1"]
            assert server.queries == [("www.example", "A")] * 2
            assert server.text == (f"[{host}]:{server.port}" if ":" in host else f"{host}:{server.port}")

    run()


@trio_test
async def test_broken_clients_do_not_disturb_the_server() -> None:
    async with trio.open_nursery() as nursery:
        server: DnsServer = await nursery.start(run_dns, ZONE)
        for data in (b"", b"\0", b"\xff\xffabc", b"\0\3abc", os.urandom(300)):
            stream = await trio.open_tcp_stream(server.address, server.port)
            await stream.send_all(data)
            await stream.aclose()
        query = dns.message.make_query("a.example", "A")
        assert texts(await dns.asyncquery.tcp(query, server.address, port=server.port, timeout=5))
        nursery.cancel_scope.cancel()
