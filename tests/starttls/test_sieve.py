"""ManageSieve: RFC 5804."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import answer, play

GREETING = ("S", b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SIEVE" "fileinto"\r\n"STARTTLS"\r\nOK "ready."\r\n')
STARTTLS = ("C", b"STARTTLS\r\n")


def test_ready() -> None:
    assert play("sieve", ("C", b""), GREETING, STARTTLS, ("S", b'OK "Begin TLS negotiation now."\r\n')) == Ready()


def test_strings_may_be_literals() -> None:
    greeting = ("S", b'"IMPLEMENTATION" {10+}\r\nOK\r\nNO "x"\r\n"STARTTLS"\r\nOK {2}\r\nhi\r\n')
    assert play("sieve", greeting, STARTTLS, ("S", b"OK {0}\r\n\r\n")) == Ready()


def test_a_literal_may_end_with_its_line() -> None:
    assert play("sieve", ("S", b'"A" {4}\r\nab\r\n "STARTTLS"\r\nOK\r\n')) == NotOffered('"A" {4}\r\nab\r\n "STARTTLS"')


def test_not_advertised() -> None:
    assert play("sieve", ("S", b'"IMPLEMENTATION" "x"\r\nOK\r\n')) == NotOffered('"IMPLEMENTATION" "x"')
    assert play("sieve", ("S", b"OK\r\n")) == NotOffered("")


def test_refused() -> None:
    assert play("sieve", ("S", b'BYE "Too many connections"\r\n')) == SessionRefused('BYE "Too many connections"')
    assert play("sieve", GREETING, STARTTLS, ("S", b'NO "no key"\r\n')) == Refused('NO "no key"')


def test_another_protocol() -> None:
    assert play("sieve", ("S", b"* OK imap\r\n")) == Malformed("* OK imap\r\n", "imap")
    assert play("sieve", GREETING, STARTTLS, ("S", b"what\r\n")) == Malformed(
        '"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"SIEVE" "fileinto"\r\n"STARTTLS"\r\nOK "ready."\r\nwhat\r\n', "sieve"
    )


def test_an_oversized_literal_is_malformed() -> None:
    assert isinstance(answer("sieve", [b'"A" {999999}\r\n']), Malformed)
