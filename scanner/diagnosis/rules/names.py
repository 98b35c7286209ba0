"""Rules on the name: is the certificate for what was asked (RFC 9525), and if not, whose is it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scanner.diagnosis.case import BROWSER_PROTOCOLS, Case, followup
from scanner.diagnosis.claim import Claim
from scanner.diagnosis.rules.certificate import BROWSERS, SHOWN
from scanner.trust import placeholders


def name_claims(case: Case) -> Iterator[Claim]:
    """Yield the mismatch, and whether the certificate is the server's answer to any name."""
    verdict = case.verdict
    name = verdict.name if verdict is not None else None
    if verdict is None or name is None or name.code is None:
        return
    wanted = case.target.name
    evidence: dict[str, Any] = {"name": wanted, "nearest": list(name.nearest), "names": name.names}
    if name.common_name is not None:
        evidence["common_name"] = name.common_name
    if verdict.leaf is not None:
        evidence["certificate"] = verdict.leaf.sha256
    if name.code == "wildcard-depth":
        evidence["wildcard"] = next((entry for entry in name.nearest if _would_cover(entry, wanted)), "a wildcard")
    if verdict.trusted and verdict.leaf is not None and (known := placeholders.match(verdict.leaf)) is not None:
        # a store has this very certificate, or its product's CA, and still it names nobody who asks
        product, entry = known
        if entry.decides:
            issuing = {"subject": verdict.leaf.subject, "issuer": verdict.leaf.issuer}
            yield Claim("placeholder-certificate", {"product": product, "certificate": verdict.leaf.sha256, **issuing})
    if name.refused_by:
        evidence |= {"reason": name.reason, "refused_by": [SHOWN.get(client, client) for client in name.refused_by]}
        only_browsers = BROWSERS.issuperset(name.refused_by) and case.target.protocol not in BROWSER_PROTOCOLS
        yield Claim(name.code, evidence, "note" if only_browsers else None)
        return
    yield Claim(name.code, evidence)
    # Where the name was clearly meant (a wildcard too short, the common name), the server's choice explains nothing.
    if name.code == "name-not-in-san" and _same_for_any_name(case):
        yield Claim("default-certificate", evidence)


def _same_for_any_name(case: Case) -> bool:
    answer = followup(case.endpoint, "default-certificate")
    first = case.probe.flight
    if answer is None or not answer.ok or answer.flight is None or first is None:
        return False
    return bool(first.certificates) and answer.flight.leaf_first[:1] == first.leaf_first[:1]


def _would_cover(entry: str, wanted: str) -> bool:
    lowered = entry.lower()
    return lowered.startswith("*.") and (wanted == lowered[2:] or wanted.endswith(lowered[1:]))
