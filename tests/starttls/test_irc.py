"""IRC: RFC 2812 and the IRCv3 specification of STARTTLS."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, Refused
from tests.starttls.playbook import play

OPENING = ("C", b"CAP LS 302\r\nSTARTTLS\r\n")
LOOKING_UP = ("S", b":irc.example NOTICE Auth :*** Looking up your hostname...\r\n")
LISTED = ("S", b":irc.example CAP * LS :multi-prefix tls sasl=PLAIN\r\n")


def test_ready() -> None:
    said = ("S", b":irc.example 670 * :STARTTLS successful, proceed with TLS handshake\r\n")
    assert play("irc", OPENING, LOOKING_UP, LISTED, said) == Ready()
    assert play("irc", OPENING, said) == Ready()


def test_a_server_without_cap() -> None:
    unknown = ("S", b":irc.example 421 * CAP :Unknown command\r\n")
    assert play("irc", OPENING, unknown, ("S", b":irc.example 670 a :go\r\n")) == Ready()


def test_pings_are_answered() -> None:
    assert (
        play("irc", OPENING, ("S", b"PING :1a2b\r\n"), ("C", b"PONG :1a2b\r\n"), ("S", b":x 670 * :go\r\n")) == Ready()
    )


def test_not_supported() -> None:
    said = ":irc.example 421 * STARTTLS :Unknown command"
    assert play("irc", OPENING, ("S", b":irc.example CAP * LS :sasl\r\n" + said.encode() + b"\r\n")) == NotOffered(said)
    said = "@time=x :irc.example 451 * :You have not registered"
    assert play("irc", OPENING, LOOKING_UP, ("S", said.encode() + b"\r\n")) == NotOffered(said)


def test_refused() -> None:
    said = ":irc.example 691 * :STARTTLS failed"
    assert play("irc", OPENING, LISTED, ("S", said.encode() + b"\r\n")) == Refused(said)
    said = ":irc.example 451 * STARTTLS :not now"
    assert play("irc", OPENING, LISTED, ("S", said.encode() + b"\r\n")) == Refused(said)
    assert play("irc", OPENING, ("S", b"\r\nERROR :Closing Link: throttled\r\n")) == Refused(
        "ERROR :Closing Link: throttled"
    )


def test_another_protocol() -> None:
    assert play("irc", OPENING, ("S", b"220 mail.example ESMTP\r\n")) == Malformed("220 mail.example ESMTP\r\n", "smtp")
    assert play("irc", OPENING, ("S", b"670 * :no source\r\n")) == Malformed("670 * :no source\r\n", None)
    assert play("irc", OPENING, ("S", b"HELLO there\r\n")) == Malformed("HELLO there\r\n", None)
