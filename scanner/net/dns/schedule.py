"""Who is asked about a question, in which order, how often and after which pauses; and whether a failure is the name's.

All tries pass the pace of their resolver (:mod:`scanner.net.dns.pace`), the repeated ones like the first. What UDP brought
nothing for is asked once more over TCP.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

import trio
from msgspec.structs import replace

from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns import message_wire as dns_wire
from scanner.net.dns import outcomes as dns_outcome
from scanner.net.dns.health import ResolverState
from scanner.net.dns.message_wire import Question
from scanner.net.dns.outcomes import Outcome
from scanner.net.dns.query_budget import Budget
from scanner.net.dns.upstream import Reply, Upstream
from scanner.net.dns.wire_names import NameNotEncodable

# Jittered pause before everybody is asked again: half to one and a half of this, doubled each round.
BACKOFF: Final = 0.25
LAST_BACKOFF: Final = 3  # times that it is doubled at most
# Where one family has addresses, how often the other is still asked again: firewalls that drop one type are common,
# and nobody waits for the rest of the schedule then.
LATE_FAMILY_TRIES: Final = 1
# Rounds for a resolver whose REFUSED and SERVFAIL pass: one that fails half of all questions fails one name of 4,096 so often.
FLAKY_ROUNDS: Final = 12
# Where nobody is in a hurry: rounds at least; each waits a timeout longer than the one before.
UNHURRIED_ROUNDS: Final = 2

_NOTHING: Final = Outcome(DnsStatus.UNREACHABLE)
_REFUSALS: Final = (DnsStatus.REFUSED, DnsStatus.SERVFAIL)
Begun = tuple[Sequence[Upstream], list[Reply]]  # who is asked in which order, and what the first of them replied


def questions_for(name: str, types: tuple[int, ...]) -> tuple[Question, ...]:
    """The questions about ``name``, which may have escapes; raises ``NameNotEncodable``."""
    if "\\" not in name:
        return dns_wire.questions_for(name, types)
    from scanner.net.dns import (
        dnspython_codec as dns_codec,  # escapes come from it only, as targets of CNAMEs with odd octets
    )

    return dns_codec.escaped_questions(name, types)


class Asker:
    """The resolvers of a run. ``rounds`` is how often all of them are tried, ``problem`` why there are none."""

    def __init__(self, upstreams: Sequence[Upstream], *, rounds: int, rotate: bool = False, problem: str) -> None:
        self.upstreams = tuple(upstreams)
        self.second_tries = 0  # questions asked again
        self._rounds = rounds
        self._rotate = rotate
        self._problem = problem
        self._turn = 0
        self._now = trio.lowlevel.current_clock().current_time

    def watch(self, on_state: Callable[[ResolverState], None] | None) -> None:
        """Have ``on_state`` called for each resolver, and names go to those that answer."""
        for upstream in self.upstreams:
            upstream.on_state = on_state
            upstream.on_change = self._move_on

    def _move_on(self) -> None:
        """Names that wait for a resolver wait no longer while another one answers."""
        suspect = [upstream for upstream in self.upstreams if upstream.health.suspect]
        if 0 < len(suspect) < len(self.upstreams):
            for upstream in suspect:
                upstream.release()

    async def look_up(
        self, questions: Sequence[Question], budget: Budget, *, explaining: bool = False, begun: Begun | None = None
    ) -> list[Outcome]:
        """Ask, and ask on where an answer stops at a CNAME."""
        outcomes = await self.ask(questions, budget, explaining=explaining, begun=begun)
        for index, outcome in enumerate(outcomes):
            if outcome.unfinished:
                outcomes[index] = await self._follow(outcome, questions[index], budget)
        return outcomes

    async def _follow(self, outcome: Outcome, question: Question, budget: Budget) -> Outcome:
        """Ask on at the end of a chain that the server did not follow."""
        while outcome.unfinished:
            if len(outcome.cname) >= dns_wire.MAX_CHAIN:
                return dns_outcome.given_up(outcome, f"a chain of {len(outcome.cname)} CNAMEs or more")
            try:
                following = questions_for(outcome.cname[-1], (question.rdtype,))
            except NameNotEncodable as error:
                return dns_outcome.given_up(outcome, f"the CNAME's target: {error}")
            [rest] = await self.ask(following, budget)
            outcome = dns_outcome.continued(outcome, rest, question.name)
            if not rest.cname:
                break  # the name itself was asked for and has nothing: the chain ends here
        return replace(outcome, unfinished=False)

    async def ask(
        self,
        questions: Sequence[Question],
        budget: Budget,
        *,
        checking_disabled: bool = False,
        explaining: bool = False,
        begun: Begun | None = None,
    ) -> list[Outcome]:
        """Ask until each question is settled, the schedule is through or the budget is spent; the most telling outcome of each.

        ``explaining`` takes SERVFAIL for an answer: it has been asked about often enough by then. ``begun`` is what the
        first try brought, where that was made already.
        """
        best: list[Outcome | None] = [None] * len(questions)
        open_ = list(range(len(questions)))
        failures: dict[tuple[int, Upstream], tuple[DnsStatus, int]] = {}
        late_tries = 0

        def sort_out(upstream: Upstream, replies: Sequence[Reply]) -> None:
            """Keep what is best, and leave in ``open_`` what is to be asked on."""
            nonlocal open_
            remaining = []
            for index, reply in zip(open_, replies, strict=True):
                outcome = dns_outcome.outcome_of(reply, upstream.text)
                if outcome.more_telling_than(best[index]):
                    best[index] = outcome
                if outcome.settled:
                    if (index, upstream) in failures:
                        upstream.passed_on_retry(*failures[index, upstream])
                else:
                    failures[index, upstream] = outcome.status, budget.mark
                    if not (explaining and outcome.status is DnsStatus.SERVFAIL):
                        remaining.append(index)
            open_ = remaining

        rounds = max(self._rounds, UNHURRIED_ROUNDS) if budget.unhurried else self._rounds
        round_ = 0
        order = self.in_order() if begun is None else begun[0]
        while round_ < rounds:
            if round_:
                now = self._now()
                if all(upstream.health.patience(now) <= 0.0 for upstream in self.upstreams):
                    break  # nobody answers anybody, and that has been waited for
                pause = BACKOFF * 2 ** min(round_ - 1, LAST_BACKOFF) * random.uniform(0.5, 1.5)
                pause = min(pause, max(budget.left, 0.0))
                await trio.sleep(pause)
                budget.left -= pause
                order = self.in_order()
            for upstream in order:
                if begun is not None:
                    replies, begun = begun[1], None
                else:
                    if round_ or upstream is not order[0]:
                        if budget.spent:
                            break
                        if any(outcome is not None and outcome.addresses for outcome in best):
                            if late_tries == LATE_FAMILY_TRIES:
                                return dns_outcome.complete(best)
                            late_tries += 1
                        self.second_tries += len(open_)
                    replies = await upstream.exchange(
                        [questions[i] for i in open_],
                        budget,
                        checking_disabled=checking_disabled,
                        patience=1.0 + round_ if budget.unhurried else 1.0,
                    )
                sort_out(upstream, replies)
                if not open_:
                    return dns_outcome.complete(best)
            round_ += 1
            if round_ == rounds and rounds < FLAKY_ROUNDS and self._worth_more(best, open_):
                rounds += 1
        found = any(outcome is not None and outcome.addresses for outcome in best)
        if order and not found and not budget.spent and order[0].health.state is None:
            upstream = order[0]
            silent = [i for i in open_ if (best[i] or _NOTHING).status is DnsStatus.TIMEOUT]
            if silent and await upstream.last_tries.take(wait=budget.unhurried):
                try:
                    open_ = silent
                    asked = [questions[i] for i in silent]
                    replies = await upstream.exchange(asked, budget, checking_disabled=checking_disabled, over_tcp=True)
                    sort_out(upstream, replies)
                finally:
                    upstream.last_tries.ended(answered=not open_)
        return dns_outcome.complete(best, self._problem)

    def _worth_more(self, best: Sequence[Outcome | None], open_: Sequence[int]) -> bool:
        """Whether the resolvers fail what they answer the next time, as what is left in ``open_`` was failed."""
        return any(upstream.flaky for upstream in self.upstreams) and all(
            (best[i] or _NOTHING).status in _REFUSALS for i in open_
        )

    def doubt(self, answer: DnsAnswer, outcomes: Sequence[Outcome], budget: Budget) -> str | None:
        """Why a failure may not be the name's; ``None`` where it is, or where there is no failure."""
        if answer.status in dns_outcome.SETTLED or answer.bogus or answer.loop:
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
        if answer.status in _REFUSALS and (budget.crowded or any(upstream.flaky for upstream in self.upstreams)):
            return f"it was asked among many names, and {answer.status.value} may pass"
        return None

    def in_order(self) -> Sequence[Upstream]:
        """Those that answer lately, in the order of the configuration (or in turn); then the others, longest quiet first."""
        upstreams = self.upstreams
        if len(upstreams) < 2:
            return upstreams
        if self._rotate:
            self._turn = (self._turn + 1) % len(upstreams)
            upstreams = upstreams[self._turn :] + upstreams[: self._turn]
        sound = [upstream for upstream in upstreams if not upstream.health.suspect]
        return sound or upstreams
