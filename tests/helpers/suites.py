"""What a finding on a chain of somebody else's test suite says that clients do."""

from __future__ import annotations

from collections.abc import Sequence

from scanner.diagnosis.case import Context
from scanner.diagnosis.clients.endings import OK
from scanner.diagnosis.clients.predict import predict
from scanner.diagnosis.engine import diagnose
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import TrustStore
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from tests.helpers.evidence import HOST, answered, evidence, target, verdicts


def refused_by(
    leaf: bytes, sent: Sequence[bytes], anchors: Sequence[bytes], *, name: str | None, at: float
) -> dict[str, str]:
    """Return the clients that a finding on this chain says refuse it, with their words. Without ``name``, names are no matter."""
    store = TrustStore("suite", [Certificate.parse_untrusted(anchor) for anchor in anchors])
    verifier = ChainVerifier([store], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    host = name or HOST
    seen = evidence(answered((leaf, *sent), sni=host), of=target(host))
    found = diagnose(seen, verdicts(seen, verifier, at), Context(at=at))
    told = [item for item in found.diagnoses if name is not None or item["cause"] != "hostname-mismatch"]
    return {client: text for client, text in predict(seen.target, told).items() if text != OK}
