"""SMTP and LMTP: RFC 5321, RFC 2033, RFC 3207."""

from __future__ import annotations

from scanner.starttls import Malformed, NeedData, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import answer, opened, play

GREETING = b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n"
EHLO = b"EHLO tlsweep.invalid\r\n"
EXTENSIONS = b"250-mail.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-STARTTLS\r\n250 CHUNKING\r\n"


def test_ready() -> None:
    outcome = play(
        "smtp",
        ("C", b""),
        ("S", GREETING),
        ("C", EHLO),
        ("S", EXTENSIONS),
        ("C", b"STARTTLS\r\n"),
        ("S", b"220 2.0.0 go\r\n"),
    )
    assert outcome == Ready()


def test_lmtp_sends_lhlo() -> None:
    outcome = play(
        "lmtp", ("S", b"220 a LMTP\r\n"), ("C", b"LHLO tlsweep.invalid\r\n"), ("S", b"250 STARTTLS\r\n"),
    )  # fmt: skip
    # the only line of the reply is the greeting, whatever it contains
    assert outcome == NotOffered("250 STARTTLS")


def test_greeting_of_several_lines_and_bare_line_feeds() -> None:
    outcome = play(
        "smtp", ("S", b"220-mail.example\n220-no spam\n220 ready\n"), ("C", EHLO), ("S", b"250-x\n250-starttls \n250\n"),
        ("C", b"STARTTLS\r\n"), ("S", b"220\n"),
    )  # fmt: skip
    assert outcome == Ready()


def test_not_advertised() -> None:
    extensions = b"250-mail.example\r\n250-AUTH STARTTLS\r\n250 8BITMIME\r\n"
    outcome = play("smtp", ("S", GREETING), ("C", EHLO), ("S", extensions))
    assert outcome == NotOffered("250-mail.example\r\n250-AUTH STARTTLS\r\n250 8BITMIME")


def test_server_without_extensions() -> None:
    outcome = play("smtp", ("S", GREETING), ("C", EHLO), ("S", b"502 5.5.2 command not recognized\r\n"))
    assert outcome == NotOffered("502 5.5.2 command not recognized")


def test_advertised_then_refused() -> None:
    said = b"454 4.7.0 TLS not available due to local problem\r\n"
    outcome = play("smtp", ("S", GREETING), ("C", EHLO), ("S", EXTENSIONS), ("C", b"STARTTLS\r\n"), ("S", said))
    assert outcome == Refused("454 4.7.0 TLS not available due to local problem")


def test_a_refusing_greeting_or_answer_to_ehlo() -> None:
    assert play("smtp", ("S", b"554 no service here\r\n")) == SessionRefused("554 no service here")
    assert play("smtp", ("S", b"421-busy\r\n421 later\r\n")) == SessionRefused("421-busy\r\n421 later")
    assert play("smtp", ("S", GREETING), ("C", EHLO), ("S", b"550 5.7.1 who?\r\n")) == SessionRefused("550 5.7.1 who?")


def test_another_protocol() -> None:
    banner = b"SSH-2.0-OpenSSH_9.2p1\r\n"
    assert play("smtp", ("S", banner)) == Malformed("SSH-2.0-OpenSSH_9.2p1\r\n", "ssh")
    assert play("smtp", ("S", b"* OK IMAP ready\r\n")) == Malformed("* OK IMAP ready\r\n", "imap")
    assert play("smtp", ("S", b"HTTP/1.1 400 Bad Request\r\n")) == Malformed("HTTP/1.1 400 Bad Request\r\n", "http")


def test_text_keeps_control_characters_and_replaces_invalid_utf8() -> None:
    assert answer("smtp", [b"554 \x1b[31mno\xff\r\n"]) == SessionRefused("554 \x1b[31mno\ufffd")


def test_bytes_after_the_last_reply_are_left_over() -> None:
    talk = opened("smtp")
    talk.receive_data(GREETING + EXTENSIONS + b"220 go\r\n" + b"250 injected\r\n")
    assert talk.outcome == Ready()
    assert talk.leftover == b"250 injected\r\n"
    talk.receive_data(b"more")
    assert talk.leftover == b"250 injected\r\nmore"
    assert talk.first_bytes.startswith(b"220 mail")


def test_a_line_with_another_code_does_not_end_a_reply() -> None:
    assert isinstance(answer("smtp", [b"220-a\r\n250 b\r\nnot a code\r\n"]), NeedData)
    assert isinstance(answer("smtp", [b"220-a\r\n250 b\r\n220 c\r\n250-x\r\n250 STARTTLS\r\n220 y\r\n"]), Ready)
