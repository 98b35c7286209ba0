from __future__ import annotations

from typing import Any

import pytest

from scanner.diagnosis.clients import by_revocation as texts
from scanner.diagnosis.clients.endings import CLIENTS, OK
from tests.helpers.evidence import target

LIBRARIES = ("openssl", "curl", "python", "go", "java", "node")


@pytest.mark.parametrize(
    ("says", "evidence", "refusing"),
    [
        (texts.by_staple, {}, {"chrome", "firefox", "gnutls"}),
        (texts.by_responder, {"leaf": True}, {"firefox"}),
        (texts.by_responder, {"leaf": False}, set()),
        (texts.by_list, {"publicly_trusted": True}, {"firefox"}),
        (texts.by_list, {"publicly_trusted": False}, set()),
        (texts.must_staple, {"stapled": False}, {"firefox", "gnutls"}),
        (texts.invalid_staple, {"fault": "out-of-date"}, {"firefox", "gnutls"}),
        (texts.invalid_staple, {"fault": "without-end"}, {"firefox"}),
        (texts.invalid_staple, {"fault": "unknown"}, {"firefox"}),
        (texts.invalid_staple, {"fault": "signer"}, {"firefox", "gnutls"}),
    ],
)
def test_clients_that_refuse_have_a_text(says: Any, evidence: dict[str, Any], refusing: set[str]) -> None:
    said = says(evidence, target())
    assert {client for client, text in said.items() if text != OK} == refusing
    assert all(said[client] == OK for client in LIBRARIES)
    assert set(said) <= set(CLIENTS)


def test_what_is_not_known_is_left_out() -> None:
    assert "firefox" not in texts.invalid_staple({"fault": "refused"}, target())
    assert "chrome" not in texts.by_list({"publicly_trusted": True}, target())


def test_an_old_answer_that_said_revoked() -> None:
    said = texts.invalid_staple({"fault": "out-of-date", "revoked_at": "2026-11-01T00:00:00Z"}, target())
    assert said["firefox"] == "SEC_ERROR_REVOKED_CERTIFICATE"
    assert said["gnutls"] == "The certificate chain is revoked."
