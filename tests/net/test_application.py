"""The first words with a service after the handshake, and what its answers mean."""

from __future__ import annotations

import pytest

from scanner.net.application import ReplyProgress, exchange_for
from scanner.starttls import PROTOCOLS

FINE, REFUSED, INCOMPLETE = ReplyProgress.FINE, ReplyProgress.REFUSED, ReplyProgress.INCOMPLETE


def classified(protocol: str, data: bytes) -> ReplyProgress:
    classify = exchange_for(protocol, "a.test").classify
    assert classify is not None
    return classify(data)


@pytest.mark.parametrize(
    ("protocol", "data", "answer"),
    [
        ("smtp", b"250-a.test\r\n250 SIZE\r\n", FINE),
        ("smtp", b"250-a.test\r\n", INCOMPLETE),
        ("smtps", b"220 ready\r\n", FINE),
        ("smtps", b"554 5.7.1 client certificate not trusted\r\n", REFUSED),
        ("lmtp", b"421 later\r\n", REFUSED),
        ("ftp", b"211-Features:\r\n UTF8\r\n211 End\r\n", FINE),
        ("nntps", b"502 go away\r\n", REFUSED),
        ("imaps", b"* OK ready\r\n", FINE),
        ("imaps", b"* BYE no\r\n", REFUSED),
        ("imap", b"* 3 EXISTS\r\na OK done\r\n", FINE),
        ("imap", b"a BAD no\r\n", REFUSED),
        ("pop3s", b"+OK\r\n", FINE),
        ("pop3", b"-ERR no\r\n", REFUSED),
        ("sieve", b'"IMPLEMENTATION" "x"\r\nOK\r\n', FINE),
        ("sieve", b'BYE "no"\r\n', REFUSED),
        ("irc", b":a PONG a\r\n", FINE),
        ("ircs", b"ERROR :Closing Link\r\n", REFUSED),
        ("xmpp", b"<stream:stream><stream:features/>", FINE),
        ("xmpp-server", b"<stream:error><policy-violation/>", REFUSED),
        ("xmpps", b"<stream:stream>", INCOMPLETE),
        ("ldaps", bytes.fromhex("300c02010161070a010004000400"), FINE),
        ("ldap", bytes.fromhex("300c02010161070a013004000400"), REFUSED),
        ("ldap", bytes.fromhex("308400000010020101618400000007" + "0a010004000400"), FINE),
        ("ldap", bytes.fromhex("300c0201"), INCOMPLETE),
        ("ldap", b"\x30\x24\x02\x01\x00\x78\x1f\x0a\x01\x34\x8a\x161.3.6.1.4.1.1466.20036", REFUSED),
        ("postgres", b"R\0\0\0\x08\0\0\0\x05", FINE),
        ("postgres", b"E\0\0\0\x08SFAT", REFUSED),
        ("postgres", b"E\0\0\0\x0aSFAT", INCOMPLETE),
    ],
)
def test_answers_are_classified(protocol: str, data: bytes, answer: ReplyProgress) -> None:
    assert classified(protocol, data) is answer


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"tls", "https"}))
def test_empty_answer_decides_nothing(protocol: str) -> None:
    classify = exchange_for(protocol, "a.test").classify
    assert classify is None or classify(b"") is INCOMPLETE


def test_a_name_cannot_leave_its_attribute() -> None:
    assert b"to='&lt;a&apos;&amp;'" in exchange_for("xmpp", "<a'&").question


def test_what_speaks_only_after_a_login_is_asked_nothing() -> None:
    for protocol in ("mysql", "mssql", "rdp"):
        assert exchange_for(protocol, "a.test").classify is None
