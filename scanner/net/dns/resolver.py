"""Names to addresses: a stub resolver that tells every outcome apart and raises nothing for what the network does.

The problem. A scan asks for tens of thousands of names at once, and each failure becomes a finding about its name. So what is the
resolver's doing (overload, an outage, packets lost on the way) must not look like the name's, and what it costs counts: the
resolver of the C library has one blocking call for a name and one word for all failures, and dnspython's codec alone takes 261 us.

The design, from the outside in, one module each:

- ``resolver`` (here): the hosts file, the cache of answers (``answer_cache``), CAA and TLSA.
- ``upstream_group``: the resolvers of the configuration; tries by ``retry_schedule``, merged by ``outcomes``; SERVFAIL by ``servfail``.
- ``upstream``: one resolver. ``pace`` decides when a question may leave, ``health`` and ``liveness`` whether it answers at all.
- ``udp_pool`` and ``udp_channel``: sockets, ids and matching as RFC 5452 asks; ``tcp_exchange`` where UDP does not do.
- ``message_wire``: the octets of the usual question and answer; ``dnspython_codec`` reads all others.

What was tried: dnspython for every message, which cost more than a TLS probe. What breaks if this is touched: names that fail only
because many are asked for at once show in no small test. ``tests/net/dns/test_resolver_crowd.py`` asks real resolvers for thousands.

Which servers are asked:

- With ``--resolver`` those servers only. Their view is what the person wants to see, so the hosts file of this machine is left
  out as well.
- Otherwise the hosts file first, then the servers of ``/etc/resolv.conf``. Where that names none, each name gets
  UNREACHABLE with the reason. A public resolver is never asked without being named, because names are often private.

Names are absolute: search domains are not applied. ``localhost`` and names below it are loopback (RFC 6761 section 6.3)
and are not asked for unless a resolver was given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.model.evidence import SETTLED_STATUSES, DnsAnswer, DnsStatus
from scanner.net.dns import answer_cache, loopback_names, message_wire, resolver_config
from scanner.net.dns.answer_cache import SharedAnswers
from scanner.net.dns.caa_tlsa import CaaAnswer, TlsaAnswer, caa_set_untrusted, tlsa_set_untrusted
from scanner.net.dns.health import ResolverState, Service
from scanner.net.dns.outcomes import Outcome, bytes_of, merge_families, time_to_live
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.resolver_config import ResolverConfigError, Server
from scanner.net.dns.servfail import explain
from scanner.net.dns.transport import Network, SystemNetwork
from scanner.net.dns.upstream import Upstream, UpstreamStatistics
from scanner.net.dns.upstream_group import UpstreamGroup, questions_for
from scanner.net.dns.wire_names import NameNotEncodable

__all__ = [
    "CaaAnswer",
    "Resolver",
    "ResolverConfigError",
    "ResolverState",
    "ResolverStatistics",
    "Service",
    "TlsaAnswer",
    "UpstreamStatistics",
    "open_resolver",
]

# Seconds for one try. A resolver that has to walk from the root answers within two nearly always; what takes longer is
# mostly a name whose servers are dead, and for that there is the next try.
DEFAULT_TIMEOUT: Final = 3.0
# Seconds of asking for one name, whatever the number of servers, retries and CNAMEs.
DEFAULT_PATIENCE: Final = 12.0
# For unhurried names: the factor of the patience, names asked for at once, and seconds between two of them. A silent name
# loads no resolver, so there may be more than a few; together they stay far below the 150 questions of dnsmasq and systemd-resolved.
UNHURRIED_PATIENCE: Final = 2.0
UNHURRIED_LIMIT: Final = 32
UNHURRIED_INTERVAL: Final = 0.01


class ResolverStatistics(Struct, frozen=True):
    """Counts of what was asked so far."""

    names: int  # resolutions asked for
    from_hosts: int
    from_cache: int
    shared: int  # waited for a question that was in flight already
    second_tries: int  # questions asked again, of another server or after a pause
    in_flight: int
    peak_in_flight: int
    cache_entries: int
    upstreams: tuple[UpstreamStatistics, ...]


class AddressResolver(Protocol):
    """What most of the package asks of a :class:`Resolver`; tests give others."""

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        """Return the addresses of ``name``, or why there are none; raises nothing for what the network does."""


class Resolver:
    """Made by :func:`open_resolver`."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        hosts: resolver_config.Hosts | None,
        retries: int,
        patience: float,
        rotate: bool = False,
        problem: str | None = None,
    ) -> None:
        self._upstreams = tuple(upstreams)
        self._hosts = hosts
        self._patience = patience
        self._group = UpstreamGroup(
            upstreams, rounds=retries + 1, rotate=rotate, problem=problem or "no resolver is configured"
        )
        self._now = trio.lowlevel.current_clock().current_time
        self._answers = SharedAnswers(now=self._now, size=bytes_of)
        self._names = self._from_hosts = 0
        self._single: dict[str, Resolver] = {}
        self._slots = trio.Semaphore(UNHURRIED_LIMIT)
        self._next_unhurried = float("-inf")

    def statistics(self) -> ResolverStatistics:
        """Return the counts so far, as an immutable record."""
        return ResolverStatistics(
            names=self._names,
            from_hosts=self._from_hosts,
            from_cache=self._answers.from_cache,
            shared=self._answers.shared,
            second_tries=self._group.second_tries,
            in_flight=self._answers.in_flight,
            peak_in_flight=self._answers.peak_in_flight,
            cache_entries=self._answers.entries,
            upstreams=tuple(upstream.statistics() for upstream in self._upstreams),
        )

    # --- addresses -----------------------------------------------------------------------------

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        """Return the addresses of ``name`` (an A-label name), or why there are none. ``duration`` is that of the asking, cached or not.

        ``unhurried`` is for a name whose first answer left a doubt: few are asked for at a time, with longer patience. What fails
        then is the name's failure, unless no resolver answers anything.
        """
        if not (ipv4 or ipv6):
            raise ValueError("resolve() needs at least one address family")
        self._names += 1
        name = name.removesuffix(".").lower()
        if self._hosts is not None:
            local = self._local(self._hosts, name, ipv4, ipv6)
            if local is not None:
                self._from_hosts += 1
                return local
        types = message_wire.ADDRESSES if ipv4 and ipv6 else (message_wire.A,) if ipv4 else (message_wire.AAAA,)
        if unhurried and self._answers.kept((name, types)) is None:
            answer = await self._answers.once((name, types, "unhurried"), self._resolve_unhurried, name, types)
        else:
            answer = await self._answers.once((name, types), self._resolve, name, types)
        if not answer.addresses and loopback_names.is_localhost(name):
            return loopback_names.localhost(ipv4, ipv6)
        return answer

    @staticmethod
    def _local(hosts: resolver_config.Hosts, name: str, ipv4: bool, ipv6: bool) -> DnsAnswer | None:
        """Return the answer of the hosts file or for loopback names; ``None`` where a resolver has to be asked."""
        if name in hosts.addresses:
            addresses = hosts.look_up(name, ipv4=ipv4, ipv6=ipv6)
            if addresses:
                return DnsAnswer(DnsStatus.NOERROR, addresses, source="hosts")
        return loopback_names.localhost(ipv4, ipv6) if loopback_names.is_localhost(name) else None

    async def _resolve_unhurried(self, name: str, types: tuple[int, ...]) -> tuple[DnsAnswer, float | None]:
        async with self._slots:
            now = self._now()
            self._next_unhurried = max(now, self._next_unhurried + UNHURRIED_INTERVAL)
            await trio.sleep(self._next_unhurried - now)
            return await self._resolve(name, types, QueryBudget(UNHURRIED_PATIENCE * self._patience, unhurried=True))

    async def _resolve(
        self, name: str, types: tuple[int, ...], budget: QueryBudget | None = None
    ) -> tuple[DnsAnswer, float | None]:
        started = self._now()
        try:
            questions = questions_for(name, types)
        except NameNotEncodable as error:
            # No question can carry it, so no server was asked; a server would have to answer FORMERR.
            return DnsAnswer(DnsStatus.FORMERR, detail=str(error)), answer_cache.MAX_SECONDS
        if budget is None:
            budget = QueryBudget(self._patience)
        outcomes: Sequence[Outcome] = await self._group.ask(questions, budget)
        answer = merge_families(outcomes, self._now() - started)
        if answer.status is DnsStatus.SERVFAIL and not any(outcome.explained or outcome.loop for outcome in outcomes):
            own = QueryBudget(self._patience, unhurried=budget.unhurried)
            answer, outcomes = await explain(self._group, answer, outcomes, questions, own)
            budget.crowded = budget.crowded or own.crowded
            answer = replace(answer, duration=self._now() - started)
        if answer.status not in SETTLED_STATUSES:
            answer = replace(answer, doubt=self._group.doubt(answer, outcomes, budget))
        return answer, time_to_live(outcomes)

    def watch(self, on_state: Callable[[ResolverState], None] | None) -> None:
        """Have ``on_state`` called when a resolver goes down, and when it answers again."""
        self._group.watch(on_state)

    def close(self) -> None:
        """Close the sockets. Names that are asked for from now on get UNREACHABLE."""
        for upstream in self._upstreams:
            upstream.close()

    def others(self, than: str | None) -> Iterator[tuple[str, Resolver]]:
        """Yield each server but ``than`` (as ``DnsAnswer.resolver`` names it) with a resolver that asks it alone."""
        for upstream in self._upstreams:
            if upstream.text != than:
                if upstream.text not in self._single:
                    alone = Resolver([upstream], hosts=None, retries=0, patience=self._patience)
                    self._single[upstream.text] = alone
                yield upstream.text, self._single[upstream.text]

    # --- other types ---------------------------------------------------------------------------

    async def caa(self, name: str) -> CaaAnswer:
        """Return the CAA set that applies to ``name``: its own, or that of the nearest ancestor that has one (RFC 8659 section 3)."""
        labels = name.removesuffix(".").lower().split(".")
        if labels[0] == "*":
            del labels[0]  # section 3: the set of a wildcard is that of the domain below the asterisk
        for start in range(len(labels)):
            owner = ".".join(labels[start:])
            outcome = await self._records(owner, message_wire.CAA)
            if not outcome.settled:
                return CaaAnswer(None, None)
            if outcome.records:
                return CaaAnswer(caa_set_untrusted(outcome.records), owner)
        return CaaAnswer((), None)

    async def tlsa(self, port: int, transport: str, name: str) -> TlsaAnswer:
        """Return the TLSA records of a service, as at ``_443._tcp.name`` (RFC 6698 section 3)."""
        owner = f"_{port}._{transport}.{name.removesuffix('.').lower()}"
        outcome = await self._records(owner, message_wire.TLSA)
        if not outcome.settled:
            return TlsaAnswer(None, False)
        return TlsaAnswer(tlsa_set_untrusted(outcome.records), outcome.authenticated)

    async def _records(self, name: str, rdtype: int) -> Outcome:
        """Return records of another type; ancestors are shared by many names, so they are cached like addresses."""
        return await self._answers.once((name, (rdtype,)), self._find_records, name, rdtype)

    async def _find_records(self, name: str, rdtype: int) -> tuple[Outcome, float | None]:
        try:
            questions = questions_for(name, (rdtype,))
        except NameNotEncodable as error:
            return Outcome(DnsStatus.FORMERR, detail=str(error)), answer_cache.MAX_SECONDS
        [outcome] = await self._group.ask(questions, QueryBudget(self._patience))
        return outcome, time_to_live([outcome])


