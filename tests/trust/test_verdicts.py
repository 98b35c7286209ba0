"""The records say what they promise."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from scanner.trust.verdicts import ChainVerdict, NameVerdict, Problem, StoreVerdict
from tests.helpers import pki


def test_an_empty_chain_is_not_trusted() -> None:
    assert ChainVerdict(()).leaf is None
    assert not ChainVerdict(()).trusted


def test_one_store_suffices() -> None:
    stores = {
        "a": StoreVerdict("a", False, None, (), ()),
        "b": StoreVerdict("b", True, "x", ("y", "x"), ()),
    }
    assert ChainVerdict((None,), stores=stores).trusted


def test_a_verdict_is_in_order_only_without_any_problem() -> None:
    leaf = pki.certificate("www.example.org").parsed
    good = StoreVerdict("a", True, "x", ("y", "x"), ())
    verdict = ChainVerdict((leaf,), stores={"a": good}, name=NameVerdict(True))
    assert verdict.is_clean and verdict.leaf is leaf
    problem = Problem("weak-signature", None)
    worse: list[dict[str, Any]] = [
        {"sent": ()},
        {"sent": (None, leaf)},
        {"leaf_problems": (problem,)},
        {"chain_problems": (problem,)},
        {"stores": {}},
        {"stores": {"a": good, "b": StoreVerdict("b", False, None, (), (problem,))}},
        {"stores": {"a": StoreVerdict("a", True, "x", ("y", "x"), (), {"y": "aia"})}},
        {"name": None},
        {"name": NameVerdict(False, "name-not-in-san")},
    ]
    for change in worse:
        assert not replace(verdict, **change).is_clean


def test_verdicts_for_different_names_share_the_identity_of_their_chain() -> None:
    one, other = ChainVerdict(()), ChainVerdict(())
    named = one.for_name(NameVerdict(True))
    assert named.name == NameVerdict(True) and one.name is None
    assert named.identity is one.identity is named.for_name(NameVerdict(False)).identity
    assert one == other and one.identity is not other.identity
    assert replace(one).identity is not one.identity


def test_equal_verdicts_have_one_hash() -> None:
    stores = {"a": StoreVerdict("a", True, "x", ("y", "x"), (Problem("weak-signature", None, {"bits": 1024}),))}
    leaf = pki.certificate("www.example.org").parsed
    made = [ChainVerdict((leaf,), stores=dict(stores), name=NameVerdict(True), path=(leaf,)) for _ in range(2)]
    assert made[0] is not made[1] and set(made) == {made[1]}
