"""Every protocol that opens in words has its dialogue, and all dialogues keep the promises of ``scanner.starttls.base``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.starttls import PROTOCOLS, Dialogue, NeedData, Ready, dialogue
from scanner.starttls.base import MOST_BYTES, MOST_FIRST_BYTES
from scanner.starttls.dialogues import DIALOGUES
from tests.starttls.playbook import answer, cut, opened

NAMES = sorted(DIALOGUES)


def test_exactly_those_that_open_in_words_have_one() -> None:
    assert set(DIALOGUES) == {name for name, protocol in PROTOCOLS.items() if protocol.starttls}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_dialogue_for_each_protocol_or_none(name: str) -> None:
    talk = dialogue(name, host="a.example")
    assert (talk is not None) is PROTOCOLS[name].starttls
    if talk is not None:
        assert isinstance(talk, Dialogue)
        assert talk.host == "a.example"
        assert "a.example" in repr(talk)
        assert isinstance(talk.next(), NeedData)


def test_what_is_no_protocol_has_none() -> None:
    with pytest.raises(KeyError):
        dialogue("gopher", host="a.example")


def test_dialogues_share_nothing() -> None:
    for name in NAMES:
        one, other = opened(name), opened(name)
        one.receive_data(b"\xff" * MOST_BYTES)
        assert isinstance(other.next(), NeedData), name
        assert other.leftover == b""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hello", [b"\x16\x03\x03\x00\x01\x02", b"\x15\x03\x01\x00\x02\x02\x28"])
def test_tls_at_once_is_recognised(name: str, hello: bytes) -> None:
    outcome = answer(name, [hello])
    assert getattr(outcome, "recognised", None) == "tls"


@pytest.mark.parametrize("name", NAMES)
def test_what_never_ends_is_ended(name: str) -> None:
    talk = opened(name)
    for _ in range(MOST_BYTES):
        talk.receive_data(b"2")
        if not isinstance(talk.next(), NeedData):
            break
    assert not isinstance(talk.next(), NeedData)
    assert len(talk.first_bytes) <= MOST_FIRST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_the_stream_is_an_answer(name: str) -> None:
    talk = opened(name)
    talk.receive_data(b"")
    assert not isinstance(talk.next(), NeedData | Ready)


# Pieces of what servers say, in any order
PIECES = (
    b"220 x\r\n", b"250-x\r\n", b"250 STARTTLS\r\n", b"* OK x\r\n", b"a OK\r\n", b"+OK\r\n", b"S", b"N", b"\x00", b"\n",
    b"<?xml version='1.0'?>", b"<stream:stream>", b"<proceed/>", b":x 670 y :z\r\n", b"\x04\x01\x00\x2b",
)  # fmt: skip
SAID = st.binary(max_size=200) | st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join)


@pytest.mark.parametrize("name", NAMES)
@given(said=SAID, places=st.lists(st.integers(0, 1000), max_size=6))
def test_no_words_make_it_raise_and_no_cutting_changes_the_answer(name: str, said: bytes, places: list[int]) -> None:
    whole = answer(name, [said])
    assert answer(name, cut(said, places)) == whole
    talk = opened(name)
    talk.receive_data(said)
    talk.data_to_send()
    assert said.endswith(talk.leftover)
    assert said.startswith(talk.first_bytes[: len(said)])


@pytest.mark.parametrize("name", NAMES)
@given(said=st.binary(max_size=200), places=st.lists(st.integers(0, 1000), max_size=6))
def test_carrying_tls_loses_nothing(name: str, said: bytes, places: list[int]) -> None:
    """What is wrapped comes out again, however it is cut."""
    sender, receiver = opened(name), opened(name)
    wrapped = sender.wrap(said)
    got = b"".join(receiver.unwrap(piece) for piece in cut(wrapped, places))
    assert got == said


@given(said=st.binary(max_size=300), places=st.lists(st.integers(0, 1000), max_size=6))
def test_any_bytes_can_be_unwrapped_in_any_pieces(said: bytes, places: list[int]) -> None:
    whole = opened("mssql").unwrap(said)
    talk = opened("mssql")
    assert b"".join(talk.unwrap(piece) for piece in cut(said, places)) == whole
