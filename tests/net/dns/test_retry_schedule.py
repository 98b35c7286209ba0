"""The schedule of further tries, step by step, without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.outcomes import Outcome
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.retry_schedule import BACKOFF, FLAKY_ROUNDS, Request, RetrySchedule
from scanner.net.dns.upstream import Upstream

QUESTIONS = message_wire.questions_for("a.example", message_wire.ADDRESSES)
SILENT = Outcome(DnsStatus.TIMEOUT)
REFUSED = Outcome(DnsStatus.REFUSED)
FAILED = Outcome(DnsStatus.SERVFAIL)
FOUND = Outcome(DnsStatus.NOERROR, ("192.0.2.1",))
EMPTY = Outcome(DnsStatus.NODATA)


@dataclass(eq=False)
class Server:
    """What the schedule looks at in an upstream."""

    flaky: bool = False
    seconds: float = float("inf")  # that names wait for it
    state: object = None
    passed: list[DnsStatus] = field(default_factory=list)

    @property
    def health(self) -> Server:
        return self

    def patience(self, now: float) -> float:
        return self.seconds

    def passed_on_retry(self, status: DnsStatus, mark: int) -> None:
        self.passed.append(status)


def schedule(
    *servers: Server,
    first: tuple[Outcome, Outcome] = (SILENT, SILENT),
    rounds: int = 2,
    budget: QueryBudget | None = None,
    explaining: bool = False,
) -> RetrySchedule:
    upstreams = cast("tuple[Upstream, ...]", servers)
    return RetrySchedule(
        QUESTIONS,
        first,
        budget or QueryBudget(60),
        upstreams,
        upstreams,
        order=lambda: upstreams[::-1],
        rounds=rounds,
        jitter=lambda low, high: (low + high) / 2,
        explaining=explaining,
    )


def steps_of(plan: RetrySchedule, outcome: Outcome = SILENT) -> list[object]:
    """Play to the end, each request bringing ``outcome`` for all of its questions."""
    steps: list[object] = []
    while (step := plan.next_step(0.0)) is not None:
        if isinstance(step, Request):
            steps.append(step.upstream)
            plan.receive(step.upstream, [outcome] * len(step.questions))
        else:
            steps.append(step)
    return steps


def test_each_round_asks_every_resolver_in_the_order_of_the_moment() -> None:
    one, two = Server(), Server()
    assert steps_of(schedule(one, two, rounds=3)) == [two, BACKOFF, two, one, 2 * BACKOFF, two, one]


def test_settled_questions_are_asked_no_more() -> None:
    one, two = Server(), Server()
    plan = schedule(one, two, first=(EMPTY, SILENT))
    step = plan.next_step(0.0)
    assert isinstance(step, Request) and step.questions == [QUESTIONS[1]]
    plan.receive(step.upstream, [EMPTY])
    assert plan.next_step(0.0) is None and plan.outcomes == [EMPTY, EMPTY]


def test_one_family_with_addresses_leaves_the_other_one_more_try() -> None:
    one, two = Server(), Server()
    plan = schedule(one, two, first=(FOUND, SILENT), rounds=5)
    assert steps_of(plan) == [two, BACKOFF]
    assert plan.outcomes == [FOUND, SILENT] and plan.last_request() is None


def test_flaky_resolver_gets_more_rounds_for_refusals_only() -> None:
    tries = [step for step in steps_of(schedule(Server(flaky=True), first=(REFUSED, FAILED)), REFUSED) if step != 0]
    assert sum(isinstance(step, Server) for step in tries) == FLAKY_ROUNDS - 1
    assert sum(isinstance(step, Server) for step in steps_of(schedule(Server(flaky=True)))) == 1


def test_resolvers_that_answer_nobody_end_it() -> None:
    assert steps_of(schedule(Server(seconds=0.0), rounds=9)) == []


def test_spent_budget_ends_it() -> None:
    budget = QueryBudget(0.1)
    plan = schedule(Server(), budget=budget)
    assert plan.next_step(0.0) == pytest.approx(0.1), "no pause is longer than what is left"
    budget.left = 0.0
    assert plan.next_step(0.0) is None and plan.last_request() is None


def test_unhurried_tries_wait_longer_each_round() -> None:
    plan = schedule(Server(), rounds=1, budget=QueryBudget(60, unhurried=True))
    assert plan.next_step(0.0) == BACKOFF
    step = plan.next_step(0.0)
    assert isinstance(step, Request) and step.patience == 2.0


def test_silence_is_asked_about_over_tcp_in_the_end() -> None:
    server = Server()
    plan = schedule(server, first=(SILENT, FAILED), rounds=1)
    assert steps_of(plan) == []
    last = plan.last_request()
    assert last is not None and last.over_tcp and last.questions == [QUESTIONS[0]]
    plan.receive(last.upstream, [FOUND])
    assert plan.outcomes == [FOUND, FAILED] and not plan.unsettled
    assert server.passed == [DnsStatus.TIMEOUT], "what TCP brought was lost by UDP"
    assert schedule(Server(state="silent"), rounds=1).last_request() is None
    assert schedule(Server(), first=(FAILED, REFUSED), rounds=1).last_request() is None


def test_failures_that_pass_are_the_resolvers_that_had_them() -> None:
    one, two = Server(), Server()
    plan = schedule(one, two, first=(REFUSED, REFUSED))
    assert steps_of(plan, EMPTY) == [two] and not one.passed and not two.passed
    again = schedule(one, first=(REFUSED, SILENT))
    assert steps_of(again, EMPTY) == [BACKOFF, one] and one.passed == [DnsStatus.REFUSED, DnsStatus.TIMEOUT]


def test_servfail_is_an_answer_where_it_is_being_explained() -> None:
    assert steps_of(schedule(Server(), first=(FAILED, FAILED), explaining=True)) == []


def test_best_outcome_is_kept() -> None:
    plan = schedule(Server(), first=(REFUSED, SILENT), rounds=3)
    steps_of(plan, FAILED)
    steps_of(plan, SILENT)
    assert plan.outcomes == [FAILED, FAILED]
