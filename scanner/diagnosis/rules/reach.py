"""Revocation services that cannot be reached: said where the fleet says that none can, so that no CA is blamed for it."""

from __future__ import annotations

from collections.abc import Iterator

from scanner.diagnosis.case import Context
from scanner.diagnosis.claim import Claim
from scanner.model.evidence import Evidence

# URLs in one finding
MAX_URLS = 5


def reach_claims(evidence: Evidence, context: Context) -> Iterator[Claim]:
    """Yield ``revocation-blocked`` if the target's certificates name what could not be reached."""
    fleet = context.fleet.revocation_blocked
    if fleet is None:
        return
    tried = [answer.url for answer in evidence.revocation if answer.blocked]
    tried += [fetched.url for fetched in evidence.issuers if fetched.blocked]
    if tried:
        urls = list(dict.fromkeys(tried))
        yield Claim("revocation-blocked", {"urls": urls[:MAX_URLS], "url": urls[0], **fleet})
