"""IRC: RFC 2812 and the IRCv3 specification of STARTTLS."""

from __future__ import annotations

import pytest

from scanner.starttls import Malformed, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import play

OPENING = ("C", b"CAP LS 302\r\nLUSERS\r\n")
LOOKING_UP = ("S", b":irc.example NOTICE Auth :*** Looking up your hostname...\r\n")
LISTED = ("S", b":irc.example CAP * LS :multi-prefix tls sasl=PLAIN \r\n")
NOT_REGISTERED = ("S", b":irc.example 451 * LUSERS :You have not registered.\r\n")
STARTTLS = ("C", b"STARTTLS\r\n")


def test_ready() -> None:
    said = ("S", b":irc.example 670 * :STARTTLS successful, proceed with TLS handshake\r\n")
    assert play("irc", OPENING, LOOKING_UP, LISTED, STARTTLS, NOT_REGISTERED, said) == Ready()
    assert play("irc", OPENING, LISTED, STARTTLS, said) == Ready()


def test_a_list_of_several_lines() -> None:
    first = ("S", b"@time=x :irc.example CAP * LS * :a b c\r\n")
    assert play("irc", OPENING, first, LISTED, STARTTLS, ("S", b":x 670 * :go\r\n")) == Ready()
    assert play("irc", OPENING, first, ("S", b":x CAP * LS d\r\n")) == NotOffered("a b c d")


def test_pings_are_answered() -> None:
    ping, pong = ("S", b"PING :1a2b\r\n"), ("C", b"PONG :1a2b\r\n")
    assert play("irc", OPENING, ping, pong, LISTED, STARTTLS, ("S", b":x 670 * :go\r\n")) == Ready()


@pytest.mark.parametrize(
    "said", [":a 421 * CAP :Unknown command", ":a 451 * LUSERS :You have not registered", ":a 251 x :1 user"]
)
def test_a_server_without_cap(said: str) -> None:
    assert play("irc", OPENING, LOOKING_UP, ("S", said.encode() + b"\r\n")) == NotOffered(said)


def test_refused() -> None:
    for said in (
        ":irc.example 691 * :STARTTLS failed",
        ":irc.example 451 * STARTTLS :not now",
        "ERROR :Closing Link: bye",
    ):
        assert play("irc", OPENING, LISTED, STARTTLS, NOT_REGISTERED, ("S", said.encode() + b"\r\n")) == Refused(said)
    banned = ":irc.example 465 * :You are banned from this server"
    assert play("irc", OPENING, ("S", banned.encode() + b"\r\n")) == SessionRefused(banned)
    assert play("irc", OPENING, ("S", b"\r\nERROR :Closing Link: throttled\r\n")) == SessionRefused(
        "ERROR :Closing Link: throttled"
    )


def test_another_protocol() -> None:
    assert play("irc", OPENING, ("S", b"220 mail.example ESMTP\r\n")) == Malformed("220 mail.example ESMTP\r\n", "smtp")
    assert play("irc", OPENING, ("S", b"670 * :no source\r\n")) == Malformed("670 * :no source\r\n", None)
    assert play("irc", OPENING, ("S", b"HELLO there\r\n")) == Malformed("HELLO there\r\n", None)


def test_a_cap_nak_is_ignored() -> None:
    nak = ("S", b":a CAP * NAK :tls\r\n")
    assert play("irc", OPENING, nak, LISTED, STARTTLS, ("S", b":x 670 * :go\r\n")) == Ready()
