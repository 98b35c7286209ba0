"""IMAP: RFC 9051."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import play

GREETING = ("S", b"* OK [CAPABILITY IMAP4rev1 ID] Dovecot ready.\r\n")
ASK = ("C", b"c1 CAPABILITY\r\n")
LISTED = ("S", b"* CAPABILITY IMAP4rev1 StartTLS LOGINDISABLED\r\nc1 OK done\r\n")
STARTTLS = ("C", b"c2 STARTTLS\r\n")


def test_ready() -> None:
    assert (
        play("imap", ("C", b""), GREETING, ASK, LISTED, STARTTLS, ("S", b"* 1 EXISTS\r\nC2 OK Begin TLS\r\n"))
        == Ready()
    )


def test_preauthenticated_sessions_cannot_begin_tls() -> None:
    assert play("imap", ("S", b"* PREAUTH welcome\r\n")) == NotOffered("* PREAUTH welcome")


def test_not_advertised() -> None:
    listed = ("S", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nc1 OK done\r\n")
    assert play("imap", GREETING, ASK, listed) == NotOffered("IMAP4rev1 AUTH=PLAIN")
    assert play("imap", GREETING, ASK, ("S", b"c1 BAD what\r\n")) == NotOffered("c1 BAD what")


def test_refused() -> None:
    assert play("imap", ("S", b"* BYE overloaded\r\n")) == SessionRefused("* BYE overloaded")
    assert play("imap", GREETING, ASK, ("S", b"* BYE shutting down\r\n")) == SessionRefused("* BYE shutting down")
    assert play("imap", GREETING, ASK, ("S", b"c1 NO [UNAVAILABLE] later\r\n")) == SessionRefused(
        "c1 NO [UNAVAILABLE] later"
    )
    assert play("imap", GREETING, ASK, LISTED, STARTTLS, ("S", b"c2 NO no key\r\n")) == Refused("c2 NO no key")
    assert play("imap", GREETING, ASK, LISTED, STARTTLS, ("S", b"c2 BAD no\r\n")) == Refused("c2 BAD no")


def test_another_protocol() -> None:
    assert play("imap", ("S", b"+OK pop3 ready\r\n")) == Malformed("+OK pop3 ready\r\n", "pop3")
    assert play("imap", ("S", b"* HELLO\r\n")) == Malformed("* HELLO\r\n", None)
    assert play("imap", GREETING, ASK, ("S", b"x9 OK not our tag\r\n")) == Malformed(
        "* OK [CAPABILITY IMAP4rev1 ID] Dovecot ready.\r\nx9 OK not our tag\r\n", "imap"
    )
