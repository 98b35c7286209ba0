"""Verdicts on the whole fleet: plain records, made by the folds of this package, read by ``scanner.diagnosis``.

``None`` in a ``FleetVerdict`` is "not known yet", which no rule takes for a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field


class ClockVerdict(Struct, frozen=True):
    """Whether the local clock is right. ``offset`` is seconds to add to the local clock to have the agreed time.

    ``state``: "confirmed" (enough independent witnesses agree with it), "wrong" (enough contradict it),
    "unknown" (too few, or they contradict each other). ``witnesses`` are JSON records for the finding's evidence: kind,
    who, time, until, local_time. ``margin`` is by how many seconds the agreed time may be off at most; ``None`` where
    only a direction is known, and ``offset`` is the least that it must be. ``servers``: only so many servers of one estate
    contradict the clock, so it may as well be theirs that are wrong.
    """

    state: Literal["confirmed", "wrong", "unknown"] = "unknown"
    offset: float | None = None
    witnesses: tuple[Mapping[str, Any], ...] = ()
    margin: float | None = None
    servers: int | None = None

    def corrected(self, local: float) -> float:
        """Return what time it was when our clock said ``local``, as far as that is known."""
        return local + self.offset if self.state == "wrong" and self.offset is not None else local


class InterceptionVerdict(Struct, frozen=True):
    """An untrusted issuer that signs for unrelated registrable domains. ``evidence`` goes into each finding it explains.

    ``certain``: more than the number of names proves it; without that an estate's own CA would look alike.
    """

    issuer: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    certain: bool = True


class FleetVerdict(Struct, frozen=True):
    """Everything that is known of the fleet at one moment.

    ``interceptors`` is keyed by ``UntrustedIssuer.key``; ``portals`` by address or redirect target;
    ``revocation_blocked`` is the evidence that OCSP, CRL and AIA hosts cannot be reached from here.
    """

    clock: ClockVerdict = field(default_factory=ClockVerdict)
    interceptors: Mapping[str, InterceptionVerdict] = field(default_factory=dict)
    portals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    revocation_blocked: Mapping[str, Any] | None = None
