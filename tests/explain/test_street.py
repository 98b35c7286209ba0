"""Messages as people paste them from logs, dialogs and other languages lead to what they mean, by their kind."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from scanner.explain.meanings import interpret

STREET: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("street.toml").read_text("utf-8"))


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        pytest.param(text, codes, id=f"{kind}: {text[:40]}")
        for kind, messages in STREET.items()
        for text, codes in messages.items()
    ],
)
def test_pasted_messages_lead_to_what_they_mean(text: str, codes: str) -> None:
    interpretation = interpret(text)
    assert interpretation.meanings
    assert interpretation.codes[:1] == tuple(codes.split()[:1])
    assert set(codes.split()) <= set(interpretation.codes)


@pytest.mark.parametrize(
    "text",
    [
        "The server's certificate, signed last year, is no longer accepted",
        "36874 rows were read",
        "HTTP 200, 525 bytes",
        "event 4624: an account was logged on",
        "error code 0x80070005",
        "status: (0x0)",
    ],
)
def test_numbers_and_words_of_other_things_are_not_recognised(text: str) -> None:
    assert interpret(text).meanings == ()


def test_a_phrase_with_a_gap_matches_only_nearby_parts() -> None:
    assert interpret("Hostname mail.example.org not verified").codes[0] == "name-not-in-san"
    assert interpret("Hostname " + "mail " * 200 + "not verified").meanings == ()
    assert interpret("not verified: the Hostname").meanings == ()
