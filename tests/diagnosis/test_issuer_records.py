"""A finding says of an issuer that nobody trusts what a fold over findings needs; of others nothing."""

from __future__ import annotations

from scanner.model.evidence import Evidence
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.evidence import HOST, answered, at, chain, evidence, finding_of, root, verifier

BOX = pki.certificate(pki.name(O="Zscaler Inc.", CN="Zscaler Root CA"), ca=True)


def written(seen: Evidence, by: ChainVerifier | None = None) -> list[object]:
    return [endpoint.get("untrusted_issuer") for endpoint in finding_of(seen, by=by)["endpoints"]]


def test_an_issuer_that_nobody_trusts() -> None:
    boxed = answered([pki.certificate(HOST, issuer=BOX, private=BOX.private), BOX])
    (issuer,) = written(evidence(at(boxed)))
    assert isinstance(issuer, dict)
    assert issuer["named"] and issuer["own_key"] and issuer["product"] == "Zscaler" and "operated" not in issuer
    both = evidence(at(boxed), at(answered(chain()), "192.0.2.2"))
    issuer, other = written(both, verifier(root(), public=True))
    assert isinstance(issuer, dict) and issuer["elsewhere"] is True and other is None


def test_nothing_of_others() -> None:
    assert written(evidence(at(answered()))) == [None]
    assert written(evidence(at(answered([pki.certificate(HOST)])))) == [None]
