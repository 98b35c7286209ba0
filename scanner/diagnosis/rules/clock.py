"""Clocks: ours, which the fleet's witnesses judge before a certificate is blamed, and the server's own.

Where ours is known to be wrong, certificates are judged at the agreed time (``Context.at``), so what it explains is gone
from the verdict by itself; here it is said what the local clock would have made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from scanner.diagnosis.case import Case
from scanner.diagnosis.claim import Claim
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.model.evidence import EndpointEvidence, Evidence
from scanner.text import span
from scanner.times import moment
from scanner.tls.offers import TLS12
from scanner.tls.unixtime import unix_time
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

# Seconds by which a server's clock may be off: what Kerberos and most protocols with signed times allow.
REMOTE_TOLERANCE: Final = 300.0


def clock_claims(case: Case) -> Iterator[Claim]:
    """Yield ``local-clock-wrong`` if that explains what our clock would have shown; ``remote-clock-wrong``."""
    clock = case.context.fleet.clock
    if clock.state == "wrong" and clock.offset is not None and case.verdict is not None:
        yield from _local(case, case.verdict, clock, clock.offset)
    yield from _remote(case, clock)


def resting_on(clock: ClockVerdict) -> dict[str, Any]:
    """Return what is known of the clock by which a certificate was found outside its validity, for the evidence of that claim."""
    if clock.state == "unknown" and not clock.witnesses:
        return {}
    known: dict[str, Any] = {"state": clock.state}
    if clock.offset is not None:
        known["offset_seconds"] = round(clock.offset)
    if clock.margin is not None:
        known["within_seconds"] = round(clock.margin)
    known["witnesses"] = [dict(witness) for witness in clock.witnesses]
    return {"clock": known}


# --- ours ------------------------------------------------------------------------------------------


def _local(case: Case, verdict: ChainVerdict, clock: ClockVerdict, offset: float) -> Iterator[Claim]:
    local = case.evidence.started
    agreed = local + offset
    exact = clock.margin is not None
    for certificate in _relied_on(verdict):
        if certificate.not_before <= local <= certificate.not_after:
            continue
        explained = certificate.not_before <= agreed <= certificate.not_after
        # where only the least is known by which we are behind, it may well be that much
        possible = not exact and offset > 0 and certificate.not_before > agreed
        if explained or possible:
            how_much = span(abs(offset))
            ours, theirs = ("behind", "ahead") if offset > 0 else ("ahead", "behind")
            yield Claim(
                "local-clock-wrong",
                {
                    "offset": how_much if exact else f"at least {how_much}",
                    "offset_seconds": round(offset),
                    "direction": ours,
                    "local_time": moment(local),
                    "agreed_time": moment(agreed),
                    "certificate": certificate.sha256,
                    "subject": certificate.subject or "(empty subject)",
                    "not_before": moment(certificate.not_before),
                    "not_after": moment(certificate.not_after),
                    "explained": explained,
                    "by_local_clock": "not valid yet" if certificate.not_before > local else "expired",
                    "witnesses_count": len(clock.witnesses),
                    # without anything else that tells the time, these servers may be the ones that are wrong
                    **({} if clock.servers is None else {"servers": clock.servers, "servers_direction": theirs}),
                    "witnesses": [dict(witness) for witness in clock.witnesses],
                },
            )
            return


def _relied_on(verdict: ChainVerdict) -> Iterator[Certificate]:
    """Yield the leaf, and what else was sent that a path needs."""
    needed = {sha256 for store in verdict.stores.values() for sha256 in store.path}
    for position, certificate in enumerate(verdict.sent):
        if certificate is not None and (position == 0 or certificate.sha256 in needed):
            yield certificate


# --- theirs ----------------------------------------------------------------------------------------


def _remote(case: Case, clock: ClockVerdict) -> Iterator[Claim]:
    if clock.state == "unknown" or clock.margin is None:
        return
    tolerance = max(REMOTE_TOLERANCE, clock.margin)
    for source, time, local in clocks_of(case.evidence, case.endpoint):
        agreed = local + (clock.offset or 0.0)
        offset = time - agreed
        if abs(offset) > tolerance:
            yield Claim(
                "remote-clock-wrong",
                {
                    "offset": span(abs(offset)),
                    "offset_seconds": round(offset),
                    "direction": "ahead" if offset > 0 else "behind",
                    "source": source,
                    "server_time": moment(time),
                    "agreed_time": moment(agreed),
                    **resting_on(clock),
                },
            )
            return


def clocks_of(evidence: Evidence, endpoint: EndpointEvidence) -> Iterator[tuple[str, float, float]]:
    """Yield (source, its time, our time) of each statement of the server about the present."""
    for completion in endpoint.completions.values():
        if completion.date is not None and completion.local_time is not None:
            yield "http-date", completion.date, completion.local_time
    if endpoint.followups:
        flights = [probe.flight for probe in (endpoint.probe, *endpoint.followups.values())]
        randoms = [
            flight.random
            for flight in flights
            if flight is not None
            and flight.random is not None
            and flight.negotiation.version is not None
            and flight.negotiation.version <= TLS12
        ]
        time = unix_time(randoms, evidence.duration)
        if time is not None:
            yield "tls-random", float(time), evidence.started
