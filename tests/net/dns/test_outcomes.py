"""What two replies amount to, case by case."""

from __future__ import annotations

import pytest

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsResponse
from scanner.net.dns.outcomes import Outcome, follow_cname, merge_families, outcome_of, time_to_live
from scanner.net.dns.reply import NoAnswer

V4 = Outcome(DnsStatus.NOERROR, addresses=("192.0.2.1",), resolver="r", ttl=60)
V6 = Outcome(DnsStatus.NOERROR, addresses=("2001:db8::1",), resolver="r", ttl=30)
NONE = Outcome(DnsStatus.NODATA, resolver="r", ttl=20)
MISSING = Outcome(DnsStatus.NXDOMAIN, resolver="r", ttl=10)
FAILED = Outcome(DnsStatus.SERVFAIL, resolver="r")
QUIET = Outcome(DnsStatus.TIMEOUT, resolver="r")
REFUSED = Outcome(DnsStatus.REFUSED, resolver="r")


@pytest.mark.parametrize(
    ("outcomes", "status", "addresses", "words"),
    [
        ((V4, V6), DnsStatus.NOERROR, ("192.0.2.1", "2001:db8::1"), None),
        ((V4, NONE), DnsStatus.NOERROR, ("192.0.2.1",), None),
        ((NONE, V6), DnsStatus.NOERROR, ("2001:db8::1",), None),
        ((V4, FAILED), DnsStatus.NOERROR, ("192.0.2.1",), "SERVFAIL"),
        ((QUIET, V6), DnsStatus.NOERROR, ("2001:db8::1",), "TIMEOUT"),
        ((V4, MISSING), DnsStatus.NOERROR, ("192.0.2.1",), None),
        ((NONE, NONE), DnsStatus.NODATA, (), None),
        ((MISSING, MISSING), DnsStatus.NXDOMAIN, (), None),
        ((MISSING, QUIET), DnsStatus.NXDOMAIN, (), None),
        ((MISSING, NONE), DnsStatus.NODATA, (), "NXDOMAIN"),
        ((NONE, QUIET), DnsStatus.TIMEOUT, (), None),
        ((NONE, FAILED), DnsStatus.SERVFAIL, (), None),
        ((QUIET, FAILED), DnsStatus.SERVFAIL, (), None),
        ((QUIET, REFUSED), DnsStatus.REFUSED, (), None),
        ((V4,), DnsStatus.NOERROR, ("192.0.2.1",), None),
        ((QUIET,), DnsStatus.TIMEOUT, (), None),
    ],
)
def test_outcomes_of_two_families_are_merged(
    outcomes: tuple[Outcome, ...], status: DnsStatus, addresses: tuple[str, ...], words: str | None
) -> None:
    answer = merge_families(outcomes, 1.5)
    assert (answer.status, answer.addresses, answer.resolver, answer.duration) == (status, addresses, "r", 1.5)
    assert (answer.detail is None) if words is None else (words in (answer.detail or ""))
    mirrored = merge_families(outcomes[::-1])
    assert mirrored.status is status and set(mirrored.addresses) == set(addresses)


def test_doubled_addresses_count_once() -> None:
    doubled = Outcome(DnsStatus.NOERROR, addresses=("192.0.2.1", "192.0.2.1"))
    assert merge_families([doubled]).addresses == ("192.0.2.1",)


def test_authentication_is_of_every_answer_used() -> None:
    secure, insecure = Outcome(DnsStatus.NOERROR, ("192.0.2.1",), authenticated=True), Outcome(DnsStatus.NODATA)
    assert merge_families([secure]).authenticated
    assert not merge_families([secure, insecure]).authenticated
    assert merge_families([secure, FAILED]).authenticated, "what failed was not used"


def test_time_to_live_is_the_least_and_failures_have_none() -> None:
    assert time_to_live([V4, V6]) == 30
    assert time_to_live([V4, MISSING]) == 10
    assert time_to_live([V4, QUIET]) is None
    assert time_to_live([Outcome(DnsStatus.NXDOMAIN)]) == 0


def test_response_codes() -> None:
    assert outcome_of(DnsResponse(0, 0), "r").status is DnsStatus.NODATA
    assert outcome_of(DnsResponse(3, 0), "r").status is DnsStatus.NXDOMAIN
    assert outcome_of(DnsResponse(5, 0), "r").status is DnsStatus.REFUSED
    odd = outcome_of(DnsResponse(9, 0), "r")
    assert odd.status is DnsStatus.SERVFAIL and odd.detail == "response code 9"
    assert outcome_of(NoAnswer(DnsStatus.MALFORMED, "why"), "r") == Outcome(
        DnsStatus.MALFORMED, resolver="r", detail="why"
    )
    referral = outcome_of(DnsResponse(0, 0, referral=True), "r")
    assert referral.status is DnsStatus.REFUSED and "no recursive resolver" in (referral.detail or "")


def test_an_answer_that_stops_at_a_cname_is_unfinished_unless_an_soa_ends_it() -> None:
    assert outcome_of(DnsResponse(0, 0, cname=("b",)), "r").unfinished
    assert not outcome_of(DnsResponse(0, 0, cname=("b",), negative_ttl=5), "r").unfinished
    assert not outcome_of(DnsResponse(0, 0, cname=("b",), loop=True), "r").unfinished
    assert not outcome_of(DnsResponse(0, 0, cname=("b",), addresses=("192.0.2.1",)), "r").unfinished
    assert not outcome_of(DnsResponse(3, 0, cname=("b",)), "r").unfinished


def test_followed_cname_joins_both_chains() -> None:
    first = Outcome(
        DnsStatus.NODATA, cname=("b",), ttl=50, authenticated=True, unfinished=True, extended_errors=((3, ""),)
    )
    rest = Outcome(
        DnsStatus.NOERROR, ("192.0.2.1",), cname=("c",), ttl=70, authenticated=False, extended_errors=((3, ""),)
    )
    both = follow_cname(first, rest, "a")
    assert both == Outcome(DnsStatus.NOERROR, ("192.0.2.1",), cname=("b", "c"), ttl=50, extended_errors=((3, ""),))
    back = follow_cname(first, Outcome(DnsStatus.NODATA, cname=("a",), unfinished=True), "a")
    assert back.loop and back.cname == ("b", "a") and not back.unfinished
    inner = follow_cname(first, Outcome(DnsStatus.NOERROR, ("192.0.2.1",), cname=("c", "b", "d")), "a")
    assert inner.loop and inner.cname == ("b", "c", "b") and inner.addresses == () and inner.status is DnsStatus.NODATA


def test_the_longer_chain_is_shown_where_both_failed() -> None:
    assert merge_families([MISSING, Outcome(DnsStatus.NXDOMAIN, cname=("gone",))]).cname == ("gone",)


def test_every_status_has_a_rank() -> None:
    for status in DnsStatus:
        assert Outcome(status).outranks(None)
        assert not Outcome(status).outranks(Outcome(DnsStatus.NOERROR))
    assert message_wire.MAX_CHAIN < 128
