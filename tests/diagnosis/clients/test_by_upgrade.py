"""What clients say where a connection never comes to TLS, by protocol and by the server's answer."""

from __future__ import annotations

import pytest

from scanner.diagnosis.clients.by_upgrade import not_offered, refused, session_refused
from tests.helpers.evidence import target


@pytest.mark.parametrize(
    ("protocol", "curl", "openssl"),
    [
        ("smtp", "(64) STARTTLS not supported.", "Didn't find STARTTLS in server response"),
        ("imap", "(64) STARTTLS not available.", "Didn't find STARTTLS in server response"),
        ("pop3", "(64) STLS not supported.", "SSL routines::wrong version number"),
        ("ftp", "(64) Requested SSL level failed", "SSL routines::wrong version number"),
    ],
)
def test_an_upgrade_that_is_not_offered(protocol: str, curl: str, openssl: str) -> None:
    assert not_offered({}, target(protocol=protocol)) == {"curl": curl, "openssl": openssl}


def test_an_upgrade_that_is_refused_has_the_answer_of_smtp() -> None:
    said = refused({"words": "454 4.7.0 TLS not available"}, target(protocol="smtp"))
    assert said == {"curl": "(64) STARTTLS denied, code 454", "openssl": "SSL routines::wrong version number"}
    assert refused({"words": "a1 BAD no"}, target(protocol="imap"))["curl"] == "(64) STARTTLS denied"


@pytest.mark.parametrize(
    ("protocol", "words", "awaited", "curl"),
    [
        ("smtp", "554 5.7.1 no service for you", None, "(8) Got unexpected smtp-server response: 554"),
        ("smtp", "421 4.3.2 try later", None, "(8) Got unexpected smtp-server response: 421"),
        ("smtp", "550-who are you", "EHLO", "(9) Remote access denied: 550"),
        ("imap", "* BYE too many connections", None, "(8) Got unexpected imap-server response"),
        ("pop3", "-ERR busy", None, "(8) Got unexpected pop3-server response"),
        ("ftp", "421 Too many users", None, "(28) Timeout was reached"),
        ("ftp", "530 Not you", None, "(8) Got a 530 ftp-server response when 220 was expected"),
    ],
)
def test_a_session_that_is_refused(protocol: str, words: str, awaited: str | None, curl: str) -> None:
    assert session_refused({"words": words, "awaited": awaited}, target(protocol=protocol))["curl"] == curl


@pytest.mark.parametrize(
    ("protocol", "failure", "said"),
    [
        (
            "smtp",
            "closed",
            {"curl": "(56) response reading failed", "openssl": "Didn't find STARTTLS in server response"},
        ),
        ("smtp", "reset", {"openssl": "Didn't find STARTTLS in server response"}),
        ("pop3", "closed", {"curl": "(56) response reading failed"}),
        ("mysql", "closed", {}),
    ],
)
def test_a_session_that_ends_without_a_word(protocol: str, failure: str, said: dict[str, str]) -> None:
    assert session_refused({"failure": failure}, target(protocol=protocol)) == said


def test_an_upgrade_that_ends_without_a_word() -> None:
    assert refused({"failure": "closed"}, target(protocol="imap")) == {"curl": "(56) response reading failed"}
    assert refused({"failure": "reset"}, target(protocol="imap")) == {}


def test_what_a_client_says_is_left_out_where_it_is_not_known() -> None:
    assert "curl" not in session_refused({"words": "no answer code"}, target(protocol="smtp"))
    assert session_refused({"words": "1130 Host is not allowed"}, target(protocol="mysql")) == {
        "openssl": "Only MySQL protocol version 10 is supported."
    }
