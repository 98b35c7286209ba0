"""The resolvers of a run: questions are asked by a schedule until they are settled, and chains of CNAMEs are followed.

Here is also the judgement whether a failure may be the resolvers' instead of the name's. All tries pass the pace of their resolver
(:mod:`scanner.net.dns.pace`), the repeated ones like the first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import trio
from msgspec.structs import replace

from scanner.model.evidence import SETTLED_STATUSES, DnsAnswer, DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.health import ResolverState
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.outcomes import Outcome, chain_too_long, follow_cname, outcome_of
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.retry_schedule import REFUSALS, Request, RetrySchedule
from scanner.net.dns.upstream import Upstream
from scanner.net.dns.wire_names import NameNotEncodable


def questions_for(name: str, types: tuple[int, ...]) -> tuple[DnsQuestion, ...]:
    """Return the questions about ``name``, which may have escapes. Raises ``NameNotEncodable``."""
    if "\\" not in name:
        return message_wire.questions_for(name, types)
    from scanner.net.dns import dnspython_codec  # escapes come from it only, as targets of CNAMEs with odd octets

    return dnspython_codec.escaped_questions(name, types)


class UpstreamGroup:
    """The resolvers of a run. ``rounds`` is how often all of them are tried, ``problem`` is why there are none."""

    def __init__(self, upstreams: Sequence[Upstream], *, rounds: int, rotate: bool = False, problem: str) -> None:
        self.upstreams = tuple(upstreams)
        self.second_tries = 0  # questions asked again
        self._rounds = rounds
        self._rotate = rotate
        self._problem = problem
        self._turn = 0
        self._now = trio.lowlevel.current_clock().current_time

    def watch(self, on_state: Callable[[ResolverState], None] | None) -> None:
        """Have ``on_state`` called with each change of a resolver's state, and move waiting names to resolvers that answer."""
        for upstream in self.upstreams:
            upstream.on_state = on_state
            upstream.on_change = self._release_waiting

    def _release_waiting(self) -> None:
        """Release the names that wait for a suspect resolver, while another one answers."""
        suspect = [upstream for upstream in self.upstreams if upstream.health.suspect]
        if 0 < len(suspect) < len(self.upstreams):
            for upstream in suspect:
                upstream.release()

    async def _follow(self, outcome: Outcome, question: DnsQuestion, budget: QueryBudget) -> Outcome:
        """Ask on at the end of a chain that the server did not follow."""
        while outcome.unfinished:
            if len(outcome.cname) >= message_wire.MAX_CHAIN:
                return chain_too_long(outcome, f"a chain of {len(outcome.cname)} CNAMEs or more")
            try:
                following = questions_for(outcome.cname[-1], (question.rdtype,))
            except NameNotEncodable as error:
                return chain_too_long(outcome, f"the CNAME's target: {error}")
            [rest] = await self.ask(following, budget, follow=False)
            outcome = follow_cname(outcome, rest, question.name)
            if not rest.cname:
                break  # the name itself was asked for and has nothing: the chain ends here
        return replace(outcome, unfinished=False)

    async def ask(
        self,
        questions: Sequence[DnsQuestion],
        budget: QueryBudget,
        *,
        follow: bool = True,
        checking_disabled: bool = False,
        explaining: bool = False,
    ) -> list[Outcome]:
        """Ask until each question is settled, the schedule ends or the budget is spent. Return the best outcome of each.

        With ``follow``, where an answer stops at a CNAME, the name at its end is asked for. ``explaining`` is for questions about a
        SERVFAIL, and takes SERVFAIL for an answer.
        """
        if not self.upstreams:
            return [Outcome(DnsStatus.UNREACHABLE, detail=self._problem)] * len(questions)
        turn = self.in_order()
        first = turn[0]
        replies = await first.exchange(questions, budget, checking_disabled=checking_disabled)
        outcomes = [outcome_of(reply, first.text) for reply in replies]
        for outcome in outcomes:
            if outcome.unfinished or outcome.status not in SETTLED_STATUSES:
                break
        else:
            return outcomes  # as for most names
        schedule = RetrySchedule(
            questions,
            outcomes,
            budget,
            self.upstreams,
            turn,
            order=self.in_order,
            rounds=self._rounds,
            jitter=random.uniform,
            explaining=explaining,
        )
        await self._ask_again(schedule, budget, checking_disabled)
        outcomes = schedule.outcomes
        if follow:
            for number, outcome in enumerate(outcomes):
                if outcome.unfinished:
                    outcomes[number] = await self._follow(outcome, questions[number], budget)
        return outcomes

    async def _ask_again(self, schedule: RetrySchedule, budget: QueryBudget, checking_disabled: bool) -> None:
        """Make the tries of ``schedule``."""
        while (step := schedule.next_step(self._now())) is not None:
            if isinstance(step, float):
                await trio.sleep(step)
                budget.left -= step
            else:
                self.second_tries += len(step.questions)
                await self._try(schedule, step, budget, checking_disabled)
        last = schedule.last_request()
        if last is not None and await last.upstream.last_tries.take(wait=budget.unhurried):
            try:
                await self._try(schedule, last, budget, checking_disabled)
            finally:
                last.upstream.last_tries.release(answered=not schedule.unsettled)

    @staticmethod
    async def _try(schedule: RetrySchedule, request: Request, budget: QueryBudget, checking_disabled: bool) -> None:
        upstream = request.upstream
        replies = await upstream.exchange(
            request.questions,
            budget,
            checking_disabled=checking_disabled,
            over_tcp=request.over_tcp,
            patience=request.patience,
        )
        schedule.receive(upstream, [outcome_of(reply, upstream.text) for reply in replies])

    def doubt(self, answer: DnsAnswer, outcomes: Sequence[Outcome], budget: QueryBudget) -> str | None:
        """Return why a failure may not be the name's; ``None`` where it is, or where there is no failure."""
        if answer.status in SETTLED_STATUSES or answer.bogus or answer.loop:
            return None
        if any(outcome.explained for outcome in outcomes):
            return None
        if not self.upstreams:
            return self._problem
        states = [upstream.health.state for upstream in self.upstreams]
        if all(state is not None for state in states):
            return "; ".join(state.text for state in states if state is not None)
        if answer.status is DnsStatus.UNREACHABLE:
            return f"no resolver could be sent to{': ' + answer.detail if answer.detail else ''}"
        if budget.unhurried:
            return None
        if answer.status is DnsStatus.TIMEOUT and budget.crowded:
            return "it was asked among many names, and the resolver answered others"
        if answer.status in REFUSALS and (budget.crowded or any(upstream.flaky for upstream in self.upstreams)):
            return f"it was asked among many names, and {answer.status.value} may pass"
        return None

    def in_order(self) -> Sequence[Upstream]:
        """Return the resolvers that are not suspect, or else all, in the order of the configuration (or in turn, with ``rotate``)."""
        upstreams = self.upstreams
        if len(upstreams) < 2:
            return upstreams
        if self._rotate:
            self._turn = (self._turn + 1) % len(upstreams)
            upstreams = upstreams[self._turn :] + upstreams[: self._turn]
        sound = [upstream for upstream in upstreams if not upstream.health.suspect]
        return sound or upstreams
