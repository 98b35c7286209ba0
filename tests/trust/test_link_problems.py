"""The evidence of problems of one link; ``test_paths`` and ``test_verifier`` test when they are reported."""

from __future__ import annotations

import pytest

from scanner.trust.link_problems import key_identifiers_match, not_verified, other_key
from tests.helpers import pki

ROOT = pki.root()


@pytest.mark.parametrize(("without", "matches"), [(["aki"], True), ([], False)])
def test_key_identifiers_match_unless_both_are_there_and_differ(without: list[str], matches: bool) -> None:
    other = pki.root("Other")
    leaf = pki.certificate("leaf.example", issuer=ROOT, without=without).parsed
    assert key_identifiers_match(leaf, ROOT.parsed)
    assert key_identifiers_match(leaf, other.parsed) is matches


def test_evidence_names_keys_and_reasons() -> None:
    leaf = pki.certificate("leaf.example", issuer=ROOT).parsed
    assert not_verified(leaf, ROOT.parsed, False).code == "bad-signature"
    unchecked = not_verified(leaf, ROOT.parsed, None)
    assert unchecked.code == "unsupported-algorithm" and "cannot verify" in unchecked.evidence["reason"]
    assert other_key(leaf, ROOT.parsed).evidence["authority_key_id"] == (leaf.authority_key_id or b"").hex()
