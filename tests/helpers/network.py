"""A simulated network: the outcome of connections to each address as (seconds, outcome), on trio's clock.

A ``Scenario`` replaces the prober and the resolver, for tests of everything above the sockets. It honours the timeouts
of ``Timing`` and a limit of open files, and records every connection, so that tests can check when they began and how
many were open at once. Under ``MockClock``, hours take no time.
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple, cast

import trio
from msgspec.structs import replace

from scanner.model.config import ScanConfig
from scanner.model.evidence import (
    CONNECT_FAILURES,
    Completion,
    DnsAnswer,
    DnsStatus,
    EndpointEvidence,
    Evidence,
    Failure,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.net.complete import Completer, CompletionRequest, TargetService
from scanner.net.dns.caa_tlsa import CaaAnswer, TlsaAnswer
from scanner.net.observe import FollowUp, NextQuestion, Observer, ProbeServices
from scanner.net.pacing import Pacer
from scanner.net.probe import Prober, Timing
from scanner.net.sockets import OutOfResources
from scanner.starttls import Dialogue
from scanner.tls import offers
from scanner.tls.offers import Offer
from tests.helpers.evidence import HOST, answered, failed, target

NEVER: Final = float("inf")


@dataclass(slots=True)
class Connection:
    """A connection with the arguments of its probe; ``ended`` is set when it is closed."""

    address: str
    port: int
    offer: Offer
    sni: str | None
    alpn: tuple[bytes, ...]
    dialogue: Dialogue | None
    timing: Timing
    began: float
    ended: float | None = None


Outcome = Failure | Probe | BaseException | Callable[[Connection], Probe]


class Step(NamedTuple):
    """What happens after ``delay`` seconds: a failure, a probe, an exception, or the result of a function."""

    delay: float
    outcome: Outcome


SUCCESS: Final = answered()
Steps = Step | Sequence[Step]


class Scenario:
    """A simulated network. Of a sequence of steps, each applies to one connection, and the last to all that follow.

    ``names`` has the addresses or the answer of each name, given after ``dns_delay`` seconds. Addresses that are not in
    ``steps`` answer after ``delay``. ``files`` limits the connections that can be open.
    """

    def __init__(
        self,
        steps: Mapping[str, Steps] | None = None,
        names: Mapping[str, Sequence[str] | DnsAnswer | BaseException] | None = None,
        *,
        delay: float = 0.05,
        dns_delay: float = 0.0,
        files: int | None = None,
    ) -> None:
        self._steps = {key: [value] if isinstance(value, Step) else list(value) for key, value in (steps or {}).items()}
        self._names = dict(names or {})
        self._delay = delay
        self._dns_delay = dns_delay
        self.files = files
        self.exhausted = 0
        self.open = 0
        self.connections: list[Connection] = []
        self.completions = 0
        self.asked: list[tuple[str, bool, bool]] = []

    # --- the prober ----------------------------------------------------------------------------

    async def probe(
        self,
        address: str,
        port: int,
        *,
        offer: Offer,
        sni: str | None,
        alpn: tuple[bytes, ...],
        dialogue: Dialogue | None,
        timing: Timing,
        proxy: int = 0,
    ) -> Probe:
        """Replaces ``Prober.probe``."""
        if self.files is not None and self.open >= self.files:
            self.exhausted += 1
            raise OutOfResources(errno.EMFILE)
        connection = Connection(address, port, offer, sni, alpn, dialogue, timing, trio.current_time())
        self.connections.append(connection)
        self.open += 1
        try:
            probe = await self._play(connection)
        finally:
            self.open -= 1
            connection.ended = trio.current_time()
        return replace(probe, offer=offer.name, sni=sni)

    async def complete(
        self, address: str, service: TargetService, request: CompletionRequest, timing: Timing
    ) -> Completion:
        """Replaces ``Completer.complete``; the server closes."""
        self.completions += 1
        await trio.lowlevel.checkpoint()
        return Completion(Stage.HELLO, failure=Failure.CLOSED)

    async def _play(self, connection: Connection) -> Probe:
        steps = self._steps.get(connection.address, [Step(self._delay, SUCCESS)])
        delay, outcome = steps.pop(0) if len(steps) > 1 else steps[0]
        timing = connection.timing
        connecting = isinstance(outcome, Failure) and outcome in CONNECT_FAILURES
        with trio.move_on_after(max(min(timing.connect if connecting else timing.handshake, timing.total), 0)):
            await trio.sleep(delay)
            if isinstance(outcome, Failure):
                return failed(outcome, stage=Stage.CONNECT if connecting else Stage.HELLO)
            if isinstance(outcome, Probe):
                return outcome
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome(connection)
        return failed(Failure.CONNECT_TIMEOUT, stage=Stage.CONNECT) if connecting else failed(Failure.SILENT)

    # --- the resolver --------------------------------------------------------------------------

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        """Replaces ``Resolver.resolve``."""
        self.asked.append((name, ipv4, ipv6))
        await trio.sleep(self._dns_delay)
        found = self._names.get(name, DnsAnswer(DnsStatus.NXDOMAIN))
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, DnsAnswer):
            return found
        return DnsAnswer(DnsStatus.NOERROR, tuple(found), resolver="192.0.2.53")

    async def caa(self, name: str) -> CaaAnswer:
        """Replaces ``Resolver.caa``; there are no records."""
        await trio.lowlevel.checkpoint()
        return CaaAnswer((), None)

    async def tlsa(self, port: int, proto: str, name: str) -> TlsaAnswer:
        """Replaces ``Resolver.tlsa``; there are no records."""
        await trio.lowlevel.checkpoint()
        return TlsaAnswer((), authenticated=False)

    # --- for assertions ------------------------------------------------------------------------

    def starts(self, address: str | None = None) -> list[float]:
        """Return when connections began, to one address or to all."""
        return [each.began for each in self.connections if address in (None, each.address)]

    def peak(self, address: str | None = None) -> int:
        """Return how many connections were open at once, to one address or to all.

        A connection that ends does not overlap one that begins at that moment.
        """
        changes = []
        for each in self.connections:
            if address in (None, each.address):
                assert each.ended is not None
                changes += [(each.began, 1), (each.ended, -1)]
        open_now = peak = 0
        for _, change in sorted(changes):
            open_now += change
            peak = max(peak, open_now)
        return peak

    def order(self) -> list[str]:
        """Return the addresses in the order of the connections."""
        return [each.address for each in self.connections]

    def check_closed(self) -> None:
        """Check that every connection has been closed."""
        assert self.open == 0
        assert all(each.ended is not None for each in self.connections)


def most_within(starts: Sequence[float], seconds: float) -> int:
    """Return the most starts in any period of ``seconds``."""
    times = sorted(starts)
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def no_question(target: Target, endpoint: EndpointEvidence, started: float) -> FollowUp | None:
    """Ask no follow-up."""
    return None


def pacer_for(config: ScanConfig) -> Pacer:
    """Return the pacer for a configuration."""
    return Pacer(
        concurrency=config.concurrency,
        rate=config.rate,
        concurrency_per_address=config.concurrency_per_address,
        rate_per_address=config.rate_per_address,
        polite_to_loopback=config.polite_to_loopback,
    )


def observer_in(scenario: Scenario, config: ScanConfig | None = None, **changes: Any) -> Observer:
    """Return an observer on this network; ``changes`` are fields of ``ProbeServices``."""
    config = config or ScanConfig()
    given: dict[str, Any] = {
        "prober": cast(Prober, scenario),
        "completer": cast(Completer, scenario),
        "resolver": scenario,
        "pacer": changes.pop("pacer", None) or pacer_for(config),
        "open_dialogue": lambda protocol, host: None,
        "alpn_of": lambda protocol: (),
        "jitter": Random(1),
        **changes,
    }
    return Observer(config, ProbeServices(**given))


@asynccontextmanager
async def everything_closed(scenario: Scenario) -> AsyncIterator[Scenario]:
    """Check at the end of the block, however it ends, that no connection is open."""
    try:
        yield scenario
    finally:
        scenario.check_closed()


@dataclass(slots=True)
class Stopwatch:
    """Measures seconds of trio's clock since it was created."""

    began: float = field(default_factory=trio.current_time)

    @property
    def seconds(self) -> float:
        """The seconds so far."""
        return trio.current_time() - self.began


