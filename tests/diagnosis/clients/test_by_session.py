"""What clients say where a session ends before TLS; real ones are asked in ``tests/clients/test_refused_sessions.py``."""

from __future__ import annotations

from typing import Any

import pytest

from scanner.diagnosis.clients.by_session import session_refused, upgrade_refused
from tests.helpers.evidence import target


@pytest.mark.parametrize(
    ("protocol", "evidence", "curl"),
    [
        ("smtp", {"words": "554 no"}, "(8) Got unexpected smtp-server response: 554"),
        ("smtp", {"words": "550 who?", "awaited": "EHLO"}, "(9) Remote access denied: 550"),
        ("imap", {"words": "* BYE"}, "(8) Got unexpected imap-server response"),
        ("pop3", {"words": "-ERR"}, "(8) Got unexpected pop3-server response"),
        ("ftp", {"words": "421 many"}, "(28) Timeout was reached"),
        ("ftp", {"words": "530 no"}, "(8) Got a 530 ftp-server response when 220 was expected"),
        ("smtp", {"failure": "closed"}, "(56) response reading failed"),
        # not known
        ("smtp", {"failure": "reset"}, None),
        ("imap", {"words": "* BYE", "awaited": "CAPABILITY"}, None),
        ("ftp", {"words": "421 gone", "awaited": "AUTH TLS"}, None),
        ("mysql", {"words": "1130 no"}, None),
    ],
)
def test_curl_puts_it_by_protocol_and_answer(protocol: str, evidence: dict[str, Any], curl: str | None) -> None:
    assert session_refused(evidence, target(protocol=protocol)).get("curl") == curl


def test_openssl_puts_it_by_protocol() -> None:
    said = {
        name: session_refused({"words": "x"}, target(protocol=name)).get("openssl") for name in ("smtp", "irc", "rdp")
    }
    assert said == {
        "smtp": "Didn't find STARTTLS in server response",
        "irc": "Server does not support STARTTLS.",
        "rdp": None,
    }
    assert session_refused({"failure": "closed"}, target(protocol="mysql")) == {}


def test_a_refused_upgrade_is_known_of_curl_and_mail() -> None:
    assert upgrade_refused({"words": "454 no"}, target(protocol="imap")) == {"curl": "(64) STARTTLS denied"}
    assert upgrade_refused({"words": "52 no"}, target(protocol="ldap")) == {}
    assert upgrade_refused({"failure": "closed"}, target(protocol="smtp")) == {}
