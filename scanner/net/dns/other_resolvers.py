"""Probes the addresses that other resolvers have for a name, where the first one's address has an untrusted certificate.

An interceptor that works by DNS answers is gone where another resolver is asked.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Final

from scanner.model.evidence import Elsewhere, EndpointEvidence, Evidence, Target
from scanner.net.dns.resolver import Resolver
from scanner.net.observe import Observer
from scanner.trust.verdicts import ChainVerdict

# Other resolvers that are asked for one name; who gives more of them has them for the sake of reliability.
MAX_ASKED: Final = 3

Judge = Callable[[Target, EndpointEvidence, float], "ChainVerdict | None"]


class OtherResolvers:
    """The other resolvers of a run. ``judge`` returns the verdict on what an address sent, at the moment of a target's start."""

    def __init__(self, resolver: Resolver, observer: Observer, judge: Judge) -> None:
        self._resolver = resolver
        self._observer = observer
        self._judge = judge

    async def ask(self, evidence: Evidence) -> tuple[Elsewhere, ...]:
        """Return the publicly trusted certificate that another resolver's address has for the name, in the target's time."""
        target, dns = evidence.target, evidence.dns
        if dns is None or not dns.addresses:
            return ()
        known = {*dns.addresses}
        left = self._observer.time_left(evidence)
        for number, (server, alone) in enumerate(self._resolver.others(dns.resolver)):
            if number == MAX_ASKED or left <= 0:
                break
            addresses = await self._observer.addresses_by(alone, target)
            address = next((each for each in addresses if each not in known and _comparable(each, dns.addresses)), None)
            if address is None:
                continue
            known.add(address)
            endpoint, left = await self._observer.probe_once(target, address, left)
            verdict = self._judge(target, endpoint, evidence.started)
            if verdict is None or verdict.leaf is None or not (verdict.publicly_trusted and verdict.trusted):
                continue
            # what a shared address shows for names that it does not know says nothing about this one
            if verdict.name is None or verdict.name.matches:
                where = f"the resolver {server}'s address {address}"
                return (Elsewhere(where, verdict.leaf.sha256, verdict.leaf.issuer),)
        return ()


def _comparable(address: str, others: Sequence[str]) -> bool:
    """Return True if the address is private like the others, or public like them: names may differ inside and outside of a network."""
    return any(_is_public(address) is _is_public(other) for other in others)


def _is_public(address: str) -> bool:
    return ipaddress.ip_address(address).is_global
