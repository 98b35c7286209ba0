"""Is something in between? The issuer's name, what the fleet says of it, and what other paths saw.

Only certificates for which no public CA vouches come into question. An interceptor makes certificates for the name that
was asked for; a product that shows a certificate of its own under another name is what was asked, not what is in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanner.diagnosis.case import Case, Claim
from scanner.findings import Severity
from scanner.pki.lineage import lineage_of
from scanner.pki.middleboxes import by_issuer


def interception_claims(case: Case) -> Iterator[Claim]:
    """``known-middlebox`` and ``issuer-across-unrelated-names``."""
    verdict = case.verdict
    if verdict is None or verdict.leaf is None or verdict.publicly_trusted:
        return
    if verdict.trusted and by_issuer(verdict.leaf.issuer_name.attributes) is None:
        return  # one of a trusted private CA's many: most of such a fleet
    lineage = lineage_of(verdict, case.endpoint)
    if lineage is None:
        return
    fleet = case.context.fleet.interceptors.get(lineage.key)
    # whoever trusts the issuer is refused nothing, and should know all the same
    severity: Severity | None = "warning" if verdict.trusted else None
    facts: dict[str, Any] = {
        "certificate": lineage.leaf,
        "subject": verdict.leaf.subject or "(empty subject)",
        "issuer": lineage.issuer or "(empty issuer)",
    }
    if lineage.on_the_spot:
        facts["made_on_the_spot"] = True
    confirmed = lineage.on_the_spot or (fleet is not None and fleet.certain)
    if lineage.product is not None and ((lineage.sure and lineage.named) or confirmed):
        yield Claim("known-middlebox", {"product": lineage.product, **facts}, severity)
    if fleet is not None:
        evidence = {**facts, **fleet.evidence}
        yield Claim("issuer-across-unrelated-names", evidence, severity or (None if fleet.certain else "warning"))
