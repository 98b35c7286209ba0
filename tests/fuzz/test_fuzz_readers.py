"""A short deterministic run of the fuzz target for the readers, and proof that it detects violations."""

from __future__ import annotations

from random import Random

import pytest

from scanner.x509 import ocsp, sct
from tests.fuzz import fuzz_readers as module
from tests.fuzz.fuzz_readers import READERS, WORLD, Violation, change_tree, main, parse, play
from tests.helpers import pki, revocation

# Cases of each reader; all together take some three seconds.
CASES = 150


@pytest.mark.parametrize("reader", READERS)
def test_changed_input_never_violates_the_invariant(reader: str) -> None:
    for number in range(CASES):
        assert play(f"{reader}-test-{number}") == reader


def test_an_encoding_is_parsed_and_encoded_without_changes() -> None:
    for data in (WORLD.leaf.der, revocation.ocsp(WORLD.leaf, WORLD.ca), revocation.crl(WORLD.ca)):
        (top,) = parse(data)
        assert top.encoded() == data


def test_the_same_key_makes_the_same_change() -> None:
    data = WORLD.leaf.der
    assert change_tree(Random("a"), data) == change_tree(Random("a"), data) != change_tree(Random("b"), data)


def test_changed_trees_reach_deep() -> None:
    """Changed trees are parsed further than changed bytes."""
    said = set()
    for number in range(300):
        try:
            ocsp.parse_untrusted(change_tree(Random(number), revocation.ocsp(WORLD.leaf, WORLD.ca)))
        except ocsp.OcspError as error:
            said.add(str(error))
        else:
            said.add("read")
    assert "read" in said and len(said) > 30


def test_an_undeclared_exception_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(response: bytes, _certificate: object) -> list[bytes]:
        kind, octets = pki.tlv(5), response  # the original reader
        raise ValueError(len(kind + octets))

    monkeypatch.setattr(sct, "stapled_untrusted", unpack)
    with pytest.raises(ValueError, match=r"[0-9]"):
        play("ocsp-x-1")


def test_too_many_calls_are_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CALLS", 5)
    with pytest.raises(Violation, match="calls, more than 5"):
        play("http-x-1")


def test_the_command_line_names_the_case_to_repeat(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--seconds", "0.3", "--seed", "by hand"]) == 0
    assert main(["--case", "http-by hand-1"]) == 0
    assert "1 http" in capsys.readouterr().out

    def broken(_: Random) -> None:
        raise SystemError("a panic")

    monkeypatch.setitem(READERS, "http", broken)
    assert main(["--reader", "http", "--seconds", "1"]) == 1
    assert "--case http-1-0" in capsys.readouterr().out
