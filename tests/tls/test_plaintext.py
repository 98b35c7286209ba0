"""What does not speak TLS is named by its first bytes; TLS itself never is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.tls.plaintext import MAX_BYTES, SIGNATURES, looks_like_tls, recognise

MYSQL_8 = bytes.fromhex(
    "4a0000000a382e302e333600080000000b5c1b2a3c4d5e6f00fff7ff0200ffdf15000000000000000000003b"
) + bytes(34)
MYSQL_BLOCKED = b"\x48\x00\x00\x00\xff\x69\x04Host '192.0.2.7' is blocked because of many connection errors; unblock it"
NOTICE_OF_DISCONNECTION = bytes.fromhex("302b02010078240a01020400") + b"\x04\x04oops\x8a\x161.3.6.1.4.1.1466.20036"

SAMPLES = [
    ("http", b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n\r\n"),
    ("http", b"HTTP/1.0 400 The plain HTTP request was sent to HTTPS port\r\n"),
    ("http", b"GET / HTTP/1.1\r\nHost: a.example\r\n"),
    ("http", b"<!DOCTYPE html>\n<title>"),
    ("http", b"<html><head><title>400 Bad Request</title>"),
    ("http", b"\r\n<?xml version='1.0'?>\n<!DOCTYPE HTML PUBLIC>"),
    ("http2", bytes.fromhex("00001204000000000000030000008000040000ffff000500ffffff")),
    ("http2", bytes.fromhex("000000040000000000")),
    ("rtsp", b"RTSP/1.0 400 Bad Request\r\n"),
    ("sip", b"SIP/2.0 400 Bad Request\r\n"),
    ("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
    ("ssh", b"SSH-1.99-Cisco-1.25\n"),
    ("ssh", b"Exceeded MaxStartups\r\n"),
    ("vnc", b"RFB 003.008\n"),
    ("amqp", b"AMQP\x00\x00\x09\x01"),
    ("amqp", b"AMQP\x03\x01\x00\x00"),
    ("rsync", b"@RSYNCD: 31.0 sha512 md5\n"),
    ("nats", b'INFO {"server_id":"N"}\r\n'),
    ("smtp", b"220 mail.example ESMTP Postfix (Debian/GNU)\r\n"),
    ("smtp", b"220-mail.example ESMTP Exim 4.96\r\n220-We do not\r\n"),
    ("smtp", b"220 ftp.example ESMTP\r\n"),
    ("smtp", b"220 mx1.mail.example ready\r\n"),
    ("smtp", b"554 mx1.mail.example\r\n"),
    ("smtp", b"554 5.7.1 Service unavailable\r\n"),
    ("smtp", b"421-4.7.0 Try again later\r\n"),
    ("smtp", b"521 mail.example does not accept mail\r\n"),
    ("smtp", b"220 box Dovecot ready.\r\n"),
    ("lmtp", b"220 store.example LMTP Dovecot ready.\r\n"),
    ("ftp", b"220 (vsFTPd 3.0.5)\r\n"),
    ("ftp", b"220 ProFTPD Server (smtp.example) [192.0.2.1]\r\n"),
    ("ftp", b"220-FileZilla Server 1.8.1\r\n"),
    ("ftp", b"220 ftp.example.com FTP server (Version 6.4) ready.\r\n"),
    ("ftp", b"220 Microsoft FTP Service\r\n"),
    ("ftp", b"220 Welcome\r\n"),
    ("ftp", b"220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\r\n"),
    ("ftp", b"530 Please login with USER and PASS.\r\n"),
    ("imap", b"* OK [CAPABILITY IMAP4rev1 SASL-IR STARTTLS] Dovecot ready.\r\n"),
    ("imap", b"* BYE too many connections\r\n"),
    ("imap", b"* PREAUTH welcome\r\n"),
    ("pop3", b"+OK Dovecot ready.\r\n"),
    ("pop3", b"-ERR server busy\r\n"),
    ("sieve", b'"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n'),
    ("redis", b"-ERR unknown command '\x16\x03\x01'\r\n"),
    ("redis", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    ("redis", b"-NOAUTH Authentication required.\r\n"),
    ("redis", b"-DENIED Redis is running in protected mode\r\n"),
    ("nntp", b"200 news.example InterNetNews server INN 2.7 ready\r\n"),
    ("nntp", b"201 NNTP Service, posting prohibited\r\n"),
    ("xmpp", b"<?xml version='1.0'?><stream:stream xmlns='jabber:client'><stream:error>"),
    ("xmpp", b"<stream:error xmlns:stream='http://etherx.jabber.org/streams'>"),
    ("irc", b":irc.example NOTICE * :*** Looking up your hostname...\r\n"),
    ("irc", b"NOTICE AUTH :*** Processing connection\r\n"),
    ("irc", b"ERROR :Closing Link: (Throttled)\r\n"),
    ("memcached", b"ERROR\r\n"),
    ("memcached", b"CLIENT_ERROR bad command line format\r\n"),
    ("mysql", MYSQL_8),
    ("mysql", MYSQL_BLOCKED),
    ("mysqlx", bytes.fromhex("050000000b08051a00")),
    ("postgresql", b"N"),
    ("postgresql", b"E\x00\x00\x00\x5bSFATAL\x00VFATAL\x00C08P01\x00Munsupported frontend protocol\x00"),
    ("postgresql", b"EFATAL:  unsupported frontend protocol 5680.769: server supports 1.0 to 3.0\n\0"),
    ("ldap", NOTICE_OF_DISCONNECTION),
    ("ldap", bytes.fromhex("30840000002802010078840000001f0a01020400")),
    ("rdp", bytes.fromhex("030000130ed000001234000300080005000000")),
    (
        "mssql",
        bytes.fromhex("0401002b0000010000001a000601002000010200210001030022000004002200 01ff0f0007d0000002000000"),
    ),
    ("mssql", bytes.fromhex("04010061000001 00aa".replace(" ", ""))),
    ("oracle", bytes.fromhex("0041000004000000220000")),
    ("mongodb", bytes.fromhex("24000000 01000000 00000000 dd070000 00000000")),
    ("telnet", bytes.fromhex("fffd18fffd20fffd23fffd27")),
    ("mqtt", bytes.fromhex("20020001")),
    ("socks", b"\x05\xff"),
    ("socks", bytes.fromhex("005b000000000000")),
    ("sslv2", bytes.fromhex("8003000001")),
    ("sslv2", bytes.fromhex("84030400010002 03e8 0003 0010".replace(" ", ""))),
]


@pytest.mark.parametrize(("protocol", "first"), SAMPLES)
def test_protocols_are_recognised_by_their_first_bytes(protocol: str, first: bytes) -> None:
    assert recognise(first) == protocol


def test_every_signature_has_a_sample() -> None:
    assert {signature.protocol for signature in SIGNATURES} == {protocol for protocol, _ in SAMPLES}
    assert all(signature.looks_like and signature.reference for signature in SIGNATURES)


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"2",
        b"hello",
        b"\x00",
        b"\x15",
        bytes(600),
        b"421 Try later\r\n",  # SMTP and FTP say the same
        b"<?xml version='1.0'?><cross-domain-policy>",
        b"N\n",
        b"ENGLISH",
        b"\x05\x00\x01",
    ],
)
def test_other_bytes_are_not_recognised(first: bytes) -> None:
    assert recognise(first) is None


@given(st.integers(0x14, 0x18), st.binary(max_size=64))
def test_tls_is_never_plaintext(content_type: int, rest: bytes) -> None:
    first = bytes([content_type, 3]) + rest
    assert looks_like_tls(first)
    assert recognise(first) is None


@given(st.sampled_from([first for _, first in SAMPLES]), st.binary(max_size=40), st.integers(0, 40))
def test_a_known_beginning_with_any_tail_never_raises(first: bytes, tail: bytes, keep: int) -> None:
    recognise(first[:keep] + tail)


@given(st.binary(max_size=80))
def test_no_bytes_raise(first: bytes) -> None:
    assert recognise(first) is None or not looks_like_tls(first)


@pytest.mark.parametrize(
    "first",
    [b"220 " + b"a" * 100_000, b"220 " + b"a." * 50_000, b" " * 100_000, b"<?xml " * 20_000, b":" + b"a" * 100_000,
     b"200 " + b"post" * 20_000, b"GET " + b"/" * 100_000, b"220-" + b"smt" * 30_000],
)  # fmt: skip
def test_only_the_beginning_is_read(first: bytes) -> None:
    """So a long answer costs no more than a short one; a pattern that backtracks would make this test hang."""
    assert recognise(first) == recognise(first[:MAX_BYTES])
