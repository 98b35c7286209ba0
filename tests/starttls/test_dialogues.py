"""Every protocol with STARTTLS has its dialogue, and no other has one."""

from __future__ import annotations

import pytest

from scanner.starttls import PROTOCOLS, Dialogue, NeedData, dialogue
from scanner.starttls.base import MAX_BYTES
from scanner.starttls.dialogues import DIALOGUES
from tests.starttls.playbook import opened


def test_protocols_with_starttls_have_a_dialogue() -> None:
    assert set(DIALOGUES) == {name for name, protocol in PROTOCOLS.items() if protocol.starttls}


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_dialogue_is_none_where_tls_begins_at_once(name: str) -> None:
    talk = dialogue(name, host="a.example")
    assert (talk is not None) is PROTOCOLS[name].starttls
    if talk is not None:
        assert isinstance(talk, Dialogue)
        assert talk.host == "a.example"
        assert "a.example" in repr(talk)
        assert isinstance(talk.outcome, NeedData)


def test_an_unknown_protocol_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        dialogue("gopher", host="a.example")


def test_dialogues_share_no_state() -> None:
    for name in DIALOGUES:
        one, other = opened(name), opened(name)
        one.receive_data(b"\xff" * MAX_BYTES)
        assert isinstance(other.outcome, NeedData), name
        assert other.leftover == b""
