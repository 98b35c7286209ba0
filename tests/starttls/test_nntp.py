"""NNTP: RFC 3977, RFC 4642."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import play

GREETING = ("S", b"200 news.example InterNetNews ready\r\n")
CAPABILITIES = ("C", b"CAPABILITIES\r\n")
LISTED = ("S", b"101 list\r\nVERSION 2\r\nREADER\r\nSTARTTLS\r\n.\r\n")
STARTTLS = ("C", b"STARTTLS\r\n")


def test_ready() -> None:
    assert play("nntp", ("C", b""), GREETING, CAPABILITIES, LISTED, STARTTLS, ("S", b"382 go\r\n")) == Ready()


def test_starttls_is_sent_to_a_server_without_capabilities() -> None:
    unknown = ("S", b"500 what\r\n")
    assert play("nntp", GREETING, CAPABILITIES, unknown, STARTTLS, ("S", b"382 go\r\n")) == Ready()
    assert play("nntp", GREETING, CAPABILITIES, unknown, STARTTLS, ("S", b"500 what\r\n")) == NotOffered("500 what")
    assert play("nntp", GREETING, CAPABILITIES, unknown, STARTTLS, ("S", b"580 broken\r\n")) == Refused("580 broken")


def test_not_advertised() -> None:
    assert play("nntp", GREETING, CAPABILITIES, ("S", b"101 x\r\nVERSION 2\r\n.\r\n")) == NotOffered("VERSION 2")


def test_refused() -> None:
    assert play("nntp", ("S", b"502 Access denied\r\n")) == SessionRefused("502 Access denied")
    assert play("nntp", GREETING, CAPABILITIES, ("S", b"400 going down\r\n")) == SessionRefused("400 going down")
    assert play("nntp", GREETING, CAPABILITIES, LISTED, STARTTLS, ("S", b"580 no\r\n")) == Refused("580 no")


def test_another_protocol() -> None:
    assert play("nntp", ("S", b"RFB 003.008\n")) == Malformed("RFB 003.008\n", "vnc")
    assert play("nntp", ("S", b"220-multi\r\n")) == Malformed("220-multi\r\n", "ftp")
