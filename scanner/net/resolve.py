"""Names to addresses: every outcome told apart, nothing raised for what the network does.

``open_resolver`` gives a :class:`Resolver` for a run. Who is asked:

- ``--resolver`` given: those servers and nobody else. Their view is what the person wants to see, so the hosts file of
  this machine is left out as well.
- otherwise the hosts file first, then the servers of ``/etc/resolv.conf``. Where that names none, each name gets
  UNREACHABLE with the reason; a public resolver is never asked on its own initiative, because names are often private.

Names are absolute: search domains are not applied. ``localhost`` and names below it are loopback (RFC 6761 section 6.3)
and are sent to nobody unless a resolver was given.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import trio

from scanner.evidence import DnsAnswer, DnsStatus
from scanner.net import dns_cache, dns_config, dns_outcome, dns_wire, loopback
from scanner.net.dns_cache import SharedAnswers
from scanner.net.dns_config import ResolverConfigError, Server
from scanner.net.dns_names import NameNotEncodable
from scanner.net.dns_outcome import Outcome
from scanner.net.dns_records import CaaAnswer, TlsaAnswer, caa_set_untrusted, tlsa_set_untrusted
from scanner.net.dns_transport import Network, SystemNetwork
from scanner.net.dns_upstream import Budget, Reply, Upstream, UpstreamStatistics, in_order
from scanner.net.dns_wire import Question
from scanner.records import dataclass

__all__ = [
    "CaaAnswer",
    "Resolver",
    "ResolverConfigError",
    "ResolverStatistics",
    "TlsaAnswer",
    "UpstreamStatistics",
    "open_resolver",
]

# Seconds for one try. A resolver that has to walk from the root answers within two nearly always; what takes longer is
# mostly a name whose servers are dead, and for that there is the next try.
DEFAULT_TIMEOUT: Final = 3.0
# Seconds of asking for one name, whatever the number of servers, retries and CNAMEs.
DEFAULT_PATIENCE: Final = 12.0
# Jittered pause before everybody is asked again: half to one and a half of this, doubled each round.
BACKOFF: Final = 0.25
# Where one family has addresses, how often the other is still asked again: firewalls that drop one type are common,
# and nobody waits for the rest of the schedule then.
LATE_FAMILY_TRIES: Final = 1

_Begun = tuple[Sequence[Upstream], list[Reply]]  # who is asked in which order, and what the first of them replied


@dataclass(frozen=True, slots=True)
class ResolverStatistics:
    """What was asked so far."""

    names: int  # resolutions asked for
    from_hosts: int
    from_cache: int
    shared: int  # waited for the same question of somebody else
    second_tries: int  # questions asked again, of another server or after a pause
    in_flight: int
    peak_in_flight: int
    cache_entries: int
    upstreams: tuple[UpstreamStatistics, ...]


class Resolver:
    """Made by :func:`open_resolver`."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        hosts: dns_config.Hosts | None,
        retries: int,
        patience: float,
        rotate: bool = False,
        problem: str | None = None,
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._hosts = hosts
        self._rounds = retries + 1
        self._patience = patience
        self._rotate = rotate
        self._problem = problem or "no resolver is configured"
        self._turn = 0
        self._now = trio.lowlevel.current_clock().current_time
        self._answers = SharedAnswers(now=self._now, size=dns_outcome.bytes_of)
        self._names = self._from_hosts = self._second_tries = 0
        self._single: dict[str, Resolver] = {}

    def statistics(self) -> ResolverStatistics:
        """Counters up to now, as an immutable record."""
        now = self._now()
        return ResolverStatistics(
            names=self._names,
            from_hosts=self._from_hosts,
            from_cache=self._answers.from_cache,
            shared=self._answers.shared,
            second_tries=self._second_tries,
            in_flight=self._answers.in_flight,
            peak_in_flight=self._answers.peak_in_flight,
            cache_entries=self._answers.entries,
            upstreams=tuple(upstream.statistics(now) for upstream in self._upstreams),
        )

    # --- addresses -----------------------------------------------------------------------------

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        """The addresses of ``name`` (an A-label name), or why there are none. ``duration`` is that of the asking, cached or not."""
        if not (ipv4 or ipv6):
            raise ValueError("resolve() needs at least one address family")
        self._names += 1
        name = name.removesuffix(".").lower()
        if self._hosts is not None:
            local = self._local(self._hosts, name, ipv4, ipv6)
            if local is not None:
                self._from_hosts += 1
                return local
        types = dns_wire.ADDRESSES if ipv4 and ipv6 else (dns_wire.A,) if ipv4 else (dns_wire.AAAA,)
        answer = await self._answers.once((name, types), self._resolve, name, types)
        if not answer.addresses and loopback.is_localhost(name):
            return loopback.localhost(ipv4, ipv6)
        return answer

    @staticmethod
    def _local(hosts: dns_config.Hosts, name: str, ipv4: bool, ipv6: bool) -> DnsAnswer | None:
        """What can be said without asking: the hosts file, and loopback."""
        if name in hosts.addresses:
            addresses = hosts.look_up(name, ipv4=ipv4, ipv6=ipv6)
            if addresses:
                return DnsAnswer(DnsStatus.NOERROR, addresses, source="hosts")
        return loopback.localhost(ipv4, ipv6) if loopback.is_localhost(name) else None

    async def _resolve(self, name: str, types: tuple[int, ...]) -> tuple[DnsAnswer, float | None]:
        started = self._now()
        try:
            questions = _questions(name, types) if "\\" in name else dns_wire.questions_for(name, types)
        except NameNotEncodable as error:
            # No question can carry it, so no server was asked; a server would have to answer FORMERR.
            return DnsAnswer(DnsStatus.FORMERR, detail=str(error)), dns_cache.MAX_SECONDS
        budget = Budget(self._patience)
        begun: _Begun | None = None
        if self._upstreams:
            order = self._in_order() if len(self._upstreams) > 1 else self._upstreams
            replies = await order[0].exchange(questions, budget)
            found = dns_outcome.at_once(replies, order[0].text, self._now() - started)
            if found is not None:
                return found
            begun = order, replies
        outcomes = await self._look_up(questions, budget, begun=begun)
        answer = dns_outcome.combined(outcomes, self._now() - started)
        if answer.status is DnsStatus.SERVFAIL and not any(outcome.explained or outcome.loop for outcome in outcomes):
            answer, outcomes = await self._explain(answer, outcomes, questions, budget)
            answer = replace(answer, duration=self._now() - started)
        return answer, dns_outcome.time_to_live(outcomes)

    async def _look_up(
        self, questions: Sequence[Question], budget: Budget, *, explaining: bool = False, begun: _Begun | None = None
    ) -> list[Outcome]:
        """Ask, and ask on where an answer stops at a CNAME."""
        outcomes = await self._ask(questions, budget, explaining=explaining, begun=begun)
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
                following = _questions(outcome.cname[-1], (question.rdtype,))
            except NameNotEncodable as error:
                return dns_outcome.given_up(outcome, f"the CNAME's target: {error}")
            [rest] = await self._ask(following, budget)
            outcome = dns_outcome.continued(outcome, rest, question.name)
            if not rest.cname:
                break  # the name itself was asked for and has nothing: the chain ends here
        return replace(outcome, unfinished=False)

    async def _explain(
        self, answer: DnsAnswer, outcomes: list[Outcome], questions: tuple[Question, ...], budget: Budget
    ) -> tuple[DnsAnswer, list[Outcome]]:
        """SERVFAIL says nothing by itself: find out whether DNSSEC, a CNAME loop or a name further down is behind it."""
        if any(code in dns_outcome.DNSSEC_ERRORS for code, _text in answer.extended_errors):
            return replace(answer, bogus=True), outcomes
        failed = next(i for i, outcome in enumerate(outcomes) if outcome.status is DnsStatus.SERVFAIL)
        # Where the chain was followed by us, it is its last name that failed.
        last = outcomes[failed].cname[-1:] or (questions[failed].name,)
        [unchecked] = await self._ask(
            _questions(last[0], (questions[failed].rdtype,)), budget, checking_disabled=True, explaining=True
        )
        if unchecked.settled:
            # It may just have gone away: bogus only if it fails again with checking.
            again = await self._look_up(questions, budget, explaining=True)
            confirmed = dns_outcome.combined(again)
            if confirmed.status is DnsStatus.SERVFAIL:
                return replace(confirmed, bogus=True), again
            return confirmed, again
        chain, loop, detail = await self._walk(questions[0].name, budget)
        if len(chain) < len(answer.cname) and not loop:
            return answer, outcomes
        return replace(answer, cname=chain, loop=loop, detail=answer.detail or detail), outcomes

    async def _walk(self, name: str, budget: Budget) -> tuple[tuple[str, ...], bool, str | None]:
        """Ask for the CNAMEs one by one: resolvers answer a loop with SERVFAIL, but each of its links for itself."""
        chain: list[str] = []
        while len(chain) < dns_wire.MAX_CHAIN:
            try:
                questions = _questions(chain[-1] if chain else name, (dns_wire.CNAME,))
            except NameNotEncodable:
                break
            [outcome] = await self._ask(questions, budget, explaining=True)
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

    def others(self, than: str | None) -> Iterator[tuple[str, Resolver]]:
        """For each server but ``than`` (as ``DnsAnswer.resolver`` names it) one that asks it alone."""
        for upstream in self._upstreams:
            if upstream.text != than:
                if upstream.text not in self._single:
                    alone = Resolver([upstream], hosts=None, retries=0, patience=self._patience)
                    self._single[upstream.text] = alone
                yield upstream.text, self._single[upstream.text]

    # --- other types ---------------------------------------------------------------------------

    async def caa(self, name: str) -> CaaAnswer:
        """The CAA set that holds for ``name``: its own, or that of the nearest ancestor that has one (RFC 8659 section 3)."""
        labels = name.removesuffix(".").lower().split(".")
        if labels[0] == "*":
            del labels[0]  # section 3: the set of a wildcard is that of the domain below the asterisk
        for start in range(len(labels)):
            owner = ".".join(labels[start:])
            outcome = await self._records(owner, dns_wire.CAA)
            if not outcome.settled:
                return CaaAnswer(None, None)
            if outcome.records:
                return CaaAnswer(caa_set_untrusted(outcome.records), owner)
        return CaaAnswer((), None)

    async def tlsa(self, port: int, transport: str, name: str) -> TlsaAnswer:
        """The TLSA records of a service, as at ``_443._tcp.name`` (RFC 6698 section 3)."""
        owner = f"_{port}._{transport}.{name.removesuffix('.').lower()}"
        outcome = await self._records(owner, dns_wire.TLSA)
        if not outcome.settled:
            return TlsaAnswer(None, False)
        return TlsaAnswer(tlsa_set_untrusted(outcome.records), outcome.authenticated)

    async def _records(self, name: str, rdtype: int) -> Outcome:
        """Records of another type; ancestors are shared by many names, so they are cached like addresses."""
        return await self._answers.once((name, (rdtype,)), lambda: self._find_records(name, rdtype))

    async def _find_records(self, name: str, rdtype: int) -> tuple[Outcome, float | None]:
        try:
            questions = _questions(name, (rdtype,))
        except NameNotEncodable as error:
            return Outcome(DnsStatus.FORMERR, detail=str(error)), dns_cache.MAX_SECONDS
        [outcome] = await self._look_up(questions, Budget(self._patience))
        return outcome, dns_outcome.time_to_live([outcome])

    # --- asking --------------------------------------------------------------------------------

    async def _ask(
        self,
        questions: Sequence[Question],
        budget: Budget,
        *,
        checking_disabled: bool = False,
        explaining: bool = False,
        begun: _Begun | None = None,
    ) -> list[Outcome]:
        """Ask until each question is settled, the schedule is through or the budget is spent; the most telling outcome of each.

        ``explaining`` takes SERVFAIL for an answer: it has been asked about often enough by then. ``begun`` is what the
        first try brought, where that was made already.
        """
        best: list[Outcome | None] = [None] * len(questions)
        open_ = list(range(len(questions)))
        first = True
        late_tries = 0
        for round_ in range(self._rounds):
            if round_:
                now = self._now()
                if all(upstream.health.down(now) for upstream in self._upstreams):
                    break  # nobody answered anything lately: one try was enough to see that it is not over
                pause = min(BACKOFF * 2 ** (round_ - 1) * random.uniform(0.5, 1.5), max(budget.left, 0.0))
                await trio.sleep(pause)
                budget.left -= pause
            for upstream in self._in_order() if begun is None else begun[0]:
                if not first:
                    if budget.spent:
                        break
                    if any(outcome is not None and outcome.addresses for outcome in best):
                        if late_tries == LATE_FAMILY_TRIES:
                            return dns_outcome.complete(best)
                        late_tries += 1
                    self._second_tries += len(open_)
                first = False
                if begun is not None:
                    replies, begun = begun[1], None
                else:
                    asked = [questions[i] for i in open_]
                    replies = await upstream.exchange(asked, budget, checking_disabled=checking_disabled)
                remaining = []
                for index, reply in zip(open_, replies, strict=True):
                    outcome = dns_outcome.outcome_of(reply, upstream.text)
                    if outcome.more_telling_than(best[index]):
                        best[index] = outcome
                    if not (outcome.settled or (explaining and outcome.status is DnsStatus.SERVFAIL)):
                        remaining.append(index)
                if not remaining:
                    return dns_outcome.complete(best)
                open_ = remaining
        return dns_outcome.complete(best, self._problem)

    def _in_order(self) -> Sequence[Upstream]:
        """Those that answer lately, in the order of the configuration (or in turn); then the others, longest quiet first."""
        upstreams = self._upstreams
        if len(upstreams) < 2:
            return upstreams
        if self._rotate:
            self._turn = (self._turn + 1) % len(upstreams)
            upstreams = upstreams[self._turn :] + upstreams[: self._turn]
        return in_order(upstreams, self._now())


