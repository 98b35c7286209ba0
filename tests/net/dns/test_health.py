"""One question decides whether a resolver answers anybody; names without an answer do not."""

from __future__ import annotations

import pytest

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.health import (
    OUTAGE_PATIENCE,
    STARTUP_PATIENCE,
    TRUSTED_SECONDS,
    Health,
    Service,
    is_usable,
    service_seen,
)
from scanner.net.dns.message_wire import DnsResponse
from scanner.net.dns.reply import SILENT, NoAnswer

GONE = NoAnswer(DnsStatus.UNREACHABLE, "connection refused")
UNREADABLE = NoAnswer(DnsStatus.MALFORMED, "unreadable")


def answer(rcode: int) -> DnsResponse:
    return DnsResponse(rcode, 0, (), (), False, None, None, False, (), ())


def test_failures_beside_answers_do_not_make_a_resolver_suspect() -> None:
    health = Health("192.0.2.53", 0.0)
    health.note_usable(5.0)
    assert not health.note_failure(4.0, 7.0)
    assert health.note_failure(5.5, 8.0)
    assert not health.note_failure(5.6, 8.0), "it is suspect already"


def test_refusals_of_a_moment_are_overload() -> None:
    health = Health("192.0.2.53", 0.0)
    health.note_usable(5.0)
    assert not health.note_failure(5.1, 5.2, refused=True)
    assert not health.note_failure(5.9, 5.95, refused=True)
    assert health.note_failure(6.1, 6.11, refused=True)


def test_failures_right_after_an_answered_test_do_not_count() -> None:
    health = Health("192.0.2.53", 0.0)
    assert health.note_failure(0.0, 3.0)
    assert health.mark_answering(3.1) is None and not health.suspect
    assert not health.note_failure(3.2, 3.5)
    assert health.note_failure(3.2, 3.2 + TRUSTED_SECONDS)


def test_report_of_a_resolver_that_fell_silent() -> None:
    health = Health("192.0.2.53", 6 * 3600 + 12 * 60)
    health.note_usable(3.0)
    health.note_failure(4.0, 7.0)
    state = health.mark_down(Service.SILENT, 12.0)
    assert state.text == "the resolver 192.0.2.53 answered nobody since 06:12:03 UTC"
    assert health.failure() == NoAnswer(DnsStatus.TIMEOUT, state.text)
    assert health.patience(12.0) == OUTAGE_PATIENCE and health.patience(1000.0) == 0.0
    back = health.mark_answering(50.0)
    assert back is not None and back.service is Service.ANSWERING
    assert back.text == "the resolver 192.0.2.53 answers again, after 06:12:03 UTC"
    assert health.patience(50.0) == float("inf") and health.state is None


def test_report_of_a_resolver_that_never_answered() -> None:
    health = Health("192.0.2.53", 0.0)
    health.note_failure(1.0, 4.0)
    state = health.mark_down(Service.UNREACHABLE, 4.0, "connection refused")
    assert state.text == (
        "the resolver 192.0.2.53 could not be reached since 00:00:01 UTC and never before in this run: connection refused"
    )
    assert health.failure().status is DnsStatus.UNREACHABLE
    assert health.patience(4.0) == STARTUP_PATIENCE


@pytest.mark.parametrize(
    ("replies", "service"),
    [
        ([SILENT, answer(message_wire.NXDOMAIN)], Service.ANSWERING),
        ([answer(message_wire.REFUSED), answer(message_wire.FORMERR)], Service.ANSWERING),
        ([SILENT, UNREADABLE], Service.ANSWERING),
        ([answer(message_wire.REFUSED), SILENT], Service.REFUSING),
        ([answer(message_wire.SERVFAIL), answer(message_wire.REFUSED)], Service.FAILING),
        ([GONE, GONE], Service.UNREACHABLE),
        ([GONE, SILENT], Service.SILENT),
        ([SILENT], Service.SILENT),
    ],
)
def test_service_is_the_best_that_replies_show(replies: list[DnsResponse | NoAnswer], service: Service) -> None:
    assert service_seen(replies)[0] is service


def test_refused_and_servfail_say_nothing_of_the_name() -> None:
    assert [is_usable(answer(rcode)) for rcode in (0, 2, 3, 5)] == [True, False, True, False]
    assert not is_usable(SILENT)
