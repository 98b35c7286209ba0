"""The zone gives the answers that the DNS cases describe."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from scanner.demo.cases import DnsBehaviour
from scanner.demo.dns_server import respond
from scanner.demo.zone import records

HOST = "www.demo.test"


def ask(
    behaviour: DnsBehaviour | None, rdtype: str = "A", *, checking_disabled: bool = False
) -> dns.message.Message | None:
    query = dns.message.make_query(HOST, rdtype, use_edns=0)
    if checking_disabled:
        query.flags |= dns.flags.CD
    answer = respond(query.to_wire(), records(HOST, ["127.94.0.1", "127.94.0.2"], behaviour))
    return None if answer is None else dns.message.from_wire(answer)


def test_all_addresses_are_answered() -> None:
    answer = ask(None)
    assert answer is not None
    assert {record.to_text() for record in answer.answer[0]} == {"127.94.0.1", "127.94.0.2"}


def test_ipv6_addresses_are_answered_to_aaaa() -> None:
    zone = records(HOST, ["::1"], None)
    for rdtype, count in (("AAAA", 1), ("A", 0)):
        answer = respond(dns.message.make_query(HOST, rdtype).to_wire(), zone)
        assert answer is not None
        assert len(dns.message.from_wire(answer).answer) == count


@pytest.mark.parametrize(
    ("behaviour", "rcode"),
    [
        (DnsBehaviour.NXDOMAIN, dns.rcode.NXDOMAIN),
        (DnsBehaviour.NO_ADDRESS, dns.rcode.NOERROR),
        (DnsBehaviour.SERVFAIL, dns.rcode.SERVFAIL),
        (DnsBehaviour.REFUSED, dns.rcode.REFUSED),
        (DnsBehaviour.CNAME_LOOP, dns.rcode.SERVFAIL),
        (DnsBehaviour.DANGLING_CNAME, dns.rcode.NXDOMAIN),
        (DnsBehaviour.BOGUS, dns.rcode.SERVFAIL),
    ],
)
def test_failing_names_have_no_address(behaviour: DnsBehaviour, rcode: dns.rcode.Rcode) -> None:
    answer = ask(behaviour)
    assert answer is not None
    assert answer.rcode() == rcode
    assert not any(records.rdtype == dns.rdatatype.A for records in answer.answer)


def test_silent_names_get_no_answer() -> None:
    assert ask(DnsBehaviour.SILENT) is None


def test_bogus_names_resolve_with_checking_disabled() -> None:
    answer = ask(DnsBehaviour.BOGUS, checking_disabled=True)
    assert answer is not None
    assert answer.rcode() == dns.rcode.NOERROR
    assert answer.answer


@pytest.mark.parametrize("behaviour", [DnsBehaviour.CNAME_LOOP, DnsBehaviour.DANGLING_CNAME])
def test_the_cname_itself_is_answered(behaviour: DnsBehaviour) -> None:
    answer = ask(behaviour, "CNAME")
    assert answer is not None
    assert answer.answer[0].rdtype == dns.rdatatype.CNAME


@pytest.mark.parametrize(("behaviour", "code"), [(DnsBehaviour.SERVFAIL, 22), (DnsBehaviour.BOGUS, 6)])
def test_failures_have_extended_errors(behaviour: DnsBehaviour, code: int) -> None:
    answer = ask(behaviour)
    assert answer is not None
    assert [int(option.code) for option in answer.extended_errors()] == [code]
