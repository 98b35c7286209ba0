"""The schedule by which questions are asked again: which resolver is next, for how long, after which pause, and when to stop.

The problem. A question may be lost, refused because the resolver is busy, or fail for good, and all of these look alike at first.
Asking too little blames names for what the resolver did; asking too much takes minutes for a dead name, and hits resolvers hardest
while they are overloaded.

The design. A name is asked for in rounds. Each round tries every resolver once, in the order of the configuration; between two
rounds is a pause with jitter, doubled each time; all of it is bounded by the seconds of a ``QueryBudget``. What departs from that:

- A question that is settled is asked no more, while the other one of the pair goes on. Where one family has addresses, the other
  one is tried only once more: firewalls that drop AAAA are common.
- A resolver whose REFUSED and SERVFAIL have passed before when the question was asked again (``Upstream.flaky``) gets more rounds.
- If every resolver is known to be down, and that was waited for long enough, the schedule ends.
- What UDP brought nothing for is asked once more over TCP: a middlebox may drop one of the two only.

``RetrySchedule`` is this as a step object, in the manner of dnspython's ``dns.resolver._Resolution``: it awaits nothing, and takes time
and randomness from outside. The loop around it is ``UpstreamGroup.ask``, which makes the first try itself: most names need no other,
and a schedule for each of them was 4 of 44 us that a name costs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from scanner.model.evidence import DnsStatus
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.outcomes import Outcome
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.upstream import Upstream

# Seconds of the pause before the second round, times half to one and a half at random; doubled each round.
BACKOFF: Final = 0.25
LAST_BACKOFF: Final = 3  # times that it is doubled at most
# How often the other family is asked again where one has addresses.
LATE_FAMILY_TRIES: Final = 1
# Rounds for a resolver whose REFUSED and SERVFAIL pass: one that fails half of all questions fails one name of 4,096 so often.
FLAKY_ROUNDS: Final = 12
# Rounds of an unhurried resolution at least; each waits a timeout longer than the one before.
UNHURRIED_ROUNDS: Final = 2

REFUSALS: Final = (DnsStatus.REFUSED, DnsStatus.SERVFAIL)


class Request(Struct):
    """One exchange to make. ``patience`` multiplies the seconds of the try."""

    upstream: Upstream
    questions: list[DnsQuestion]
    patience: float = 1.0
    over_tcp: bool = False


class RetrySchedule:
    """The tries after the first one, which brought ``outcomes`` for ``questions`` from the first resolver of ``turn``.

    ``turn`` are the resolvers of the first round, ``order`` returns those of a later one, ``upstreams`` are all. ``rounds`` is how
    many rounds there are, the first one included. ``jitter`` returns a random number between two others. With ``explaining`` SERVFAIL
    settles a question: it was asked often enough by then.
    """

    def __init__(
        self,
        questions: Sequence[DnsQuestion],
        outcomes: Sequence[Outcome],
        budget: QueryBudget,
        upstreams: Sequence[Upstream],
        turn: Sequence[Upstream],
        *,
        order: Callable[[], Sequence[Upstream]],
        rounds: int,
        jitter: Callable[[float, float], float],
        explaining: bool = False,
    ) -> None:
        self._questions = questions
        self._budget = budget
        self._upstreams = upstreams
        self._turn = turn
        self._place = 1  # in ``_turn``, of the next resolver
        self._order = order
        self._round = 0
        self._rounds = max(rounds, UNHURRIED_ROUNDS) if budget.unhurried else rounds
        self._jitter = jitter
        self._explaining = explaining
        self._failures: dict[tuple[int, Upstream], tuple[DnsStatus, int]] = {}
        self._late_tries = 0
        self.outcomes = list(outcomes)  # the best of each question so far
        self.unsettled = list(range(len(questions)))  # numbers of the questions to be asked on
        self.receive(turn[0], outcomes)

    def next_step(self, now: float) -> Request | float | None:
        """Return the next request, or the seconds of a pause before it, or ``None`` at the end of the schedule."""
        if not self.unsettled or self._budget.left <= 0:
            return None
        if self._place == len(self._turn):
            return self._end_round(now)
        if self._place == 0:  # after a pause, in which resolvers may have come back or gone
            self._turn = self._order()
        if self._has_addresses():
            if self._late_tries == LATE_FAMILY_TRIES:
                return None
            self._late_tries += 1
        upstream = self._turn[self._place]
        self._place += 1
        patience = 1.0 + self._round if self._budget.unhurried else 1.0
        return Request(upstream, [self._questions[number] for number in self.unsettled], patience)

    def _end_round(self, now: float) -> float | None:
        """Return the seconds until the next round; ``None`` where this was the last one."""
        self._round += 1
        if self._round == self._rounds and self._rounds < FLAKY_ROUNDS and self._refusals_may_pass():
            self._rounds += 1
        if self._round >= self._rounds or all(upstream.health.patience(now) <= 0.0 for upstream in self._upstreams):
            return None
        self._place = 0
        pause: float = BACKOFF * 2 ** min(self._round - 1, LAST_BACKOFF) * self._jitter(0.5, 1.5)
        return min(pause, max(self._budget.left, 0.0))

    def _refusals_may_pass(self) -> bool:
        """Return True if all that is left was refused, by resolvers that answer the next time what they refused before."""
        return any(upstream.flaky for upstream in self._upstreams) and all(
            self.outcomes[number].status in REFUSALS for number in self.unsettled
        )

    def _has_addresses(self) -> bool:
        return any(outcome.addresses for outcome in self.outcomes)

    def last_request(self) -> Request | None:
        """Return the request over TCP after the last round, for questions that met only silence; ``None`` where there is none."""
        first = self._turn[0]
        if self._budget.left <= 0 or self._has_addresses() or first.health.state is not None:
            return None
        silent = [number for number in self.unsettled if self.outcomes[number].status is DnsStatus.TIMEOUT]
        if not silent:
            return None
        self.unsettled = silent
        return Request(first, [self._questions[number] for number in silent], over_tcp=True)

    def receive(self, upstream: Upstream, outcomes: Sequence[Outcome]) -> None:
        """Take what the latest request brought; keep what says most, and note failures of ``upstream`` that have passed."""
        unsettled = []
        for number, outcome in zip(self.unsettled, outcomes, strict=True):
            if outcome.outranks(self.outcomes[number]):
                self.outcomes[number] = outcome
            if outcome.settled:
                failure = self._failures.pop((number, upstream), None)
                if failure is not None:
                    upstream.passed_on_retry(*failure)
                continue
            self._failures[number, upstream] = outcome.status, self._budget.mark
            if not (self._explaining and outcome.status is DnsStatus.SERVFAIL):
                unsettled.append(number)
        self.unsettled = unsettled
