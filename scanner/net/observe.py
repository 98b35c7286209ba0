"""Observes targets: resolves names, connects, says hello, and asks the follow-up questions that the answers leave.

Retries, the order of addresses and how a target's time is shared out are decided here; what an answer means is not.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

import trio
from msgspec import Struct, field
from msgspec.structs import replace

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
    Stage,
    Target,
)
from scanner.net.complete import Completer, CompletionRequest, TargetService
from scanner.net.dns.resolver import AddressResolver
from scanner.net.pacing import Pacer
from scanner.net.probe import Prober, Timing
from scanner.starttls import Dialogue, upgrades_of
from scanner.tls.offers import MODERN, Offer

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
# By default a kernel sends the SYN again after 1 s and 3 s (RFC 6298): a connection that waited this long was tried three times.
KERNEL_RETRIED: Final = 3.0
# The protocol of a target that leaves it open, until a greeting in plain text was recognised.
TLS_FIRST: Final = "tls"
# How the opening of one protocol ends with a server of a similar one.
_OF_ANOTHER_PROTOCOL: Final = frozenset(
    {
        Failure.STARTTLS_NOT_OFFERED,
        Failure.STARTTLS_REFUSED,
        Failure.STARTTLS_MALFORMED,
        Failure.SESSION_REFUSED,
        Failure.CLOSED,
    }
)
# Back-off before a retry, in seconds: a base that doubles, and as much again at random.
BACKOFF: Final = 0.25
# Words of a server that may serve the same client a moment later: SMTP's and FTP's 4xx, and what others say to a crowd
_FOR_NOW: Final = r"\s*4|.*(?:too many|too fast|try again|busy|temporar)"


_CUT: Final = frozenset({Failure.RESET, Failure.CLOSED})


class FollowUp(CompletionRequest, Protocol):
    """A follow-up question: its name and the hello to say. With ``complete`` the handshake is completed instead of a hello said.

    A whole flight that answers one which ``replaces`` takes the place of the first probe, and ALPN is left out from then on.
    With ``proxy`` a header of that version of the PROXY protocol is sent first, with ``direct`` there is no dialogue before TLS. A
    ``patient`` completion is given most of the time that is left.
    """

    @property
    def name(self) -> str: ...
    @property
    def offer(self) -> Offer: ...
    @property
    def replaces(self) -> bool: ...
    @property
    def proxy(self) -> int: ...
    @property
    def direct(self) -> bool: ...
    @property
    def patient(self) -> bool: ...


NextQuestion = Callable[[Target, EndpointEvidence, float], FollowUp | None]


def _no_question(target: Target, endpoint: EndpointEvidence, started: float) -> None:
    return None


class TimeBudget:
    """Seconds that a target may still spend on the network. Waiting for its turn is not counted."""

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left = seconds


class ProbeServices(Struct, frozen=True, kw_only=True):
    """What targets are observed with.

    ``open_dialogue`` returns the dialogue before TLS, ``alpn_of`` the ALPN names of a protocol. ``is_banned`` returns True for an
    address that must not be contacted. ``now`` is trio's time; the method of the run's own clock costs less than the default.
    """

    prober: Prober
    completer: Completer
    resolver: AddressResolver
    pacer: Pacer
    open_dialogue: Callable[[str, str], Dialogue | None]
    alpn_of: Callable[[str], tuple[bytes, ...]]
    is_banned: Callable[[str], bool] | None = None
    ipv6_usable: bool = True
    jitter: random.Random = field(default_factory=random.Random)
    now: Callable[[], float] = trio.current_time


class Observer:
    """Observes targets."""

    def __init__(self, config: ScanConfig, services: ProbeServices) -> None:
        self.config = config
        self.services = services
        self.now = services.now

    async def observe(
        self, target: Target, started: float, next_question: NextQuestion, *, unhurried: bool = False
    ) -> Evidence:
        """Return everything that one target gives; ``started`` is the wall-clock time to note (seconds since the epoch).

        ``next_question`` is given the target, the evidence of an address and ``started``, and returns the next follow-up there.
        ``unhurried``: its name was asked for in vain while many others were, so it is asked for alone and with more patience."""
        begun = self.now()
        dns: DnsAnswer | None = None
        if target.address is not None:
            addresses: Sequence[str] = (target.address,)
        elif target.host_is_ip:
            addresses = (target.host,)
        else:
            with self.services.pacer.yield_slot():
                dns = await self.services.resolver.resolve(
                    target.host, ipv4=self.config.ipv4, ipv6=self.config.ipv6, unhurried=unhurried
                )
            addresses = self._order(dns)
        if self.services.is_banned is not None:
            addresses = [address for address in addresses if not self.services.is_banned(address)]
        probes = _TargetProbes(self, target, started, next_question)
        if self.config.all_addresses and len(addresses) > 1:
            endpoints = await probes.of_every(addresses[:MAX_ADDRESSES])
        else:
            endpoints = await probes.of_first_that_connects(addresses[:MAX_FALLBACKS])
        return Evidence(
            target=probes.target,
            started=started,
            dns=dns,
            endpoints=endpoints,
            duration=self.now() - begun,
            attempts=max(probes.attempts, 1),
            bug=joined(*probes.bugs) if probes.bugs else None,
        )

    async def addresses_by(self, resolver: AddressResolver, target: Target) -> list[str]:
        """Return the addresses that ``resolver`` knows for a target, in the order in which they would be tried."""
        with self.services.pacer.yield_slot():
            answer = await resolver.resolve(target.host, ipv4=self.config.ipv4, ipv6=self.config.ipv6)
        is_banned = self.services.is_banned
        return [address for address in self._order(answer) if is_banned is None or not is_banned(address)]

    def time_left(self, evidence: Evidence) -> float:
        """Return the seconds of a target's time that its connections did not use."""
        left = self.config.timeout
        for endpoint in evidence.endpoints:
            for probe in (endpoint.probe, *endpoint.followups.values()):
                for seconds in (probe.connect_seconds, probe.starttls_seconds, probe.handshake_seconds):
                    left -= seconds or 0.0
            left -= sum(completion.seconds for completion in endpoint.completions.values())
        return left

    async def probe_once(self, target: Target, address: str, left: float) -> tuple[EndpointEvidence, float]:
        """Connect once to a further address of a target that has ``left`` seconds. Return the evidence and the seconds left."""
        budget = TimeBudget(left)
        probes = _TargetProbes(self, target, 0.0, _no_question)
        probe = await probes.probe(address, MODERN, target.sni, probes.alpn, budget, self.followup_seconds(budget))
        return EndpointEvidence(address, probe), budget.left

    def followup_seconds(self, budget: TimeBudget) -> float:
        """Return the seconds that one follow-up may take."""
        return min(budget.left, max(self.config.timeout * FOLLOWUP_SHARE, FOLLOWUP_LEAST))

    def _order(self, dns: DnsAnswer) -> list[str]:
        """Return the addresses with IPv6 first where it can be used (as RFC 6724 has it on an ordinary host), else only IPv4 if any."""
        v4 = [address for address in dns.addresses if ":" not in address]
        v6 = [address for address in dns.addresses if ":" in address]
        if self.services.ipv6_usable:
            return v6 + v4
        return v4 or v6


