"""POP3: RFC 1939, RFC 2449, RFC 2595."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import play

GREETING = ("S", b"+OK ready <1.2@a.example>\r\n")
CAPA = ("C", b"CAPA\r\n")
LISTED = ("S", b"+OK list\r\nTOP\r\nSTLS\r\nUIDL\r\n.\r\n")
STLS = ("C", b"STLS\r\n")


def test_ready() -> None:
    assert play("pop3", ("C", b""), GREETING, CAPA, LISTED, STLS, ("S", b"+OK begin\r\n")) == Ready()


def test_stls_is_sent_to_a_server_without_capa() -> None:
    assert play("pop3", GREETING, CAPA, ("S", b"-ERR unknown\r\n"), STLS, ("S", b"+OK\r\n")) == Ready()
    assert play("pop3", GREETING, CAPA, ("S", b"-ERR\r\n"), STLS, ("S", b"-ERR what\r\n")) == NotOffered("-ERR what")


def test_not_advertised() -> None:
    assert play("pop3", GREETING, CAPA, ("S", b"+OK\r\nUSER\r\nSASL STLS\r\n.\r\n")) == NotOffered("USER\nSASL STLS")


def test_refused() -> None:
    assert play("pop3", ("S", b"-ERR [SYS/TEMP] busy\r\n")) == SessionRefused("-ERR [SYS/TEMP] busy")
    assert play("pop3", GREETING, CAPA, LISTED, STLS, ("S", b"-ERR no key\r\n")) == Refused("-ERR no key")


def test_another_protocol() -> None:
    assert play("pop3", ("S", b"220 mail.example ESMTP\r\n")) == Malformed("220 mail.example ESMTP\r\n", "smtp")
    assert play("pop3", ("S", b"+OKAY\r\n")) == Malformed("+OKAY\r\n", None)
