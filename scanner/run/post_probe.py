"""Lookups after a target was probed and verified: CAA and TLSA records, an earlier run, and what other resolvers lead to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from msgspec.structs import replace

from scanner.errors import describe_caught, joined
from scanner.model.evidence import DnsAnswer, Evidence
from scanner.net.dns.other_resolvers import OtherResolvers
from scanner.net.dns.resolver import Resolver
from scanner.run.baseline import Baseline
from scanner.trust.untrusted_issuer import is_untrusted
from scanner.trust.verdicts import ChainVerdict


class PostProbeLookups:
    """Belongs to one run. Each question is asked only where its answer could matter."""

    def __init__(
        self,
        resolver: Resolver,
        *,
        wants_caa: Callable[[ChainVerdict], bool],
        baseline: Baseline | None = None,
        others: OtherResolvers | None = None,
    ) -> None:
        self._resolver = resolver
        self._wants_caa = wants_caa
        self._baseline = baseline
        self._others = others

    async def look_up(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Evidence:
        """Return the evidence with what was found.

        That is ``dns.caa`` if a known public CA issued the certificate, ``dns.tlsa`` if the zone is signed (DNSSEC), and
        ``elsewhere`` if the certificate's issuer is untrusted while an earlier run, or the address that another resolver
        gives, had a publicly trusted certificate.
        """
        if self._baseline is not None and any(verdict is not None and not verdict.trusted for verdict in verdicts):
            evidence = await _attempt("an earlier run", self._seen_earlier, evidence)
        dns = evidence.dns
        if dns is None or dns.source != "dns":
            return evidence
        if self._others is not None and any(map(is_untrusted, verdicts)):
            evidence = await _attempt("other resolvers", self._seen_elsewhere, evidence)
        if any(verdict is not None and self._wants_caa(verdict) for verdict in verdicts):
            evidence = await _attempt("CAA", self._with_caa, evidence)
        if dns.authenticated and evidence.endpoints:
            evidence = await _attempt("TLSA", self._with_tlsa, evidence)
        return evidence

    async def _seen_earlier(self, evidence: Evidence, _: DnsAnswer | None) -> Evidence:
        seen = None if self._baseline is None else self._baseline.seen(evidence.target)
        return evidence if seen is None else replace(evidence, elsewhere=(seen,))

    async def _seen_elsewhere(self, evidence: Evidence, _: DnsAnswer | None) -> Evidence:
        found = () if self._others is None else await self._others.ask(evidence)
        return replace(evidence, elsewhere=evidence.elsewhere + found)

    async def _with_caa(self, evidence: Evidence, dns: DnsAnswer) -> Evidence:
        caa = await self._resolver.caa(evidence.target.host)
        return replace(evidence, dns=replace(dns, caa=caa.records, caa_owner=caa.owner))

    async def _with_tlsa(self, evidence: Evidence, dns: DnsAnswer) -> Evidence:
        target = evidence.target
        tlsa = await self._resolver.tlsa(target.port, "tcp", target.host)
        # DANE requires DNSSEC (RFC 6698 section 4.1)
        return replace(evidence, dns=replace(dns, tlsa=tlsa.records if tlsa.authenticated else None))


async def _attempt(what: str, ask: Callable[[Evidence, Any], Awaitable[Evidence]], evidence: Evidence) -> Evidence:
    """Return the evidence with what ``ask`` adds to it, or with the bug that prevented it."""
    try:
        return await ask(evidence, evidence.dns)
    except BaseException as error:  # noqa: BLE001 - our own bug costs this answer, not the others
        return replace(evidence, bug=joined(evidence.bug, describe_caught(what, error)))
