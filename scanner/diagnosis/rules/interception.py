"""Is something in between? The issuer's name, what the fleet says of it, and what other paths saw.

Only certificates for which no public CA vouches come into question. An interceptor makes certificates for the name that
was asked for; a product that shows a certificate of its own under another name is what was asked, not what is in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanner.diagnosis.case import Case, Claim, flight_of, followup
from scanner.evidence import EndpointEvidence
from scanner.findings import Severity
from scanner.pki.certificate import Certificate
from scanner.pki.lineage import Lineage, lineage_of, made_for_untrusted
from scanner.pki.middleboxes import by_issuer

# The question that asks for a name that nobody can have a certificate for
UNKNOWABLE_QUESTION = "default-certificate"


def interception_claims(case: Case) -> Iterator[Claim]:
    """``known-middlebox`` and ``issuer-across-unrelated-names``."""
    verdict = case.verdict
    if verdict is None or verdict.leaf is None or verdict.publicly_trusted:
        return
    if verdict.trusted and by_issuer(verdict.leaf.issuer_name.attributes) is None:
        return  # one of a trusted private CA's many: most of such a fleet
    lineage = lineage_of(verdict)
    if lineage is None:
        return
    fleet = case.context.fleet.interceptors.get(lineage.key)
    on_the_spot = made_on_the_spot(case.endpoint, verdict.leaf)
    # whoever trusts the issuer is refused nothing, and should know all the same
    severity: Severity | None = "warning" if verdict.trusted else None
    facts: dict[str, Any] = {
        "certificate": lineage.leaf,
        "subject": verdict.leaf.subject or "(empty subject)",
        "issuer": lineage.issuer or "(empty issuer)",
    }
    if on_the_spot:
        facts["made_on_the_spot"] = True
    named = verdict.name is None or verdict.name.matches
    confirmed = on_the_spot or (fleet is not None and fleet.certain)
    if lineage.product is not None and ((lineage.sure and named) or confirmed):
        yield Claim("known-middlebox", {"product": lineage.product, **facts}, severity)
    if fleet is not None:
        evidence = {**facts, **fleet.evidence}
        yield Claim("issuer-across-unrelated-names", evidence, severity or (None if fleet.certain else "warning"))


def made_on_the_spot(endpoint: EndpointEvidence, leaf: Certificate) -> bool:
    """Asked for a name that cannot exist, this address showed a certificate for it, by the issuer of ``leaf``."""
    answer = followup(endpoint, UNKNOWABLE_QUESTION)
    if answer is None or answer.flight is None or not answer.flight.certificates or answer.sni is None:
        return False
    return made_for_untrusted(answer.flight.certificates[0], answer.sni, leaf)


def suspect(case: Case) -> Lineage | None:
    """The issuer, where it may be an interceptor's as far as this address alone can tell: worth a question."""
    verdict = case.verdict
    if verdict is None or verdict.trusted or flight_of(case.endpoint) is None:
        return None
    return lineage_of(verdict)