def _questions(name: str, types: tuple[int, ...]) -> tuple[Question, ...]:
    if "\\" not in name:
        return dns_wire.questions_for(name, types)
    from scanner.net import dns_codec  # escapes come from it only, as targets of CNAMEs with odd octets

    return dns_codec.escaped_questions(name, types)


@asynccontextmanager
async def open_resolver(
    *,
    servers: Sequence[str] | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    patience: float = DEFAULT_PATIENCE,
    network: Network | None = None,
    system: dns_config.SystemResolvers | None = None,
    hosts: dns_config.Hosts | None = None,
) -> AsyncIterator[Resolver]:
    """A resolver for the length of the block; its sockets are closed at the end.

    ``servers`` are ``--resolver`` values (``ADDR``, ``ADDR:PORT``, ``[V6]:PORT``), ``None`` for the system's own.
    ``timeout`` is seconds for one try of one server and ``retries`` is further rounds through all of them; ``None`` takes
    the system's ``options`` where it has any. ``patience`` bounds the seconds of asking for one name.
    ``network``, ``system`` and ``hosts`` replace the machine's. Raises :class:`ResolverConfigError`.
    """
    given: tuple[Server, ...] | None = None if servers is None else dns_config.parse_servers(servers)
    if given is not None:
        configuration = dns_config.SystemResolvers(given, DEFAULT_TIMEOUT)
        hosts = None
    else:
        configuration = dns_config.read_resolv_conf() if system is None else system
        hosts = dns_config.read_hosts() if hosts is None else hosts
    seconds = configuration.timeout if timeout is None else timeout
    rounds = configuration.attempts - 1 if retries is None else retries
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        resolver = Resolver(
            [
                Upstream(server, network or SystemNetwork(), nursery, timeout=seconds, tcp_only=configuration.tcp_only)
                for server in configuration.servers
            ],
            hosts=hosts,
            retries=rounds,
            patience=patience,
            rotate=configuration.rotate,
            problem=configuration.problem,
        )
        try:
            yield resolver
        except Exception as error:  # noqa: BLE001 - raised again below; the nursery would wrap it into a group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
