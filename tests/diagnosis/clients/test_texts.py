"""The tables of texts are well-formed."""

from __future__ import annotations

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.endings import CLIENTS
from scanner.diagnosis.clients.texts import ADDRESS_TEXTS, NAME_TEXTS, TEXTS


def test_codes_and_clients_are_known() -> None:
    assert set(TEXTS) <= set(CODES)
    for texts in (*TEXTS.values(), NAME_TEXTS, ADDRESS_TEXTS):
        assert set(texts) <= set(CLIENTS)
        assert all(text and text == text.strip() for text in texts.values())


def test_whole_tables() -> None:
    """What is said of a wrong name is known for everybody."""
    for texts in (NAME_TEXTS, ADDRESS_TEXTS):
        assert set(texts) == set(CLIENTS)
