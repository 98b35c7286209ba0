"""BoringSSL's own tests of its verifier, which is Chrome's: what it refuses, we say that Chrome refuses.

They come with its sources only; ``TLSWEEP_BORINGSSL`` names a folder with these (``pki/testdata``).
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from scanner.x509.pem import certificates_in_pem
from tests.helpers.suites import refused_by

FOLDER = (
    Path(os.environ.get("TLSWEEP_BORINGSSL", "/nonexistent")) / "pki" / "testdata" / "verify_certificate_chain_unittest"
)

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="TLSWEEP_BORINGSSL names no folder with BoringSSL's sources"
)

_DEFAULT_TIME = "211005120000Z"
# How Chrome takes anchors that are in the system's store: their constraints count, their dates do not.
_ANCHORS = ("TRUSTED_ANCHOR_WITH_CONSTRAINTS", "TRUSTED_ANCHOR")
_LOCAL = (
    "Chrome 156 holds anchors of the local store to dates and constraints of their own (the roots in docs/clients.md)"
)
_FETCHED = "Chrome would fetch what authorityInfoAccess names, so that nothing is said of it"
_IN_TLS = "Chrome refuses such a key usage in the handshake: ERR_SSL_KEY_USAGE_INCOMPATIBLE (docs/clients.md)"
_STRENGTH = "the test lets keys of 1024 bits and SHA-1 pass, which Chrome 156 refuses (docs/clients.md)"
DIFFERENT = {
    **dict.fromkeys(
        (
            "expired-root/not-after",
            "expired-root/not-after-ta-with-constraints",
            "expired-root/not-before",
            "policies-inhibit-anypolicy-by-root-fail/main",
            "policies-inhibit-mapping-by-root-fail/main",
            "policies-on-root-wrong/main",
            "policies-required-by-root-fail/main",
            "policy-mappings-on-root-fail/main",
            "root-basic-constraints-ca-false/main",
            "root-eku-clientauth/serverauth",
            "root-lacks-keycertsign-key-usage/main",
            "violates-pathlen-1-from-root/main",
        ),
        _LOCAL,
    ),
    **dict.fromkeys(
        ("incorrect-trust-anchor/main", "intermediate-and-target-wrong-signature/main", "target-wrong-signature/main"),
        _FETCHED,
    ),
    **dict.fromkeys(
        (
            f"target-serverauth-various-keyusages/{kind}-{usage}"
            for kind in ("ec", "rsa")
            for usage in ("decipherOnly", "keyAgreement", "keyEncipherment")
        ),
        _IN_TLS,
    ),
    "target-not-end-entity/main": _IN_TLS,
    "issuer-and-subject-not-byte-for-byte-equal/anchor": _STRENGTH,
    "issuer-and-subject-not-byte-for-byte-equal/target": _STRENGTH,
}


class Case(NamedTuple):
    chain: Path
    at: float
    accepted: bool


def _field(text: str, name: str) -> str:
    found = re.search(rf"(?m)^{name}: (.*)$", text)
    return "" if found is None else found[1].strip()


@cache
def cases() -> dict[str, Case]:
    """Return the tests of servers' certificates."""
    found = {}
    for file in sorted(FOLDER.glob("*/*.test")) if FOLDER.is_dir() else ():
        text = file.read_text(encoding="utf-8")
        if _field(text, "key_purpose") != "SERVER_AUTH" or _field(text, "last_cert_trust") not in _ANCHORS:
            continue
        if "user_initial_policy_set" in text or "initial_" in text.partition("expected_errors")[0]:
            continue
        moment = _field(text, "utc_time")
        at = datetime.strptime(_DEFAULT_TIME if moment == "DEFAULT" else moment, "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
        errors = text.partition("expected_errors:")[2]
        chain = file.parent / _field(text, "chain")
        if chain.read_text(encoding="utf-8").count("BEGIN CERTIFICATE") < 2:
            continue  # a leaf that is the anchor itself
        found[f"{file.parent.name}/{file.stem}"] = Case(chain, at.timestamp(), "ERROR:" not in errors)
    return found


@pytest.mark.parametrize("label", cases())
def test_chains_that_chrome_verifies(label: str) -> None:
    case = cases()[label]
    leaf, *sent, anchor = certificates_in_pem(case.chain.read_bytes())
    refusing = refused_by(leaf, sent, [anchor], name=None, at=case.at)
    accepted = "chrome" not in refusing
    if label in DIFFERENT:
        assert accepted is not case.accepted, "agrees now: take it off the list"
    else:
        assert accepted is case.accepted, refusing


def test_the_tests_are_found() -> None:
    assert len(cases()) > 50 and DIFFERENT.keys() <= cases().keys()
