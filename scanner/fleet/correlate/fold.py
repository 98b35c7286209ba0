"""Folds the facts of all targets of a run, in any order and from any process, into verdicts on the fleet.

Each part (clock, issuers, portals, reach) is a class with ``add(facts)``, ``merge(other)`` and a verdict of its own, and
bounds what it keeps. A fold goes between processes by ``pickle``.
"""

from __future__ import annotations

from typing import Final, Literal

from scanner.fleet.correlate.facts import Facts
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.fleet.correlate.interceptors_fold import IssuersFold
from scanner.fleet.correlate.local_clock import ClockFold
from scanner.fleet.correlate.reachability import ReachFold
from scanner.fleet.correlate.shared_pages import PortalsFold

# Why a target waits: what must be known before its finding is final.
Reason = Literal["clock", "issuer", "portal", "revocation", "issuers-met"]
# The first that a target waits for is what it is filed under; the rest is known by the end of the run in any case.
REASONS: Final[tuple[Reason, ...]] = ("clock", "issuer", "portal", "revocation", "issuers-met")


# Issuers remembered because targets wait for them: twice those that are followed. With more of them no target is released early.
MAX_AWAITED: Final = 10_000


class Fold:
    """The facts of all targets so far, as far as verdicts need them."""

    def __init__(self, *, judge_clock: bool = True) -> None:
        """``judge_clock`` False where certificates are judged at a given moment: what our clock says then decides nothing."""
        self.targets = 0
        self._judge_clock = judge_clock
        self.clock = ClockFold(judge=judge_clock)
        self.issuers = IssuersFold()
        self.portals = PortalsFold()
        self.reach = ReachFold()
        self._awaited: set[str] = set()  # issuers that targets wait for

    def add(self, facts: Facts | None, begun: int | None = None) -> bool:
        """Take in one target; ``None`` is one that tells nothing. Return True if something was learnt that others may wait for.

        ``begun``: since when its certificate is valid, if that is trusted by our clock.
        """
        self.targets += 1
        if begun is not None:
            self.clock.add_valid(begun)
        if facts is None:
            return False
        learnt = self.clock.add(facts)
        self.issuers.add(facts.sightings)
        self.portals.add(facts.pages)
        return self.reach.add(facts.reach) or learnt or bool(facts.sightings or facts.pages)

    def restart_clock(self) -> None:
        """Drop the clock's witnesses: the clock was set, so what was right before may be wrong now."""
        self.clock = ClockFold(judge=self._judge_clock)

    def merge(self, other: Fold) -> None:
        """Add what ``other`` has taken in."""
        self.targets += other.targets
        self.clock.merge(other.clock)
        self.issuers.merge(other.issuers)
        self.portals.merge(other.portals)
        self.reach.merge(other.reach)

    def verdict(self, *, whole_run: bool = False) -> FleetVerdict:
        """Return what is known at this moment, or when the ``whole_run`` was taken in."""
        return FleetVerdict(
            clock=self.clock.verdict(whole_run=whole_run),
            interceptors=self.issuers.verdict(self.targets),
            portals=self.portals.verdict(self.targets),
            revocation_blocked=self.reach.verdict(),
        )

    def concerns(self, facts: Facts | None) -> bool:
        """Return True if a verdict on the fleet may change what is said of this target. On most, which tell at most that what
        was asked about their revocation was answered, it cannot."""
        if facts is None:
            return False
        if facts.validity or facts.untrusted or facts.pages or facts.sightings or facts.incomplete:
            return True
        return any(not host.reached for host in facts.reach) or any(one.tells_present for one in facts.witnesses)

    def pending_reason(self, facts: Facts | None) -> Reason | None:
        """Return what this target's finding must wait for, if anything, as far as it is not settled already."""
        if facts is None or not self.concerns(facts):
            return None
        if self.clock.concerns(facts) and not self.clock.is_final:
            return "clock"
        open_issuers = [seen.key for seen in facts.sightings if not self.issuers.is_final(seen.key)]
        if open_issuers:
            if len(self._awaited) < MAX_AWAITED:
                self._awaited.update(open_issuers)
            return "issuer"
        if facts.pages:
            return "portal"
        if any(not seen.reached for seen in facts.reach) and not self.reach.is_final:
            return "revocation"
        if facts.incomplete:
            return "issuers-met"
        return None

    def is_final(self, reason: Reason) -> bool:
        """Return True if targets that wait for ``reason`` can be concluded now, before the run ends."""
        if reason == "issuer":
            return 0 < len(self._awaited) < MAX_AWAITED and all(self.issuers.is_final(key) for key in self._awaited)
        if reason == "revocation":
            return self.reach.is_final
        return reason == "clock" and self.clock.is_final