class _TargetProbes:
    """The connections to one target. ``target`` has the protocol that was found out, where the row leaves it open."""

    __slots__ = (
        "_deciding", "_next_question", "_observer", "_settled", "_started", "alpn", "attempts", "bugs", "target",
    )  # fmt: skip

    def __init__(self, observer: Observer, target: Target, started: float, next_question: NextQuestion) -> None:
        self._observer = observer
        self.target = target
        self._started = started
        self._next_question = next_question
        self.alpn = observer.services.alpn_of(target.protocol)
        self._settled = False  # an address has answered in TLS
        self._deciding = trio.Lock()
        self.attempts = 0
        self.bugs: list[str] = []  # our own exceptions, each of which cost a probe or the rest of the follow-ups

    async def of_every(self, addresses: Sequence[str]) -> tuple[EndpointEvidence, ...]:
        found: dict[str, EndpointEvidence] = {}

        async def one(address: str) -> None:
            found[address] = await self._endpoint(address, TimeBudget(self._observer.config.timeout))

        async with trio.open_nursery() as nursery:
            for address in addresses:
                nursery.start_soon(one, address)
        return tuple(found[address] for address in addresses)

    async def of_first_that_connects(self, addresses: Sequence[str]) -> tuple[EndpointEvidence, ...]:
        endpoints: list[EndpointEvidence] = []
        # one budget for all of them: the target takes the sum of their times
        budget = TimeBudget(self._observer.config.timeout)
        for address in addresses:
            if endpoints and budget.left <= 0:
                break
            endpoints.append(await self._endpoint(address, budget))
            if endpoints[-1].probe.failure not in CONNECT_FAILURES:
                break
        return tuple(endpoints)

    async def _endpoint(self, address: str, budget: TimeBudget) -> EndpointEvidence:
        """Probe one address and ask its follow-ups."""
        observer, target = self._observer, self.target
        try:
            probe = await self._first_probe(address, budget)
            if target.auto:
                if probe.failure is Failure.PLAINTEXT:
                    probe = await self._upgraded(address, probe, budget)
                elif probe.flight is not None:
                    self._settled = True
                target = self.target
        except BaseException as error:  # noqa: BLE001 - our own bug costs this address, never the others
            bug = describe_caught("probe", error)
            return EndpointEvidence(address, Probe(MODERN.name, target.sni, Stage.CONNECT, Failure.BUG, detail=bug))
        endpoint = EndpointEvidence(address, probe)
        alpn = self.alpn
        if probe.failure in CONNECT_FAILURES or probe.failure is Failure.BUG:
            return endpoint
        followups: dict[str, Probe] = {}
        completions: dict[str, Completion] = {}
        if observer.config.enumerate:
            budget = TimeBudget(observer.config.timeout * ENUMERATE_TIMES)
        next_question = self._next_question
        # all flights that came in this turn of the event loop are read first, and then their certificates are judged: see
        # ``scanner.run.scan`` on stages
        await trio.lowlevel.cancel_shielded_checkpoint()
        try:
            while (question := next_question(target, endpoint, self._started)) is not None and budget.left > 0:
                # a greeting that came late comes late again
                wait = observer.followup_seconds(budget) + (probe.starttls_seconds or 0.0)
                if question.complete is not None:
                    if question.patient:  # what an application is asked is asked once, and its silence is no answer
                        wait = max(budget.left * FIRST_SHARE, FOLLOWUP_LEAST)
                    completions[question.name] = await self._complete(address, question, alpn, budget, wait)
                else:
                    answer = await self.probe(
                        address,
                        question.offer,
                        question.sni,
                        alpn,
                        budget,
                        wait,
                        proxy=question.proxy,
                        direct=question.direct,
                    )
                    if answer.failure is Failure.BUG:
                        self.bugs.append(f"{question.name}: {answer.detail}")
                        break  # it answers nothing
                    if question.replaces and answer.failure is None:
                        followups[probe.offer], probe, alpn = probe, answer, ()
                    else:
                        followups[question.name] = answer
                endpoint = EndpointEvidence(address, probe, dict(followups), completions=dict(completions))
        except BaseException as error:  # noqa: BLE001 - what was seen before it is kept
            self.bugs.append(describe_caught("follow-up", error))
        return endpoint

    async def _first_probe(self, address: str, budget: TimeBudget) -> Probe:
        """Say the first hello, and again where that could end differently."""
        observer = self._observer
        config = observer.config
        tries = cut = 0
        while True:
            wait = max(budget.left * FIRST_SHARE, FOLLOWUP_LEAST)
            probe = await self.probe(address, MODERN, self.target.sni, self.alpn, budget, min(wait, budget.left))
            if probe.failure is None or tries >= config.retries or not may_be_transient(probe, config):
                return probe if cut == 0 else replace(probe, cut=cut)
            cut += probe.failure in (Failure.RESET, Failure.CLOSED)
            pause = BACKOFF * (2**tries) * (1 + observer.services.jitter.random())
            if pause >= budget.left:
                return probe if cut < 2 else replace(probe, cut=cut - 1)
            tries += 1
            begun = observer.now()
            with observer.services.pacer.yield_slot():
                await trio.sleep(pause)
            budget.left -= observer.now() - begun

    async def _upgraded(self, address: str, plain: Probe, budget: TimeBudget) -> Probe:
        """Probe again a server that answered in plain text, by the opening of the protocol that it was recognised as.

        Of a target with several addresses the first that is recognised decides for all: a finding is about one protocol. Return
        ``plain`` where it is none that has an opening, or another address has answered in TLS.
        """
        async with self._deciding:
            first = self.target
            if self._settled:
                return plain
            protocols = (first.protocol,) if first.protocol != TLS_FIRST else upgrades_of(plain.recognised)
            tried: list[tuple[Target, Probe]] = []
            for protocol in protocols:
                if budget.left <= 0:
                    break
                self.target = replace(first, protocol=protocol)
                self.alpn = self._observer.services.alpn_of(protocol)
                tried.append((self.target, await self._first_probe(address, budget)))
                if tried[-1][1].failure not in _OF_ANOTHER_PROTOCOL:
                    return tried[-1][1]
            # none offers TLS: the likeliest is what it is
            self.target, found = tried[0] if tried else (first, plain)
            return found

    async def probe(
        self,
        address: str,
        offer: Offer,
        sni: str | None,
        alpn: tuple[bytes, ...],
        budget: TimeBudget,
        wait: float,
        proxy: int = 0,
        direct: bool = False,
    ) -> Probe:
        """Say one hello, when it is this address's turn; after a header of that version of the PROXY protocol, if any.

        ``direct``: TLS begins at once, whatever the protocol."""
        self.attempts += 1
        observer, target = self._observer, self.target
        services = observer.services
        probe, seconds = await services.pacer.run(
            address,
            services.prober.probe,
            address,
            target.port,
            offer=offer,
            sni=sni,
            alpn=alpn,
            dialogue=None if direct else services.open_dialogue(target.protocol, target.name),
            timing=Timing(observer.config.connect_timeout, wait, budget.left),
            proxy=proxy,
        )
        budget.left -= seconds
        return probe

    async def _complete(
        self, address: str, question: FollowUp, alpn: tuple[bytes, ...], budget: TimeBudget, wait: float
    ) -> Completion:
        """Complete a handshake, when it is this address's turn; again where the connection failed."""
        observer, target = self._observer, self.target
        services = observer.services
        service = TargetService(
            target.name,
            target.port,
            target.protocol,
            alpn,
            partial(services.open_dialogue, target.protocol, target.name),
        )
        retries = observer.config.retries
        while True:
            self.attempts += 1
            timing = Timing(observer.config.connect_timeout, wait, budget.left)
            completion, seconds = await services.pacer.run(
                address, services.completer.complete, address, service, question, timing
            )
            budget.left -= seconds
            # lost on the way, not refused: what the first flight left open would stay so; and a server that cuts a handshake off
            # once may be a busy one
            lost = completion.failure in CONNECT_FAILURES or (completion.answered and completion.failure in _CUT)
            if retries <= 0 or not lost or budget.left <= 0:
                return completion
            retries -= 1


def may_be_transient(probe: Probe, config: ScanConfig) -> bool:
    """Return True if another try could end differently: lost packets, a busy listener, a mail server's 4xx."""
    match probe.failure:
        case Failure.CONNECT_TIMEOUT:
            return config.connect_timeout < KERNEL_RETRIED
        case Failure.RESET | Failure.CLOSED:
            return probe.bytes_received == 0
        case Failure.STARTTLS_REFUSED | Failure.STARTTLS_MALFORMED:
            return (probe.detail or "").lstrip().startswith("4")
        case Failure.SESSION_REFUSED:
            return re.match(_FOR_NOW, probe.detail or "", re.IGNORECASE | re.DOTALL) is not None
        case _:
            return False
