"""What is asked besides, after a target was judged: its CAA and TLSA records, and what others see of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from scanner.earlier import EarlierRun
from scanner.evidence import Evidence
from scanner.net.other_resolvers import OtherResolvers
from scanner.net.resolve import Resolver
from scanner.pki.lineage import unvouched
from scanner.pki.verdicts import ChainVerdict


class Extras:
    """Belongs to one run. Each question is asked only where its answer could matter."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        wants_caa: Callable[[ChainVerdict], bool],
        earlier: EarlierRun | None = None,
        others: OtherResolvers | None = None,
    ) -> None:
        self._resolver = resolver
        self._wants_caa = wants_caa
        self._earlier = earlier
        self._others = others

    async def ask(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Evidence:
        """The evidence, with ``dns.caa`` where a public CA that we know issued it, ``dns.tlsa`` where DNSSEC vouches for the zone,
        ``elsewhere`` where nobody vouches for what came and an earlier run, or the address that another resolver knows, had a
        publicly trusted certificate."""
        dns, target = evidence.dns, evidence.target
        if self._earlier is not None and any(verdict is not None and not verdict.trusted for verdict in verdicts):
            seen = self._earlier.seen(target)
            evidence = evidence if seen is None else replace(evidence, elsewhere=(seen,))
        if dns is None or dns.source != "dns":
            return evidence
        if self._others is not None and any(map(unvouched, verdicts)):
            evidence = replace(evidence, elsewhere=evidence.elsewhere + await self._others.ask(evidence))
        if any(verdict is not None and self._wants_caa(verdict) for verdict in verdicts):
            caa = await self._resolver.caa(target.host)
            dns = replace(dns, caa=caa.records, caa_owner=caa.owner)
        if dns.authenticated and evidence.endpoints:
            tlsa = await self._resolver.tlsa(target.port, "tcp", target.host)
            # DANE counts only what DNSSEC vouches for (RFC 6698 section 4.1)
            dns = replace(dns, tlsa=tlsa.records if tlsa.authenticated else None)
        return evidence if dns is evidence.dns else replace(evidence, dns=dns)
