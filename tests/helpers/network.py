"""Network weather: what happens to connections to each address, written down as (seconds, outcome), played on trio's clock.

A ``Scenario`` is prober and resolver in one, for everything above the sockets. It keeps what a real connection keeps (the
limits of its ``Timing``, one file while it is open) and writes down every connection, so that a test can ask when they
began and how many were open together. Under ``MockClock`` hours of it take no time.
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
from scanner.net.observe import FollowUp, Observer, ProbeServices
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
    """One connection as it was asked for; ``ended`` is set when it is closed."""

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
    """After ``delay`` seconds this happens: a failure, an answer, an exception, or what a function of the connection says."""

    delay: float
    outcome: Outcome


SUCCESS: Final = answered()
Weather = Step | Sequence[Step]


class Scenario:
    """The network. A sequence of steps is for one connection each, the last one for all that follow.

    ``names`` are for the resolver: addresses, or an answer, after ``dns_delay`` seconds. Addresses without weather answer
    after ``delay``. ``files`` is how many connections this machine can have open.
    """

    def __init__(
        self,
        weather: Mapping[str, Weather] | None = None,
        names: Mapping[str, Sequence[str] | DnsAnswer | BaseException] | None = None,
        *,
        delay: float = 0.05,
        dns_delay: float = 0.0,
        files: int | None = None,
    ) -> None:
        self._weather = {
            key: [value] if isinstance(value, Step) else list(value) for key, value in (weather or {}).items()
        }
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
    ) -> Probe:
        """As ``Prober.probe``."""
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
        """As ``Completer.complete``: whoever completes a handshake here is hung up on."""
        self.completions += 1
        await trio.lowlevel.checkpoint()
        return Completion(Stage.HELLO, failure=Failure.CLOSED)

    async def _play(self, connection: Connection) -> Probe:
        steps = self._weather.get(connection.address, [Step(self._delay, SUCCESS)])
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
        """As ``Resolver.resolve``."""
        self.asked.append((name, ipv4, ipv6))
        await trio.sleep(self._dns_delay)
        found = self._names.get(name, DnsAnswer(DnsStatus.NXDOMAIN))
        if isinstance(found, BaseException):
            raise found
        if isinstance(found, DnsAnswer):
            return found
        return DnsAnswer(DnsStatus.NOERROR, tuple(found), resolver="192.0.2.53")

    async def caa(self, name: str) -> CaaAnswer:
        """As ``Resolver.caa``: there are none."""
        await trio.lowlevel.checkpoint()
        return CaaAnswer((), None)

    async def tlsa(self, port: int, proto: str, name: str) -> TlsaAnswer:
        """As ``Resolver.tlsa``: there are none."""
        await trio.lowlevel.checkpoint()
        return TlsaAnswer((), authenticated=False)

    # --- what a test asks ----------------------------------------------------------------------

    def starts(self, address: str | None = None) -> list[float]:
        """When connections began, at one address or at all."""
        return [each.began for each in self.connections if address in (None, each.address)]

    def peak(self, address: str | None = None) -> int:
        """How many were open together, at one address or at all; one that ends makes room for one that begins then."""
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
        """Addresses in the order in which they were connected to."""
        return [each.address for each in self.connections]

    def check_closed(self) -> None:
        """Every connection has been closed."""
        assert self.open == 0
        assert all(each.ended is not None for each in self.connections)


def most_within(starts: Sequence[float], seconds: float) -> int:
    """The most starts in any stretch of time of this length."""
    times = sorted(starts)
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def no_question(target: Target, endpoint: EndpointEvidence, started: float) -> FollowUp | None:
    """Nothing is ever open."""
    return None


def pacer_for(config: ScanConfig) -> Pacer:
    """The pacer that a session would make."""
    return Pacer(
        concurrency=config.concurrency,
        rate=config.rate,
        concurrency_per_address=config.concurrency_per_address,
        rate_per_address=config.rate_per_address,
        polite_to_loopback=config.polite_to_loopback,
    )


def observer_in(scenario: Scenario, config: ScanConfig | None = None, **changes: Any) -> Observer:
    """An observer with this network; ``changes`` are fields of ``ProbeServices``."""
    config = config or ScanConfig()
    given: dict[str, Any] = {
        "prober": cast(Prober, scenario),
        "completer": cast(Completer, scenario),
        "resolver": scenario,
        "pacer": changes.pop("pacer", None) or pacer_for(config),
        "next_question": no_question,
        "open_dialogue": lambda protocol, host: None,
        "alpn_of": lambda protocol: (),
        "jitter": Random(1),
        **changes,
    }
    return Observer(config, ProbeServices(**given))


@asynccontextmanager
async def everything_closed(scenario: Scenario) -> AsyncIterator[Scenario]:
    """At the end of the block, whatever ended it, no connection is open."""
    try:
        yield scenario
    finally:
        scenario.check_closed()


@dataclass(slots=True)
class Stopwatch:
    """Seconds of the run's clock since it was made."""

    began: float = field(default_factory=trio.current_time)

    @property
    def seconds(self) -> float:
        """So far."""
        return trio.current_time() - self.began


def in_network(addresses: Sequence[str], weather: dict[str, Any] | None = None, **changes: Any) -> Scenario:
    """``HOST`` has these addresses."""
    return Scenario(weather, {HOST: addresses}, **changes)


async def observed(
    scenario: Scenario, config: ScanConfig | None = None, of: Target | None = None, **changes: Any
) -> tuple[Evidence, float]:
    """The evidence, and how long it took."""
    async with everything_closed(scenario):
        watch = Stopwatch()
        evidence = await observer_in(scenario, config, **changes).observe(of or target(), 1000.0)
        return evidence, watch.seconds


@dataclass
class Asked:
    """A follow-up."""

    name: str
    offer: Offer = offers.SMALL
    sni: str | None = None
    complete: ServerFlight | None = None
    present: bool = False
    quiet: bool = False


def asking(*names: str) -> Any:
    """These questions, one after the other."""

    def ask(of: Target, endpoint: EndpointEvidence, started: float) -> Asked | None:
        assert started == 1000.0
        return next((Asked(name) for name in names if name not in endpoint.followups), None)

    return ask


def for_ever(of: Target, endpoint: EndpointEvidence, started: float) -> Asked:
    """There is always one more question."""
    return Asked(f"question {len(endpoint.followups)}")
