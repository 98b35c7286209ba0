"""OpenSSL's own tests of its verifier (test/recipes/25-test_verify.t): what it refuses, we say that OpenSSL refuses.

They come with its sources only; ``TLSWEEP_OPENSSL`` names a folder with these.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from scanner.x509.pem import certificates_in_pem
from tests.helpers.pki import NOW
from tests.helpers.suites import refused_by

FOLDER = Path(os.environ.get("TLSWEEP_OPENSSL", "/nonexistent"))
RECIPE = FOLDER / "test" / "recipes" / "25-test_verify.t"

pytestmark = pytest.mark.skipif(not RECIPE.is_file(), reason="TLSWEEP_OPENSSL names no folder with OpenSSL's sources")

_TEST = re.compile(
    r'ok\((!?)verify\("([^"]+)",\s*"(\w*)",\s*(\[[^\]]*\]),\s*(\[[^\]]*\])((?:,\s*"[^"]*")*)\),?\s*"([^"]*)"', re.DOTALL
)
# Options under which it verifies as its clients do by default. Ours are anchors whether self-signed or not.
_OPTIONS: tuple[set[str], ...] = (set(), {"-partial_chain"}, {"-auth_level", "2"})
DIFFERENT: dict[str, str] = {}
#: Anchors in which FALSE is encoded where it is the default: such certificates are not read.
NOT_ASKED = ("root-ed25519", "ee-ed25519")


class Case(NamedTuple):
    accepted: bool
    leaf: str
    trusted: list[str]
    sent: list[str]


def _words(text: str) -> list[str]:
    inner = text.strip("[]").strip()
    return inner[3:-1].split() if inner.startswith("qw(") else re.findall(r'"([^"]+)"', inner)


def _ders(name: str) -> list[bytes] | None:
    """Return certificates of a file; ``None`` for one with OpenSSL's own trust settings."""
    text = (FOLDER / "test" / "certs" / f"{name}.pem").read_bytes()
    return None if b"TRUSTED CERTIFICATE" in text else list(certificates_in_pem(text))


@cache
def cases() -> dict[str, Case]:
    """Return the tests for servers, with the options of a TLS client, and without OpenSSL's files of trust settings."""
    if not RECIPE.is_file():
        return {}
    found = {}
    for place, match in enumerate(_TEST.finditer(RECIPE.read_text(encoding="utf-8"))):
        refused, leaf, purpose, trusted, sent, options, label = match.groups()
        case = Case(not refused, leaf, _words(trusted), _words(sent))
        named = set(re.findall(r'"([^"]*)"', options))
        if purpose not in ("sslserver", "") or named not in _OPTIONS or not case.trusted:
            continue
        if any(name in NOT_ASKED for name in case.trusted):
            continue
        if any(_ders(name) is None for name in (leaf, *case.trusted, *case.sent)):
            continue
        found[f"{place}: {label} ({leaf})"] = case
    return found


@pytest.mark.parametrize("label", cases())
def test_chains_that_openssl_verifies(label: str) -> None:
    case = cases()[label]
    (leaf, *_), sent, anchors = (
        [der for name in names for der in _ders(name) or ()] for names in ([case.leaf], case.sent, case.trusted)
    )
    refusing = refused_by(leaf, sent, anchors, name=None, at=NOW)
    accepted = "openssl" not in refusing
    if label in DIFFERENT:
        assert accepted is not case.accepted, "agrees now: take it off the list"
    else:
        assert accepted is case.accepted, refusing


def test_the_tests_are_found() -> None:
    assert len(cases()) > 30 and DIFFERENT.keys() <= cases().keys()
