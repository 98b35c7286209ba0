"""Decides whether a failure may be this machine's doing: a pause of the process, an outage of its network, a resolver in trouble.

The problem. "Connection timed out" is what a dead server looks like, and also a laptop whose lid was closed, a cable that was pulled
and a resolver that fell over. A finding that blames the target for those is wrong, and a scan at night makes thousands of them in
a minute.

The design. Each failure is checked before it is concluded, cheapest question first:

1. Did this process run? ``LoopClock`` counts the seconds in which the event loop was late; a peer may have given up meanwhile.
2. Did the network work? ``scanner.net.outage`` knows from servers that answered before, during and after the failure.
3. Did the resolver answer? ``DnsAnswer.doubt`` has what the resolver knows of its own trouble.

A failure that remains in doubt is probed again later, at most a few times, and is then reported with an ``error`` and no cause. Failures
from before anything was reached are kept until something is: ``is_early``.

What breaks if this is touched: a doubt that is raised too easily has every dead name probed again, a doubt that is missed is a
false finding. ``make torture`` takes the network, the clock and the resolver away at random. A healthy target costs
only the note that its server was reached.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

import trio

from scanner.model.evidence import CONNECT_FAILURES, SETTLED_STATUSES, Evidence, Failure
from scanner.net.clocks import LoopClock
from scanner.net.outage import OutageMonitor, Server
from scanner.net.sockets import EXHAUSTED, GLOBAL_IPV6, has_route, open_stream

# Seconds for which the process did not run, while it probed a target, from which on a failure of that target proves nothing: servers
# were seen to give up on a silent client after some seconds at the earliest.
PAUSE_SECONDS: Final = 1.0
# Failures in which nothing came back, or nothing of the server's own: an outage looks like these.
_UNREACHED: Final = CONNECT_FAILURES | {Failure.SILENT}
# ... and among those the ones that no server has answered: one that refuses is there.
_UNANSWERED: Final = _UNREACHED - {Failure.CONNECTION_REFUSED}
# The machine itself has no route at that moment; a link that comes back a moment later leaves no other trace.
_NO_ROUTE: Final = frozenset({Failure.NETWORK_UNREACHABLE, Failure.HOST_UNREACHABLE})

Mark = tuple[float, float]  # trio's time, and seconds lost by then


class Conditions:
    """The state of this machine in one run. ``waiting`` wraps waits that need no slot of the run."""

    def __init__(self, outages: OutageMonitor, waiting: Callable[[], AbstractContextManager[None]]) -> None:
        self.outages = outages
        self._waiting = waiting
        self._clock = trio.lowlevel.current_clock()

    def mark(self) -> Mark:
        """Return the moment, to be taken as a target begins to be observed."""
        clock = self._clock
        return (clock.last_time(), clock.lost) if isinstance(clock, LoopClock) else (clock.current_time(), 0.0)

    async def ready(self) -> None:
        """Wait while there is an outage."""
        with self._waiting():
            await self.outages.ready()

    def reached(self, evidence: Evidence, mark: Mark) -> None:
        """Note the servers that a target's probes have just reached."""
        ended = mark[0] + evidence.duration
        for endpoint in evidence.endpoints:
            probe = endpoint.probe
            if probe.failure not in _UNREACHED:
                took = (probe.connect_seconds or 0) + (probe.starttls_seconds or 0) + (probe.handshake_seconds or 0)
                self.outages.answered(endpoint.address, evidence.target.port, ended - took)

    def is_early(self, evidence: Evidence) -> bool:
        """Return True if no address of this target answered, and nothing else had answered yet."""
        endpoints = evidence.endpoints
        return bool(endpoints) and all(
            endpoint.probe.failure in _UNANSWERED and self.outages.is_early(endpoint.address) for endpoint in endpoints
        )

    async def early_failures_are_real(self, *, loopback: bool) -> bool:
        """Return True if failures from before anything worked are the targets', now that nothing else is left to do.

        ``loopback``: some of them are addresses of this machine. Raises ``NetworkLost``.
        """
        if self.outages.knows_servers:
            return False
        return not await self.outages.network_returns(lambda: has_network(loopback=loopback))

    async def doubt(self, evidence: Evidence, mark: Mark, *, first: bool) -> str | None:
        """Return, once known, why a failure may not be the target's doing; ``first``: it has not been probed before."""
        if not has_failures(evidence):
            self.reached(evidence, mark)
            return None
        for endpoint in evidence.endpoints:
            if endpoint.probe.failure not in CONNECT_FAILURES:  # the server is there, whatever came of the connection
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
    """Return True if this machine has a route to anywhere (``loopback``: to itself), or no table of routes. Sends nothing."""
    if loopback:
        return has_route("127.0.0.1")
    try:
        with open(routes, encoding="ascii") as file:
            known = len(file.readlines()) > 1  # below the heading
    except OSError:
        return True
    return known or has_route(GLOBAL_IPV6)


def has_failures(evidence: Evidence) -> bool:
    """Return True if something failed that a pause or an outage of this machine could have caused."""
    if evidence.dns is not None and evidence.dns.status not in SETTLED_STATUSES:
        return True
    for endpoint in evidence.endpoints:
        if endpoint.probe.failure is not None:
            return True
        for probe in endpoint.followups.values():
            if probe.failure is not None:
                return True
        for completion in endpoint.completions.values():
            if completion.failure is not None:
                return True
    for answer in evidence.revocation:
        if answer.status == "unavailable":
            return True
    return bool(evidence.issuers) and any(issuer.error is not None for issuer in evidence.issuers)


def _unreached(evidence: Evidence) -> list[str]:
    """Return the addresses to which some connection failed, the first or a further one; or one to a third party about them."""
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
    """Return True if a server accepts a connection within ``seconds``; also where this machine has no file to try it with."""
    with trio.move_on_after(seconds):
        try:
            (await open_stream(server)).socket.close()
        except OSError as error:
            return error.errno in EXHAUSTED and error.errno != errno.EADDRNOTAVAIL
        return True
    return False
