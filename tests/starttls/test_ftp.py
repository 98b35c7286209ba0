"""FTP: RFC 959, RFC 4217."""

from __future__ import annotations

import pytest

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import play

GREETING = ("S", b"220-Welcome\r\n  220 is not the end here\r\n220 ready\r\n")
AUTH = ("C", b"AUTH TLS\r\n")


def test_ready() -> None:
    assert play("ftp", ("C", b""), GREETING, AUTH, ("S", b"234 AUTH TLS OK.\r\n")) == Ready()


def test_a_120_greeting_is_followed_by_another() -> None:
    assert play("ftp", ("S", b"120 in 1 minute\r\n"), ("S", b"220 now\r\n"), AUTH, ("S", b"234 go\r\n")) == Ready()


@pytest.mark.parametrize(
    "words", ["500 what?", "502 not implemented", "504 no", "530 Please login with USER and PASS."]
)
def test_auth_tls_is_not_known(words: str) -> None:
    assert play("ftp", GREETING, AUTH, ("S", words.encode() + b"\r\n")) == NotOffered(words)


@pytest.mark.parametrize("words", ["431 no certificate", "534 policy"])
def test_refused(words: str) -> None:
    assert play("ftp", GREETING, AUTH, ("S", words.encode() + b"\r\n")) == Refused(words)


def test_a_refusing_greeting() -> None:
    assert play("ftp", ("S", b"421 Too many connections\r\n")) == SessionRefused("421 Too many connections")


def test_a_server_that_closes_instead_of_an_answer_refuses_the_session() -> None:
    assert play("ftp", GREETING, AUTH, ("S", b"421 gone\r\n")) == SessionRefused("421 gone")


def test_another_protocol() -> None:
    assert play("ftp", ("S", b"SSH-2.0-x\r\n")) == Malformed("SSH-2.0-x\r\n", "ssh")
    assert play("ftp", ("S", b"999 what\r\n")) == Malformed("999 what\r\n", None)
