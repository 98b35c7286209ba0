"""Health of a resolver: whether it answers at all, since when it does not, and how long names wait for it. Pure.

A name without an answer says nothing about its resolver, and many such names do not either. So a resolver becomes suspect when
a question failed and no other was answered since that one was sent, and a test question decides
(:mod:`scanner.net.dns.liveness`). While that is open, and while the resolver is down, names wait instead of using up their tries.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.message_wire import DnsResponse
from scanner.net.dns.reply import NoAnswer, Reply

# Seconds that names wait for a resolver that has worked in this run: restarts and most outages are over by then.
OUTAGE_PATIENCE: Final = 90.0
# ... and for one that has not answered anything yet: most often it is the wrong address.
STARTUP_PATIENCE: Final = 5.0
# Seconds between two test questions, at first and at last.
FIRST_PROBE_PAUSE: Final = 0.5
LONGEST_PROBE_PAUSE: Final = 5.0
# Seconds for one of them.
PROBE_SECONDS: Final = 2.0
# Seconds after a test was answered in which failures do not make a resolver suspect; after any answer, refusals do not.
TRUSTED_SECONDS: Final = 1.0


class Service(StrEnum):
    """What a resolver does with questions."""

    ANSWERING = "answering"
    SILENT = "silent"
    UNREACHABLE = "unreachable"
    REFUSING = "refusing"  # REFUSED for everybody
    FAILING = "failing"  # SERVFAIL for everybody


_STATUS: Final = {
    Service.SILENT: DnsStatus.TIMEOUT,
    Service.UNREACHABLE: DnsStatus.UNREACHABLE,
    Service.REFUSING: DnsStatus.REFUSED,
    Service.FAILING: DnsStatus.SERVFAIL,
}
_WORDS: Final = {
    Service.SILENT: "answered nobody",
    Service.UNREACHABLE: "could not be reached",
    Service.REFUSING: "refused everybody (REFUSED)",
    Service.FAILING: "failed for everybody (SERVFAIL)",
}


class ResolverState(Struct, frozen=True):
    """A change of a resolver's service. ``since`` is seconds since the Unix epoch: the last usable answer, or the first failure where
    there was none (``worked`` is False then). ``detail`` is the system's reason."""

    server: str
    service: Service
    since: float
    worked: bool
    detail: str | None = None

    @property
    def text(self) -> str:
        """One sentence without a full stop: ``the resolver 192.0.2.1 answered nobody since 06:12:03 UTC``."""
        at = f"{datetime.fromtimestamp(self.since, UTC):%H:%M:%S} UTC"
        if self.service is Service.ANSWERING:
            return f"the resolver {self.server} answers again, after {at}"
        reason = f": {self.detail}" if self.detail else ""
        never = "" if self.worked else " and never before in this run"
        return f"the resolver {self.server} {_WORDS[self.service]} since {at}{never}{reason}"


class Health:
    """The health of one resolver. Times are trio's, in seconds; ``epoch`` is what to add to them for the time of day."""

    def __init__(self, server: str, epoch: float) -> None:
        self.server = server
        self._epoch = epoch
        self.suspect = False  # it is being tested, or is down
        self.state: ResolverState | None = None  # while it is down
        self._down_since = 0.0
        self._last_usable: float | None = None
        self._first_failure: float | None = None
        self._trusted_until = float("-inf")

    def note_usable(self, now: float) -> None:
        """Note an answer that resolves a name or denies that it exists."""
        self._last_usable = now

    def note_failure(self, sent: float, now: float, *, refused: bool = False) -> bool:
        """Note that a question sent at ``sent`` failed. Return True if that made the resolver suspect.

        Refusals come at once, so they count only after a second without any other answer.
        """
        if self._first_failure is None:
            self._first_failure = sent
        if self.suspect or now < self._trusted_until:
            return False
        if self._last_usable is not None and self._last_usable >= (
            min(sent, now - TRUSTED_SECONDS) if refused else sent
        ):
            return False
        self.suspect = True
        return True

    def mark_answering(self, now: float) -> ResolverState | None:
        """End the suspicion. Return the change to report where the resolver was down."""
        was, self.state = self.state, None
        self.suspect = False
        self._last_usable = now
        self._trusted_until = now + TRUSTED_SECONDS
        return None if was is None else ResolverState(self.server, Service.ANSWERING, was.since, True)

    def mark_down(self, service: Service, now: float, detail: str | None = None) -> ResolverState:
        """Note that the resolver is down. Return the change to report."""
        worked = self._last_usable is not None
        since = self._last_usable if self._last_usable is not None else self._first_failure
        self._down_since = now
        self.state = ResolverState(
            self.server, service, (now if since is None else since) + self._epoch, worked, detail
        )
        return self.state

    def patience(self, now: float) -> float:
        """Return the seconds that a name asked for now waits for it."""
        if self.state is None:
            return float("inf")
        whole = OUTAGE_PATIENCE if self.state.worked else STARTUP_PATIENCE
        return max(0.0, self._down_since + whole - now)

    def failure(self) -> NoAnswer:
        """Return the reply for a name that has waited long enough."""
        if self.state is None:
            return NoAnswer(DnsStatus.TIMEOUT)
        return NoAnswer(_STATUS[self.state.service], self.state.text)


def is_usable(reply: Reply) -> bool:
    """Return True if ``reply`` says something about the name: neither a failure, nor REFUSED or SERVFAIL."""
    return (
        isinstance(reply, DnsResponse) and reply.rcode != message_wire.REFUSED and reply.rcode != message_wire.SERVFAIL
    )


def service_seen(replies: list[Reply]) -> tuple[Service, str | None]:
    """Return the best service that the replies to test questions show, and the system's reason."""
    if any(is_usable(reply) for reply in replies):
        return Service.ANSWERING, None
    rcodes = {reply.rcode for reply in replies if isinstance(reply, DnsResponse)}
    if rcodes:
        return (Service.FAILING if message_wire.SERVFAIL in rcodes else Service.REFUSING), None
    failures = [reply for reply in replies if isinstance(reply, NoAnswer)]
    if any(failure.status is DnsStatus.MALFORMED for failure in failures):
        return Service.ANSWERING, None
    unreachable = [failure for failure in failures if failure.status is DnsStatus.UNREACHABLE]
    if unreachable and len(unreachable) == len(failures):
        return Service.UNREACHABLE, unreachable[0].detail
    return Service.SILENT, None
