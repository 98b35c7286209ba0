"""The records say what they promise."""

from __future__ import annotations

from scanner.pki.verdicts import ChainVerdict, StoreVerdict


def test_an_empty_chain_is_trusted_by_nobody() -> None:
    assert ChainVerdict(()).leaf is None
    assert not ChainVerdict(()).trusted


def test_one_store_suffices() -> None:
    stores = {
        "a": StoreVerdict("a", False, None, (), ()),
        "b": StoreVerdict("b", True, "x", ("y", "x"), ()),
    }
    assert ChainVerdict((None,), stores=stores).trusted
