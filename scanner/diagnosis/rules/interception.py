"""Is something in between? The issuer's name, what the fleet says of it, and what other paths saw.

Only certificates for which no public CA vouches come into question. An interceptor makes certificates for the name that
was asked for; a product that shows a certificate of its own under another name is what was asked, not what is in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scanner.diagnosis.case import Case
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.parts import part_of
from scanner.model.evidence import Elsewhere, Evidence
from scanner.model.findings import Severity
from scanner.trust.portal_pages import page_of
from scanner.trust.untrusted_issuer import is_untrusted, untrusted_issuer_of
from scanner.trust.verdicts import ChainVerdict


def interception_claims(case: Case) -> Iterator[Claim]:
    """Yield ``captive-portal``, ``known-middlebox`` and ``issuer-across-unrelated-names``."""
    yield from _portal_claims(case)
    verdict = case.verdict
    if verdict is None or verdict.leaf is None or verdict.publicly_trusted:
        return
    if not part_of(verdict).is_strange:
        return
    lineage = untrusted_issuer_of(verdict, case.endpoint)
    if lineage is None:
        return
    fleet = case.context.fleet.interceptors.get(lineage.key)
    # clients that trust the issuer connect, but their owner should know
    severity: Severity | None = "warning" if verdict.trusted else None
    facts: dict[str, Any] = {
        "certificate": lineage.leaf,
        "subject": verdict.leaf.subject or "(empty subject)",
        "issuer": lineage.issuer or "(empty issuer)",
    }
    if lineage.on_the_spot:
        facts["made_on_the_spot"] = True
    confirmed = lineage.on_the_spot or bool(case.evidence.elsewhere) or (fleet is not None and fleet.certain)
    if lineage.product is not None and ((lineage.sure and lineage.named) or confirmed):
        yield Claim("known-middlebox", {"product": lineage.product, **facts}, severity)
    if fleet is not None:
        evidence = {**facts, **fleet.evidence}
        yield Claim("issuer-across-unrelated-names", evidence, severity or (None if fleet.certain else "warning"))


def _portal_claims(case: Case) -> Iterator[Claim]:
    """Yield ``captive-portal`` if the page of another party answers: it says so itself, or names of the whole fleet lead to it."""
    page = page_of(case.target.name, case.endpoint, case.verdict)
    if page is None or case.verdict is None or case.verdict.leaf is None:
        return
    fleet = case.context.fleet.portals.get(page.page)
    if page.proof is None and fleet is None:
        return
    facts: dict[str, Any] = {"page": page.page, "certificate": case.verdict.leaf.sha256, **(fleet or {})}
    if page.proof is not None:
        facts["proof"] = page.proof
    yield Claim("captive-portal", facts)


def path_claims(evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Iterator[tuple[int, Claim]]:
    """Yield ``certificate-differs-by-path`` with the position of the address whose certificate no store trusts, where another
    address, path or run saw a publicly trusted certificate."""
    others = [*evidence.elsewhere]
    for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=False):
        if verdict is not None and verdict.leaf is not None and verdict.publicly_trusted and verdict.trusted:
            others.append(Elsewhere(f"the address {endpoint.address}", verdict.leaf.sha256, verdict.leaf.issuer))
    if not others:
        return
    for position, verdict in enumerate(verdicts):
        if verdict is None or verdict.leaf is None or not is_untrusted(verdict):
            continue
        yield (
            position,
            Claim(
                "certificate-differs-by-path",
                {
                    "certificate": verdict.leaf.sha256,
                    "issuer": verdict.leaf.issuer or "(empty issuer)",
                    "where": others[0].where,
                    "trusted_issuer": others[0].issuer,
                    "elsewhere": [
                        {"where": other.where, "certificate": other.certificate, "issuer": other.issuer}
                        for other in others
                    ],
                },
            ),
        )