def in_network(addresses: Sequence[str], steps: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """Return a network in which ``HOST`` has these addresses."""
    return Scenario(steps, {HOST: addresses}, **changes)


async def observed(
    scenario: Scenario,
    config: ScanConfig | None = None,
    of: Target | None = None,
    *,
    next_question: NextQuestion = no_question,
    **changes: Any,
) -> tuple[Evidence, float]:
    """Return the evidence of a target, and the seconds that it took."""
    async with everything_closed(scenario):
        watch = Stopwatch()
        observer = observer_in(scenario, config, **changes)
        evidence = await observer.observe(of or target(), 1000.0, next_question)
        return evidence, watch.seconds


@dataclass
class Asked:
    """A follow-up question."""

    name: str
    offer: Offer = offers.SMALL
    sni: str | None = None
    complete: ServerFlight | None = None
    present: bool = False
    quiet: bool = False
    replaces: bool = False
    proxy: int = 0
    direct: bool = False
    patient: bool = False


def asking(*names: str) -> Any:
    """Return a function that asks these follow-ups, one after the other."""

    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
        assert started == 1000.0
        return next((Asked(name) for name in names if name not in endpoint.followups), None)

    return ask


def for_ever(of: Target, endpoint: EndpointEvidence, started: float) -> Asked:
    """Ask another follow-up each time."""
    return Asked(f"question {len(endpoint.followups)}")
