"""Revocation services that cannot be reached are said where none can be, on the targets that name them."""

from __future__ import annotations

from msgspec.structs import replace

from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.model.evidence import FetchedIssuer, RevocationAnswer
from tests.helpers.evidence import answered, codes, diagnosed, evidence, leaf, proof

FLEET = FleetVerdict(revocation_blocked={"hosts_count": 3, "hosts": ["a.example"]})
BLOCKED = RevocationAnswer(
    leaf().sha256, "crl", "http://crl.example/1.crl", "unavailable", error="timed out", blocked=True
)


def test_said_with_the_fleets_word_and_the_targets_own_urls() -> None:
    issuer = FetchedIssuer("ab", "http://aia.example/ca.cer", error="timed out", blocked=True)
    seen = replace(evidence(answered()), revocation=(BLOCKED,), issuers=(issuer,))
    diagnosis = diagnosed(seen, fleet=FLEET)
    assert "revocation-blocked?" in codes(diagnosis) and diagnosis.outcome == "warn"
    assert proof(diagnosis, "revocation-blocked")["urls"] == [BLOCKED.url, issuer.url]
    assert "3 unrelated hosts" in diagnosis.diagnoses[0]["summary"]


def test_without_verdict_or_urls_there_is_no_claim() -> None:
    assert "revocation-blocked?" not in codes(diagnosed(replace(evidence(answered()), revocation=(BLOCKED,))))
    assert codes(diagnosed(evidence(answered()), fleet=FLEET)) == []
    answer = replace(BLOCKED, blocked=False)
    assert "revocation-blocked?" not in codes(
        diagnosed(replace(evidence(answered()), revocation=(answer,)), fleet=FLEET)
    )
