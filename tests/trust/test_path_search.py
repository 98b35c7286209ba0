"""Chains made to cost: an answer of its own at the end of the budget, the same one each time, with what is known besides."""

from __future__ import annotations

import gc
from functools import cache

import pytest

from scanner.trust.intermediates import Intermediates
from scanner.trust.path_search import PathSearch, interval
from scanner.trust.step_budget import MAX_STEPS
from scanner.trust.stores import TrustStore
from scanner.trust.verdicts import Problem
from scanner.trust.verifier import ChainVerifier
from tests.helpers import pki
from tests.helpers.pki import DAY, NOW, Issued, name, network, tlv

ROOT = pki.root()


def verifier_of(*stores: TrustStore) -> ChainVerifier:
    return ChainVerifier(stores, public_roots=frozenset(), intermediates=Intermediates(shipped=False))


@cache
def maze(
    issuers: int, depth: int, *, kind: str = "dns", names: int = 1, constraints: int = 0, top: Issued = ROOT
) -> tuple[Issued, ...]:
    """A leaf below ``issuers`` certificates of one CA, as many of a second one, and a line of constrained CAs; ``top``
    is the issuer of the last one."""
    if kind == "directory":
        san: list[str | bytes] = ["leaf.example", *[tlv(0xA4, name(CN=f"{n:x}")) for n in range(names)]]
        excluded: list[str | bytes] = [tlv(0xA4, name(CN=f"z{n:x}")) for n in range(constraints)]
    elif kind == "address":
        san = ["leaf.example", *[f"IP:10.0.{n >> 8}.{n & 255}" for n in range(names)]]
        excluded = [network(f"192.{n >> 8}.{n & 255}.0/24") for n in range(constraints)]
    else:
        san = ["leaf.example", *[f"n{n}.example" for n in range(names)]]
        excluded = [f"z{n}.test" for n in range(constraints)]
    extra = [pki.name_constraints(excluded=excluded)] if excluded else []
    line, above = [], top
    for place in reversed(range(depth)):
        above = pki.authority(f"D{place}", above, extra=extra)
        line.append(above)
    first = [pki.authority("B", above, serial=100 + place) for place in range(issuers)]
    second = [pki.authority("A", first[0], serial=200 + place) for place in range(issuers)]
    leaf = pki.certificate("leaf.example", issuer=second[0], san=san)
    return (leaf, *second, *first, *reversed(line))


def problems_of(verifier: ChainVerifier, chain: tuple[Issued, ...], at: float = NOW) -> list[Problem]:
    verdict = verifier.verify(tuple(item.der for item in chain), name="leaf.example", at=at)
    assert verdict.name is not None and verdict.name.matches
    return [problem for store in verdict.stores.values() for problem in store.problems]


@pytest.mark.parametrize("kind", ["directory", "address", "dns"])
def test_many_constraints_names_and_paths_are_searched_to_the_end(kind: str) -> None:
    chain = maze(4, 2, kind=kind, names=200, constraints=150)
    verifier = verifier_of(pki.store(ROOT))
    # Go does not understand constraints on directory names that are critical, and Firefox refuses all names below them
    codes = {problem.code for problem in problems_of(verifier, chain)}
    few = {"unknown-critical-extension", "name-constraint-violated"}
    assert codes <= (few if kind == "directory" else set())
    assert verifier._builder.budget.left > 0
    codes = {problem.code for problem in problems_of(verifier_of(pki.store(pki.root("Other"))), chain)}
    assert "issuer-unknown" in codes and "too-costly-to-judge" not in codes


@pytest.mark.parametrize("kind", ["directory", "address", "dns"])
def test_a_maze_is_too_costly_and_names_the_clients_that_give_up(kind: str) -> None:
    chain = maze(24, 10, kind=kind, names=200, constraints=150, top=pki.root("Nowhere"))
    (problem,) = problems_of(verifier_of(pki.store(ROOT)), chain)
    assert problem.code == "too-costly-to-judge"
    assert problem.evidence["sent"] == 59
    assert problem.evidence["steps"] == MAX_STEPS
    assert problem.evidence["refused_by"] == ["go", "java", "gnutls"]
    assert len(problem.evidence["client_limits"]) == 3


