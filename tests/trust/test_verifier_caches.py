"""What a judge keeps is bounded in bytes, whatever servers send."""

from __future__ import annotations

import pytest

from scanner.caching import Cache
from scanner.trust import verifier_caches
from scanner.trust.intermediates import Intermediates
from scanner.trust.paths import MAX_PATHS_KEPT, PATH_BYTES, IssuerPath, PathSet, chain_context
from scanner.trust.step_budget import Charges
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate
from tests.helpers import pki
from tests.helpers.pki import NOW

ROOT = pki.root()
CA = pki.authority("Test CA", ROOT)


def large(number: int, names: int = 500) -> bytes:
    """A leaf with many names of its own."""
    return pki.certificate(f"l{number}.example", issuer=CA, san=[f"n{n}.of{number}.example" for n in range(names)]).der


def test_verdicts_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    leaf = large(0)
    monkeypatch.setattr(verifier_caches, "MAX_CHAINS_BYTES", 10 * 9 * (len(leaf) + len(CA.der) + 1000))
    monkeypatch.setattr(verifier_caches, "MAX_LEAVES_BYTES", 10 * 7 * (len(leaf) + 1000))
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    for _ in range(2):  # kept the second time
        for number in range(20):
            verifier.verify((large(number), CA.der), name=None, at=NOW)
    for cache, most in (
        (verifier._chains, verifier_caches.MAX_CHAINS_BYTES),
        (verifier._leaves, verifier_caches.MAX_LEAVES_BYTES),
    ):
        assert isinstance(cache, Cache)
        assert 5 <= len(cache) <= 10
        assert most / 2 < cache.bytes <= most


def test_a_chain_is_verified_once() -> None:
    verifier = ChainVerifier([pki.store(ROOT)], public_roots=frozenset(), intermediates=Intermediates(shipped=False))
    chain = (pki.certificate("one.example", issuer=CA).der, CA.der)
    verdicts = [verifier.verify(chain, name=None, at=NOW) for _ in range(3)]
    assert verdicts[0] is verdicts[1] is verdicts[2]


def test_issuers_and_contexts_count_the_bytes_of_their_certificates() -> None:
    cache = ChainVerifier([], public_roots=frozenset(), intermediates=Intermediates(shipped=False))._issuers
    issuer = Certificate.parse_untrusted(CA.der)
    cache.put(CA.der, issuer)
    assert cache.bytes == 7 * len(CA.der)
    context = ChainVerifier([], public_roots=frozenset(), intermediates=Intermediates(shipped=False))._contexts
    context.put(("a",), (chain_context(pki.store(ROOT), (issuer,)),))
    assert context.bytes == 7 * len(CA.der) + 4 * PATH_BYTES


def test_paths_above_the_issuers_of_one_server_are_bounded() -> None:
    context = chain_context(pki.store(ROOT), (Certificate.parse_untrusted(CA.der),))
    path = IssuerPath((), "unknown", (), (), 0.0, 0.0, False)
    context.keep(("a", False), PathSet([path] * (MAX_PATHS_KEPT - 1), Charges(), 0))
    context.keep(("b", False), PathSet([path] * 2, Charges(), 0))
    context.keep(("c", False), PathSet([path], Charges(), 0))
    assert [key for key, _ in context.paths] == ["a", "c"] and context.kept == MAX_PATHS_KEPT
    context.keep(("a", False), PathSet([path], Charges(), 1))
    assert context.kept == 2 and context.paths["a", False].pool == 1
