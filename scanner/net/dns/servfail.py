"""Explains SERVFAIL: by DNSSEC, a CNAME loop, a broken name further down the chain, or as something that passed.

A resolver that fails at random fails with checking and answers without it often enough, and it remembers failures for some
seconds: unbound 5, BIND 1, for questions with and without checking apart. So DNSSEC is blamed only where a contrast is
without exception, in several pairs of questions and in two series further apart than that memory. At a resolver that fails
half of all questions, this goes wrong for one name of 200,000.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio
from msgspec.structs import replace

from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.outcomes import DNSSEC_ERRORS, Outcome, merge_families
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.upstream_group import UpstreamGroup, questions_for
from scanner.net.dns.wire_names import NameNotEncodable

# Pairs of questions, one without checking and one with it, in each series.
PAIRS: Final = 4
SERIES: Final = 2
# Seconds between two series: longer than unbound (5) and BIND (1) remember a failure by default.
SERIES_PAUSE: Final = 6.0

_Explained = tuple[DnsAnswer, Sequence[Outcome]]


async def explain(
    group: UpstreamGroup,
    answer: DnsAnswer,
    outcomes: Sequence[Outcome],
    questions: Sequence[DnsQuestion],
    budget: QueryBudget,
) -> _Explained:
    """Return the explained answer: still SERVFAIL, bogus, a loop, or an answer after all. ``budget`` is for this alone."""
    if any(code in DNSSEC_ERRORS for code, _text in answer.extended_errors):
        return replace(answer, bogus=True), outcomes
    failed = next(i for i, outcome in enumerate(outcomes) if outcome.status is DnsStatus.SERVFAIL)
    # Where the chain was followed by us, it is its last name that failed.
    last = outcomes[failed].cname[-1:] or (questions[failed].name,)
    unchecked = questions_for(last[0], (questions[failed].rdtype,))
    confirmed, again = answer, outcomes
    for series in range(SERIES):
        if series:
            await trio.sleep(SERIES_PAUSE)
        for pair in range(PAIRS):
            [without] = await group.ask(unchecked, budget, follow=False, checking_disabled=True, explaining=True)
            if not without.settled:
                if series or pair:
                    return answer, outcomes
                return await _with_chain(group, answer, outcomes, questions[0].name, budget)
            again = await group.ask(questions, budget, explaining=True)
            confirmed = merge_families(again)
            if confirmed.status is not DnsStatus.SERVFAIL:
                return confirmed, again
    return replace(confirmed, bogus=True), again


async def _with_chain(
    group: UpstreamGroup, answer: DnsAnswer, outcomes: Sequence[Outcome], name: str, budget: QueryBudget
) -> _Explained:
    chain, loop, detail = await _walk_chain(group, name, budget)
    if len(chain) < len(answer.cname) and not loop:
        return answer, outcomes
    return replace(answer, cname=chain, loop=loop, detail=answer.detail or detail), outcomes


async def _walk_chain(group: UpstreamGroup, name: str, budget: QueryBudget) -> tuple[tuple[str, ...], bool, str | None]:
    """Return the CNAMEs, whether they loop, and what is wrong at the end; resolvers answer a loop's links one by one."""
    chain: list[str] = []
    while len(chain) < message_wire.MAX_CHAIN:
        try:
            questions = questions_for(chain[-1] if chain else name, (message_wire.CNAME,))
        except NameNotEncodable:
            break
        [outcome] = await group.ask(questions, budget, follow=False, explaining=True)
        if not outcome.cname:
            if not chain:
                return (), False, None
            return tuple(chain), False, f"the chain leads to {chain[-1]}, which cannot be resolved"
        target = outcome.cname[0]
        loop = target == name or target in chain
        chain.append(target)
        if loop:
            return tuple(chain), True, None
    return tuple(chain), False, f"a chain of {len(chain)} CNAMEs or more"