def test_a_costly_chain_gets_one_verdict_whatever_is_cached() -> None:
    chain = maze(24, 10, top=pki.root("Nowhere"))
    verifier = verifier_of(pki.store(ROOT))
    first = problems_of(verifier, chain)
    for at in (NOW, NOW + 1, NOW + DAY):  # of another day it is judged anew, with all signatures known
        assert problems_of(verifier, chain, at) == first


def test_problems_of_the_leaf_are_reported_beside_too_costly() -> None:
    chain = maze(24, 10, top=pki.root("Nowhere"))
    leaf = pki.certificate("leaf.example", issuer=chain[1], not_after=NOW - DAY)
    verdict = verifier_of(pki.store(ROOT)).verify(
        (leaf.der, *[item.der for item in chain[1:]]), name="other.example", at=NOW
    )
    (store,) = verdict.stores.values()
    assert [problem.code for problem in store.problems] == ["certificate-expired", "too-costly-to-judge"]
    assert verdict.name is not None and verdict.name.code == "name-not-in-san"


def test_go_is_not_named_if_it_finds_a_root_within_its_limit() -> None:
    """What is sent beside a path costs us, and no client: the path is found, and the rest is not looked through."""
    chain = maze(24, 10, top=pki.root("Nowhere"))
    direct = pki.authority("A", ROOT, private=chain[1].private)
    verdict = verifier_of(pki.store(ROOT)).verify(
        (chain[0].der, direct.der, *[i.der for i in chain[1:]]), name=None, at=NOW
    )
    assert verdict.trusted
    codes = {problem.code: problem for problem in verdict.chain_problems}
    assert "go" not in codes["too-costly-to-judge"].evidence["refused_by"]


def test_a_store_whose_search_is_too_costly_does_not_change_the_others() -> None:
    chain = maze(24, 10, top=pki.root("Nowhere"))
    stores = pki.store(chain[1], name="near"), pki.store(ROOT, name="far")
    verdict = verifier_of(*stores).verify(tuple(item.der for item in chain), name=None, at=NOW)
    assert verdict.stores["near"].trusted
    assert [problem.code for problem in verdict.stores["far"].problems] == ["too-costly-to-judge"]


def test_more_comparisons_than_openssl_makes_are_refused_by_it() -> None:
    chain = maze(1, 1, names=1100, constraints=1000)
    (problem,) = problems_of(verifier_of(pki.store(ROOT)), chain)
    assert problem.code == "too-costly-to-judge"
    assert problem.evidence["comparisons"] == 1102 * 1000
    assert problem.evidence["refused_by"] == ["openssl", "curl", "python", "gnutls", "chrome"]
    assert problems_of(verifier_of(pki.store(ROOT)), maze(1, 1, names=900, constraints=1000)) == []


def test_interval_ends_where_a_certificate_begins_or_ends() -> None:
    early = pki.certificate("a.example", issuer=ROOT, not_before=NOW - DAY, not_after=NOW + 9 * DAY).parsed
    late = pki.certificate("b.example", issuer=ROOT, not_before=NOW + DAY, not_after=NOW + 2 * DAY).parsed
    assert interval([early, late], NOW) == (NOW - DAY, NOW + DAY)
    assert interval([], NOW) == (float("-inf"), float("inf"))


def test_a_costly_chain_is_judged_once_for_a_target() -> None:
    """Its verdict is kept at first sight, whatever else is judged before it is asked for again."""
    chain = tuple(item.der for item in maze(24, 10, top=pki.root("Nowhere")))
    verifier = verifier_of(pki.store(ROOT))
    first = verifier.verify(chain, name="leaf.example", at=NOW)
    budget = verifier._builder.budget
    verifier.verify((pki.certificate("b.example", issuer=ROOT).der,), name="b.example", at=NOW)
    assert verifier._builder.budget is not budget
    budget = verifier._builder.budget
    assert verifier.verify(chain, name="leaf.example", at=NOW) is first
    assert verifier._builder.budget is budget


def test_a_finished_verification_leaves_no_search_behind() -> None:
    """A search that ended early held itself, and with it certificates of any size."""
    gc.collect()  # searches of other tests
    verifier = verifier_of(pki.store(ROOT))
    for number in range(3):
        issuer = pki.certificate(f"Issuing {number}", issuer=ROOT, ca=True)
        chain = pki.certificate("leaf.example", issuer=issuer).der, issuer.der
        assert verifier.verify(chain, name="leaf.example", at=NOW).trusted
    assert not [each for each in gc.get_objects() if isinstance(each, PathSearch)]
