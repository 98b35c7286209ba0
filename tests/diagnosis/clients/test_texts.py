"""The tables of texts are well-formed."""

from __future__ import annotations

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.endings import CLIENTS
from scanner.diagnosis.clients.texts import (
    ADDRESS_TEXTS,
    COMPARISONS_TEXTS,
    KEY_FORM_TEXTS,
    NAME_TEXTS,
    TEXTS,
    TOO_COSTLY_TEXTS,
    TOO_LONG_TEXTS,
    USAGE_TEXTS,
)


def test_codes_and_clients_are_known() -> None:
    assert set(TEXTS) <= set(CODES)
    others = (NAME_TEXTS, ADDRESS_TEXTS, KEY_FORM_TEXTS, TOO_LONG_TEXTS, COMPARISONS_TEXTS, TOO_COSTLY_TEXTS)
    for texts in (*TEXTS.values(), *USAGE_TEXTS.values(), *others):
        assert set(texts) <= set(CLIENTS)
        assert all(text and text == text.strip() for text in texts.values())


def test_every_table_has_every_client_or_says_ok() -> None:
    """What is said of a wrong name is known for everybody."""
    for texts in (NAME_TEXTS, ADDRESS_TEXTS):
        assert set(texts) == set(CLIENTS)
