"""What two replies amount to, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire as dns_wire
from scanner.net.dns.message_wire import Answer
from scanner.net.dns.outcomes import Outcome, at_once, combined, continued, outcome_of, time_to_live
from scanner.net.dns.udp_channel import Failure

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
def test_two_families(
    outcomes: tuple[Outcome, ...], status: DnsStatus, addresses: tuple[str, ...], words: str | None
) -> None:
    answer = combined(outcomes, 1.5)
    assert (answer.status, answer.addresses, answer.resolver, answer.duration) == (status, addresses, "r", 1.5)
    assert (answer.detail is None) if words is None else (words in (answer.detail or ""))
    mirrored = combined(outcomes[::-1])
    assert mirrored.status is status and set(mirrored.addresses) == set(addresses)


def test_doubled_addresses_count_once() -> None:
    doubled = Outcome(DnsStatus.NOERROR, addresses=("192.0.2.1", "192.0.2.1"))
    assert combined([doubled]).addresses == ("192.0.2.1",)


def test_authentication_is_of_every_answer_used() -> None:
    secure, insecure = Outcome(DnsStatus.NOERROR, ("192.0.2.1",), authenticated=True), Outcome(DnsStatus.NODATA)
    assert combined([secure]).authenticated
    assert not combined([secure, insecure]).authenticated
    assert combined([secure, FAILED]).authenticated, "what failed was not used"


def test_time_to_live_is_the_least_and_failures_have_none() -> None:
    assert time_to_live([V4, V6]) == 30
    assert time_to_live([V4, MISSING]) == 10
    assert time_to_live([V4, QUIET]) is None
    assert time_to_live([Outcome(DnsStatus.NXDOMAIN)]) == 0


def test_response_codes() -> None:
    assert outcome_of(Answer(0, 0), "r").status is DnsStatus.NODATA
    assert outcome_of(Answer(3, 0), "r").status is DnsStatus.NXDOMAIN
    assert outcome_of(Answer(5, 0), "r").status is DnsStatus.REFUSED
    odd = outcome_of(Answer(9, 0), "r")
    assert odd.status is DnsStatus.SERVFAIL and odd.detail == "response code 9"
    assert outcome_of(Failure(DnsStatus.MALFORMED, "why"), "r") == Outcome(
        DnsStatus.MALFORMED, resolver="r", detail="why"
    )
    referral = outcome_of(Answer(0, 0, referral=True), "r")
    assert referral.status is DnsStatus.REFUSED and "no recursive resolver" in (referral.detail or "")


def test_an_answer_that_stops_at_a_cname_is_unfinished_unless_an_soa_ends_it() -> None:
    assert outcome_of(Answer(0, 0, cname=("b",)), "r").unfinished
    assert not outcome_of(Answer(0, 0, cname=("b",), negative_ttl=5), "r").unfinished
    assert not outcome_of(Answer(0, 0, cname=("b",), loop=True), "r").unfinished
    assert not outcome_of(Answer(0, 0, cname=("b",), addresses=("192.0.2.1",)), "r").unfinished
    assert not outcome_of(Answer(3, 0, cname=("b",)), "r").unfinished


def test_continuing_a_chain() -> None:
    first = Outcome(
        DnsStatus.NODATA, cname=("b",), ttl=50, authenticated=True, unfinished=True, extended_errors=((3, ""),)
    )
    rest = Outcome(
        DnsStatus.NOERROR, ("192.0.2.1",), cname=("c",), ttl=70, authenticated=False, extended_errors=((3, ""),)
    )
    both = continued(first, rest, "a")
    assert both == Outcome(DnsStatus.NOERROR, ("192.0.2.1",), cname=("b", "c"), ttl=50, extended_errors=((3, ""),))
    back = continued(first, Outcome(DnsStatus.NODATA, cname=("a",), unfinished=True), "a")
    assert back.loop and back.cname == ("b", "a") and not back.unfinished
    inner = continued(first, Outcome(DnsStatus.NOERROR, ("192.0.2.1",), cname=("c", "b", "d")), "a")
    assert inner.loop and inner.cname == ("b", "c", "b") and inner.addresses == () and inner.status is DnsStatus.NODATA


def test_the_longer_chain_is_shown_where_both_failed() -> None:
    assert combined([MISSING, Outcome(DnsStatus.NXDOMAIN, cname=("gone",))]).cname == ("gone",)


_names = st.sampled_from([(), ("b",), ("b", "c")])
_errors = st.sampled_from([(), ((3, ""),), ((3, ""), (22, "dead"))])
_ttls = st.sampled_from([None, 0, 30, dns_wire.MAX_TTL])
_replies = st.one_of(
    st.builds(Failure, st.sampled_from([DnsStatus.TIMEOUT, DnsStatus.UNREACHABLE, DnsStatus.MALFORMED])),
    st.builds(
        Answer,
        st.sampled_from([0, 0, 0, 0, 2, 3, 5]),
        st.sampled_from([0, dns_wire.FLAG_AD]),
        addresses=st.sampled_from([(), ("192.0.2.1",), ("192.0.2.1", "192.0.2.2", "192.0.2.1"), ("2001:db8::1",)]),
        cname=_names,
        loop=st.sampled_from([False, False, False, True]),
        ttl=_ttls,
        negative_ttl=_ttls,
        referral=st.sampled_from([False, False, False, True]),
        extended_errors=_errors,
    ),
)


@given(st.lists(_replies, min_size=1, max_size=2))
def test_what_is_said_at_once_is_what_would_be_said_after_all(replies: list[Answer | Failure]) -> None:
    outcomes = [outcome_of(reply, "r") for reply in replies]
    found = at_once(replies, "r", 1.5)
    if found is None:
        assert (
            any(not outcome.settled or outcome.unfinished or outcome.loop for outcome in outcomes)
            or not any(outcome.status is DnsStatus.NOERROR for outcome in outcomes)
            or any(outcome.status is DnsStatus.NXDOMAIN for outcome in outcomes)
        )
    else:
        assert found == (combined(outcomes, 1.5), time_to_live(outcomes))
        assert not any(outcome.unfinished for outcome in outcomes)


def test_addresses_are_said_at_once() -> None:
    v4, none = Answer(0, 0, ("192.0.2.1",), ttl=60), Answer(0, 0, negative_ttl=20)
    assert at_once([v4, none], "r", 0.0) == (combined([outcome_of(v4, "r"), outcome_of(none, "r")]), 20)
    assert at_once([none, none], "r", 0.0) is None
    assert at_once([v4, Failure(DnsStatus.TIMEOUT)], "r", 0.0) is None


def test_every_status_has_a_rank() -> None:
    for status in DnsStatus:
        assert Outcome(status).more_telling_than(None)
        assert not Outcome(status).more_telling_than(Outcome(DnsStatus.NOERROR))
    assert dns_wire.MAX_CHAIN < 128
