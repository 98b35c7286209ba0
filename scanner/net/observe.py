"""One target, observed: resolve, connect, say hello, and ask the follow-up questions that the answers leave.

Retries, the order of addresses and the sharing-out of a target's time are decided here; what an answer means is not.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import trio

from scanner.errors import describe_caught, joined
from scanner.model.config import ScanConfig
from scanner.model.evidence import (
    CONNECT_FAILURES,
    Completion,
    DnsAnswer,
    EndpointEvidence,
    Evidence,
    Failure,
    Probe,
    ServerFlight,
    Stage,
    Target,
)
from scanner.net.complete import Completer
from scanner.net.pacing import Pacer
from scanner.net.probe import Prober, Timing
from scanner.net.sockets import OutOfResources
from scanner.starttls import Dialogue
from scanner.tls.offers import MODERN, Offer

_T = TypeVar("_T")
_P = ParamSpec("_P")

# The first hello may take this share of a target's time; the rest is for the questions that a silent server leaves.
FIRST_SHARE: Final = 0.7
# A follow-up repeats what was just tried with one thing changed; it may take this share of the whole.
FOLLOWUP_SHARE: Final = 0.15
# ... and at least this many seconds, so that a short --timeout still lets a slow server answer.
FOLLOWUP_LEAST: Final = 0.5
# --enumerate asks dozens of questions: they get this many times --timeout all together.
ENUMERATE_TIMES: Final = 6
# Of a name without --all-addresses: how many addresses are tried until one lets us connect.
MAX_FALLBACKS: Final = 4
# With --all-addresses: how many of one name are probed. Real names have up to some dozens.
MAX_ADDRESSES: Final = 64
# By default a kernel sends the SYN again after 1 s and 3 s (RFC 6298): whoever waited this long has tried three times.
KERNEL_RETRIED: Final = 3.0
# Waits of a fifth of a second for a file or port; a machine that has none to give for a minute has none.
MOST_SHORTAGES: Final = 300
# Back-off before a retry, in seconds: a base that doubles, and as much again at random.
BACKOFF: Final = 0.25


class Question(Protocol):
    """A follow-up: its name, and what to say this time; with ``complete`` (what the server said first) the handshake is
    completed, with our certificate if ``present``, and nothing is said after it if ``quiet``."""

    @property
    def name(self) -> str: ...
    @property
    def offer(self) -> Offer: ...
    @property
    def sni(self) -> str | None: ...
    @property
    def complete(self) -> ServerFlight | None: ...
    @property
    def present(self) -> bool: ...
    @property
    def quiet(self) -> bool: ...


class Resolver(Protocol):
    """What ``scanner.net.dns.resolver`` gives."""

    async def resolve(
        self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False
    ) -> DnsAnswer: ...


class Budget:
    """Seconds that a target may spend on the network. Waiting for its turn is not counted against it."""

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def spend(self, seconds: float) -> None:
        """Take off so many."""
        self.left -= seconds


Ask = Callable[[Target, EndpointEvidence, float], "Question | None"]


class Observer:
    """Observes targets. ``ask`` decides the next follow-up (the target's starting time is its third argument);
    ``open_dialogue`` gives the words before TLS, ``alpn_of`` the ALPN names of a protocol; ``banned`` says that an address
    must not be contacted; ``completer`` completes handshakes where a question asks for that."""

    def __init__(
        self,
        config: ScanConfig,
        prober: Prober,
        resolver: Resolver,
        pacer: Pacer,
        *,
        ask: Ask,
        open_dialogue: Callable[[str, str], Dialogue | None],
        alpn_of: Callable[[str], tuple[bytes, ...]],
        banned: Callable[[str], bool] | None = None,
        ipv6_usable: bool = True,
        jitter: random.Random | None = None,
        completer: Completer | None = None,
    ) -> None:
        self._config = config
        self._prober = prober
        self._resolver = resolver
        self._pacer = pacer
        self._ask = ask
        self._open_dialogue = open_dialogue
        self._alpn_of = alpn_of
        self._banned = banned
        self._ipv6_usable = ipv6_usable
        self._jitter = jitter or random.Random()
        self._completer = completer or Completer()
        self._now = trio.current_time

    async def observe(self, target: Target, started: float, *, unhurried: bool = False) -> Evidence:
        """Everything one target gives; ``started`` is the wall-clock time to note (seconds since the epoch).

        ``unhurried``: its name was asked for in vain while many others were, so it is asked for alone and with more patience."""
        if self._now is trio.current_time:  # which asks its way through two more calls each time
            self._now = trio.lowlevel.current_clock().current_time
        begun = self._now()
        dns: DnsAnswer | None = None
        if target.address is not None:
            addresses: Sequence[str] = (target.address,)
        elif target.host_is_ip:
            addresses = (target.host,)
        else:
            with self._pacer.aside():
                dns = await self._resolver.resolve(
                    target.host, ipv4=self._config.ipv4, ipv6=self._config.ipv6, unhurried=unhurried
                )
            addresses = self._order(dns)
        if self._banned is not None:
            addresses = [address for address in addresses if not self._banned(address)]
        course = _Course(self, target, started)
        if self._config.all_addresses and len(addresses) > 1:
            endpoints = await course.every(addresses[:MAX_ADDRESSES])
        else:
            endpoints = await course.first_that_connects(addresses[:MAX_FALLBACKS])
        return Evidence(
            target=target,
            started=started,
            dns=dns,
            endpoints=endpoints,
            duration=self._now() - begun,
            attempts=max(course.attempts, 1),
            bug=joined(*course.bugs) if course.bugs else None,
        )

    async def addresses_by(self, resolver: Resolver, target: Target) -> list[str]:
        """The addresses that ``resolver`` knows for a target, in the order in which they would be tried."""
        with self._pacer.aside():
            answer = await resolver.resolve(target.host, ipv4=self._config.ipv4, ipv6=self._config.ipv6)
        return [each for each in self._order(answer) if self._banned is None or not self._banned(each)]

    def time_left(self, evidence: Evidence) -> float:
        """Seconds of a target's time that its connections did not use."""
        left = self._config.timeout
        for endpoint in evidence.endpoints:
            for probe in (endpoint.probe, *endpoint.followups.values()):
                for seconds in (probe.connect_seconds, probe.starttls_seconds, probe.handshake_seconds):
                    left -= seconds or 0.0
            left -= sum(completion.seconds for completion in endpoint.completions.values())
        return left

    async def glance(self, target: Target, address: str, left: float) -> tuple[EndpointEvidence, float]:
        """One connection to a further address of a target that has ``left`` seconds, and the seconds left after it."""
        budget = Budget(left)
        wait = min(left, max(self._config.timeout * FOLLOWUP_SHARE, FOLLOWUP_LEAST))
        course = _Course(self, target, 0.0)
        probe = await course.connect(address, MODERN, target.sni, budget, wait)
        return EndpointEvidence(address, probe), budget.left

    def _order(self, dns: DnsAnswer) -> list[str]:
        """IPv6 first where it can be used (RFC 6724's outcome on an ordinary host), else only where there is nothing else."""
        v4 = [address for address in dns.addresses if ":" not in address]
        v6 = [address for address in dns.addresses if ":" in address]
        if self._ipv6_usable:
            return v6 + v4
        return v4 or v6


class _Course:
    """The probes of one target."""

    __slots__ = ("_alpn", "_observer", "_started", "_target", "attempts", "bugs")

    def __init__(self, observer: Observer, target: Target, started: float) -> None:
        self._observer = observer
        self._target = target
        self._started = started
        self._alpn = observer._alpn_of(target.protocol)
        self.attempts = 0
        self.bugs: list[str] = []  # our own exceptions, each of which cost a probe or the rest of the follow-ups

    async def every(self, addresses: Sequence[str]) -> tuple[EndpointEvidence, ...]:
        found: dict[str, EndpointEvidence] = {}

        async def one(address: str) -> None:
            found[address] = await self._endpoint(address, Budget(self._observer._config.timeout))

        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(one, address)
        return tuple(found[address] for address in addresses)

    async def first_that_connects(self, addresses: Sequence[str]) -> tuple[EndpointEvidence, ...]:
        endpoints: list[EndpointEvidence] = []
        # one budget for all of them: whoever waits for the name waits for their sum
        budget = Budget(self._observer._config.timeout)
        for address in addresses:
            if endpoints and budget.left <= 0:
                break
            endpoints.append(await self._endpoint(address, budget))
            if endpoints[-1].probe.failure not in CONNECT_FAILURES:
                break
        return tuple(endpoints)

    async def _endpoint(self, address: str, budget: Budget) -> EndpointEvidence:
        config, target = self._observer._config, self._target
        try:
            probe = await self._with_retries(address, budget)
        except BaseException as error:  # noqa: BLE001 - our own bug costs this address, never the others
            bug = describe_caught("probe", error)
            return EndpointEvidence(address, Probe(MODERN.name, target.sni, Stage.CONNECT, Failure.BUG, detail=bug))
        endpoint = EndpointEvidence(address, probe)
        if probe.failure in CONNECT_FAILURES or probe.failure is Failure.BUG:
            return endpoint
        followups: dict[str, Probe] = {}
        completions: dict[str, Completion] = {}
        if config.enumerate:
            budget = Budget(config.timeout * ENUMERATE_TIMES)
        try:
            while (question := self._observer._ask(target, endpoint, self._started)) is not None and budget.left > 0:
                wait = min(budget.left, max(config.timeout * FOLLOWUP_SHARE, FOLLOWUP_LEAST))
                if question.complete is not None:
                    completions[question.name] = await self._complete(
                        address, question, question.complete, budget, wait
                    )
                else:
                    answer = await self.connect(address, question.offer, question.sni, budget, wait)
                    if answer.failure is Failure.BUG:
                        self.bugs.append(f"{question.name}: {answer.detail}")
                        break  # it answers nothing
                    followups[question.name] = answer
                endpoint = EndpointEvidence(address, probe, dict(followups), completions=dict(completions))
        except BaseException as error:  # noqa: BLE001 - what was seen before it stands
            self.bugs.append(describe_caught("follow-up", error))
        return endpoint

    async def _with_retries(self, address: str, budget: Budget) -> Probe:
        config, jitter = self._observer._config, self._observer._jitter
        tries = 0
        while True:
            wait = max(budget.left * FIRST_SHARE, FOLLOWUP_LEAST)
            probe = await self.connect(address, MODERN, self._target.sni, budget, min(wait, budget.left))
            if probe.failure is None or tries >= config.retries or not may_be_transient(probe, config):
                return probe
            pause = BACKOFF * (2**tries) * (1 + jitter.random())
            if pause >= budget.left:
                return probe
            tries += 1
            now = self._observer._now
            begun = now()
            with self._observer._pacer.aside():
                await trio.sleep(pause)
            budget.spend(now() - begun)

    def connect(
        self, address: str, offer: Offer, sni: str | None, budget: Budget, wait: float
    ) -> Coroutine[Any, Any, Probe]:
        """One hello, when it is this address's turn."""
        observer, target = self._observer, self._target
        return self._paced(
            address,
            budget,
            observer._prober.probe,
            address,
            target.port,
            offer=offer,
            sni=sni,
            alpn=self._alpn,
            dialogue=observer._open_dialogue(target.protocol, target.name),
            timing=Timing(observer._config.connect_timeout, wait, budget.left),
        )

    async def _complete(
        self, address: str, question: Question, flight: ServerFlight, budget: Budget, wait: float
    ) -> Completion:
        observer, target = self._observer, self._target

        def complete() -> Awaitable[Completion]:
            return observer._completer.complete(
                address,
                target.port,
                host=target.name,
                sni=question.sni,
                protocol=target.protocol,
                quiet=question.quiet,
                alpn=self._alpn,
                open_dialogue=lambda: observer._open_dialogue(target.protocol, target.name),
                timing=Timing(observer._config.connect_timeout, wait, budget.left),
                flight=flight,
                present=question.present,
            )

        for _ in range(observer._config.retries):
            completion = await self._paced(address, budget, complete)
            # lost on the way, not refused: what the first flight left open would stay so
            if completion.failure not in CONNECT_FAILURES or budget.left <= 0:
                return completion
        return await self._paced(address, budget, complete)

    async def _paced(
        self,
        address: str,
        budget: Budget,
        connect: Callable[_P, Awaitable[_T]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """One connection when it is its turn, and again while this machine has no room for it."""
        pacer, now = self._observer._pacer, self._observer._now
        self.attempts += 1
        shortages = 0
        while True:
            if not pacer.enter(address):
                await pacer.acquire(address)
            begun = now()
            try:
                result = await connect(*args, **kwargs)
            except OutOfResources:
                # the target's time is not spent on what this machine lacks; but what never comes is not waited for
                shortages += 1
                if shortages > MOST_SHORTAGES:
                    raise
                await pacer.exhausted()
                continue
            finally:
                pacer.release(address)
            budget.spend(now() - begun)
            return result


def may_be_transient(probe: Probe, config: ScanConfig) -> bool:
    """Trying the very same again could end differently: lost packets, a busy listener, a mail server's 4xx."""
    match probe.failure:
        case Failure.CONNECT_TIMEOUT:
            return config.connect_timeout < KERNEL_RETRIED
        case Failure.RESET | Failure.CLOSED:
            return probe.bytes_received == 0
        case Failure.STARTTLS_REFUSED | Failure.STARTTLS_MALFORMED:
            return (probe.detail or "").lstrip().startswith("4")
        case _:
            return False
