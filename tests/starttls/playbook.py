"""Scripted conversations: what the server sends, what the client must send in between, and the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scanner.starttls import Dialogue, NeedData, Outcome, dialogue
from scanner.tls.plaintext import recognise

HOST = "a.example"


def opened(protocol: str) -> Dialogue:
    """A fresh dialogue that can recognise other protocols."""
    fresh = dialogue(protocol, host=HOST, recognise=recognise)
    assert fresh is not None
    return fresh


def play(protocol: str, *script: tuple[str, bytes]) -> Outcome:
    """Play ``("C", what the client must send)`` and ``("S", what the server sends)``. Return the outcome, for any chunking."""
    talk = opened(protocol)
    for speaker, said in script:
        if speaker == "C":
            assert talk.data_to_send() == said
            continue
        assert isinstance(talk.outcome, NeedData), f"decided before {said!r}: {talk.outcome}"
        talk.receive_data(said)
    assert talk.data_to_send() == b""
    outcome = talk.outcome
    server = b"".join(said for speaker, said in script if speaker == "S")
    assert answer(protocol, [server]) == outcome
    assert answer(protocol, [server[at : at + 1] for at in range(len(server))]) == outcome
    return outcome


def answer(protocol: str, chunks: Iterable[bytes]) -> Outcome:
    """The outcome of these chunks, all sent without waiting for the client."""
    talk = opened(protocol)
    for chunk in chunks:
        if chunk:
            talk.receive_data(chunk)
    return talk.outcome


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """``data`` in pieces, cut at ``places`` (any numbers)."""
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