@asynccontextmanager
async def open_resolver(
    *,
    servers: Sequence[str] | None = None,
    timeout: float | None = None,
    retries: int | None = None,
    patience: float = DEFAULT_PATIENCE,
    network: Network | None = None,
    system: resolver_config.SystemResolvers | None = None,
    hosts: resolver_config.Hosts | None = None,
    on_state: Callable[[ResolverState], None] | None = None,
) -> AsyncIterator[Resolver]:
    """Open a resolver for the length of the block; its sockets are closed at the end.

    ``servers`` are ``--resolver`` values (``ADDR``, ``ADDR:PORT``, ``[V6]:PORT``), ``None`` for the system's own.
    ``timeout`` is seconds for one try of one server and ``retries`` is further rounds through all of them; ``None`` takes
    the system's ``options`` where it has any. ``patience`` bounds the seconds of asking for one name.
    ``network``, ``system`` and ``hosts`` replace the machine's. ``on_state`` is called when
    a resolver goes down and when it answers again. Raises :class:`ResolverConfigError`.
    """
    given: tuple[Server, ...] | None = None if servers is None else resolver_config.parse_servers(servers)
    if given is not None:
        configuration = resolver_config.SystemResolvers(given, DEFAULT_TIMEOUT)
        hosts = None
    else:
        configuration = resolver_config.read_resolv_conf() if system is None else system
        hosts = resolver_config.read_hosts() if hosts is None else hosts
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
        resolver.watch(on_state)
        try:
            yield resolver
        except Exception as error:  # noqa: BLE001 - raised again below; the nursery would wrap it into a group
            failure = error
        finally:
            resolver.close()
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
