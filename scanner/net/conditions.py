"""Whether what was seen of a target may be this machine's doing: a pause of the process, an outage, a resolver in trouble.

Only evidence of something amiss is looked at; a healthy target costs the note that its server was reached.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import trio

from scanner.model.evidence import CONNECT_FAILURES, DnsStatus, EndpointEvidence, Evidence, Failure
from scanner.net.clocks import LoopClock
from scanner.net.outage import OutageMonitor, Server
from scanner.net.sockets import EXHAUSTED, GLOBAL_IPV6, has_route

# Seconds for which the process did not run, while it probed a target, after which a failure of that target proves nothing: the
# shortest time after which servers were seen to give up on a silent client is some seconds.
PAUSE_SECONDS: Final = 1.0
# Where nothing came back, or nothing of the server's own: what an outage looks like from here.
_UNREACHED: Final = CONNECT_FAILURES | {Failure.SILENT}
# ... and among those what a server has no part in: who refuses is there.
_UNANSWERED: Final = _UNREACHED - {Failure.CONNECTION_REFUSED}
# The machine itself knows no way at that moment; a link that comes back a moment later leaves no other trace.
_NO_ROUTE: Final = frozenset({Failure.NETWORK_UNREACHABLE, Failure.HOST_UNREACHABLE})
_DNS_IN_ORDER: Final = frozenset({DnsStatus.NOERROR, DnsStatus.NODATA, DnsStatus.NXDOMAIN})

Mark = tuple[float, float]  # trio's time, and seconds lost by then


class Conditions:
    """What a run's machine went through. ``waiting`` wraps waits that need none of the run's places."""

    def __init__(self, outages: OutageMonitor, waiting: Callable[[], AbstractContextManager[None]]) -> None:
        self.outages = outages
        self._waiting = waiting
        self._clock = trio.lowlevel.current_clock()

    def mark(self) -> Mark:
        """The moment at which a target begins to be observed."""
        clock = self._clock
        return (clock.last_time(), clock.lost) if isinstance(clock, LoopClock) else (clock.current_time(), 0.0)

    async def ready(self) -> None:
        """Wait while there is an outage."""
        with self._waiting():
            await self.outages.ready()

    def reached(self, evidence: Evidence, mark: Mark) -> None:
        """Take note of the servers that a target's probes have just reached."""
        ended = mark[0] + evidence.duration
        for endpoint in evidence.endpoints:
            probe = endpoint.probe
            if probe.failure not in _UNREACHED:
                took = (probe.connect_seconds or 0) + (probe.starttls_seconds or 0) + (probe.handshake_seconds or 0)
                self.outages.answered(endpoint.address, evidence.target.port, ended - took)

    def is_early(self, evidence: Evidence) -> bool:
        """Whether no address of this target answered, at a time when nobody else had either."""
        endpoints = evidence.endpoints
        return bool(endpoints) and all(
            endpoint.probe.failure in _UNANSWERED and self.outages.is_early(endpoint.address) for endpoint in endpoints
        )

    async def early_ones_count(self, *, loopback: bool) -> bool:
        """Whether failures from before anything worked are the targets', now that nothing else is left to do.

        ``loopback``: some of them are addresses of this machine. Raises ``NetworkLost``.
        """
        if self.outages.knows_servers:
            return False
        return not await self.outages.network_returns(lambda: has_network(loopback=loopback))

    async def doubt(self, evidence: Evidence, mark: Mark, *, first: bool) -> str | None:
        """Why what was seen may not be the target's doing, in words; ``None`` where it is. Waits until that is known.

        ``first`` says that the target has not been probed before: what has passed since is then found by probing again.
        """
        if not is_amiss(evidence):
            self.reached(evidence, mark)
            return None
        for endpoint in evidence.endpoints:
            if endpoint.probe.failure not in CONNECT_FAILURES:  # there is somebody to connect to, whatever came of it
                self.outages.answered(endpoint.address, evidence.target.port, None)
        lost = self.mark()[1] - mark[1]
        if lost >= PAUSE_SECONDS:
            return f"this process did not run for {lost:.0f} s while the target was probed"
        for address in _unreached(evidence):
            with self._waiting():
                outage = await self.outages.settle(address, mark[0])
            if outage is not None:
                break
        else:
            outage = self.outages.outage_since(mark[0])
        if outage is not None:
            return f"the network of this machine was down for {outage.end - outage.start:.0f} s meanwhile"
        if first and self.outages.has_worked and any(e.probe.failure in _NO_ROUTE for e in evidence.endpoints):
            return "this machine knew no route at that moment"
        return None if evidence.dns is None else evidence.dns.doubt


def has_network(*, loopback: bool = False, routes: str = "/proc/net/route") -> bool:
    """Whether this machine has a route to anywhere; with ``loopback``, to itself. Nothing is sent.

    Where the system does not say so it is taken to have one.
    """
    if loopback:
        return has_route("127.0.0.1")
    try:
        with open(routes, encoding="ascii") as file:
            known = len(file.readlines()) > 1  # below the heading
    except OSError:
        return True
    return known or has_route(GLOBAL_IPV6)


def is_amiss(evidence: Evidence) -> bool:
    """Something failed that a pause or an outage of ours could have caused."""
    if evidence.dns is not None and evidence.dns.status not in _DNS_IN_ORDER:
        return True
    if any(_failed(endpoint) for endpoint in evidence.endpoints):
        return True
    if any(answer.status == "unavailable" for answer in evidence.revocation):
        return True
    return any(issuer.error is not None for issuer in evidence.issuers)


def _failed(endpoint: EndpointEvidence) -> bool:
    return (
        endpoint.probe.failure is not None
        or any(probe.failure is not None for probe in endpoint.followups.values())
        or any(completion.failure is not None for completion in endpoint.completions.values())
    )


def _unreached(evidence: Evidence) -> list[str]:
    """Addresses where a connection came to nothing, be it the first or a further one, or one to a third party about them."""
    found = [
        endpoint.address
        for endpoint in evidence.endpoints
        if endpoint.probe.failure in _UNREACHED
        or any(probe.failure in _UNREACHED for probe in endpoint.followups.values())
        or any(completion.failure in _UNREACHED for completion in endpoint.completions.values())
    ]
    if any(answer.blocked for answer in evidence.revocation) or any(issuer.blocked for issuer in evidence.issuers):
        found += [endpoint.address for endpoint in evidence.endpoints[:1]]
    return found


async def connects(server: Server, seconds: float) -> bool:
    """Whether a server lets us connect, within so many seconds. True also where this machine has no file to try it with."""
    address, port = server
    family = trio.socket.AF_INET6 if ":" in address else trio.socket.AF_INET
    with trio.move_on_after(seconds):
        try:
            with trio.socket.socket(family, trio.socket.SOCK_STREAM) as sock:
                await sock.connect((address, port))
        except OSError as error:
            return error.errno in EXHAUSTED and error.errno != errno.EADDRNOTAVAIL
        return True
    return False
