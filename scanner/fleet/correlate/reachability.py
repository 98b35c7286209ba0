"""Whether OCSP, CRL and AIA hosts can be reached from here at all. One that cannot is its own fault; if none can, it is ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from scanner.fleet.correlate.domains import MAX_NAME, registrable
from scanner.fleet.correlate.facts import Reached

# Unrelated hosts that must have failed. A CA that was shut down leaves a dead name behind, and a fleet's certificates can
# name two of them; three, and not one that answers, is a network that does not let them through.
HOSTS_BLOCKED: Final = 3
# Hosts kept, those first in the alphabet. The public web has some two hundred.
MAX_HOSTS: Final = 256
HOSTS_TOLD: Final = 5


class ReachFold:
    """Which of the hosts that certificates name were reached."""

    def __init__(self) -> None:
        self._blocked: dict[str, str] = {}  # registrable domain -> a host of it
        self._reached = False

    def add(self, seen: Iterable[Reached]) -> bool:
        """Take in the hosts that one target's certificates name. Return True if that has settled the matter."""
        settled = self._reached
        for each in seen:
            if each.reached:
                self._reached = True
            else:
                self._keep(registrable(each.host), each.host)
        return self._reached is not settled

    def merge(self, other: ReachFold) -> None:
        """Add what ``other`` has taken in."""
        self._reached = self._reached or other._reached
        for domain, host in other._blocked.items():
            self._keep(domain, host)

    def _keep(self, domain: str, host: str) -> None:
        if len(host) > MAX_NAME:
            return  # no host that could be reached by anybody
        self._blocked[domain] = min(host, self._blocked.get(domain, host))
        if len(self._blocked) > MAX_HOSTS:
            del self._blocked[max(self._blocked)]

    @property
    def is_final(self) -> bool:
        """Whether some host was reached, so that not all are blocked."""
        return self._reached

    def verdict(self) -> Mapping[str, Any] | None:
        """Return the evidence that no host can be reached; ``None`` if one was, or too few were tried."""
        if self._reached or len(self._blocked) < HOSTS_BLOCKED:
            return None
        return {"hosts_count": len(self._blocked), "hosts": sorted(self._blocked.values())[:HOSTS_TOLD]}
