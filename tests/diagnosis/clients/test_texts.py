"""The tables of texts are well-formed."""

from __future__ import annotations

import inspect

from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.clients.endings import CLIENTS
from scanner.diagnosis.clients.texts import (
    ADDRESS_TEXTS,
    COMPARISONS_TEXTS,
    KEY_FORM_TEXTS,
    NAME_TEXTS,
    RELEASES,
    TEXTS,
    TOO_COSTLY_TEXTS,
    TOO_LONG_TEXTS,
    USAGE_TEXTS,
)
from scanner.model import findings


def test_codes_and_clients_are_known() -> None:
    assert set(TEXTS) <= set(CODES)
    others = (NAME_TEXTS, ADDRESS_TEXTS, KEY_FORM_TEXTS, TOO_LONG_TEXTS, COMPARISONS_TEXTS, TOO_COSTLY_TEXTS)
    for texts in (*TEXTS.values(), *USAGE_TEXTS.values(), *others):
        assert set(texts) <= set(CLIENTS)
        assert all(text and text == text.strip() for text in texts.values())


def test_predictions_name_the_releases_of_every_client() -> None:
    """They stand in the description of a finding's field as well."""
    assert set(RELEASES) == set(CLIENTS)
    described = inspect.getsource(findings)
    for client in ("openssl", "curl", "go", "java", "node", "chrome", "firefox", "gnutls"):
        assert RELEASES[client] in described


def test_every_table_has_every_client_or_says_ok() -> None:
    """What is said of a wrong name is known for everybody."""
    for texts in (NAME_TEXTS, ADDRESS_TEXTS):
        assert set(texts) == set(CLIENTS)
