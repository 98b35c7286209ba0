"""MySQL and MariaDB: the connection phase."""

from __future__ import annotations

from scanner.starttls import Malformed, NotOffered, Ready, SessionRefused
from tests.starttls.playbook import answer, play

SSL_REQUEST = ("C", bytes.fromhex("20000001 008a0000 00000001 2d") + bytes(23))


def packet(body: bytes, sequence: int = 0) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


def greeting(capabilities: int, version: bytes = b"8.0.36") -> bytes:
    rest = bytes(4) + b"\x01" * 8 + b"\0" + capabilities.to_bytes(2, "little") + b"\x2d\x02\x00" + bytes(29)
    return packet(b"\x0a" + version + b"\0" + rest)


def test_the_ssl_request_is_sent_once_ready() -> None:
    assert play("mysql", ("C", b""), ("S", greeting(0xFFFF)), SSL_REQUEST) == Ready()


def test_not_offered() -> None:
    assert play("mysql", ("S", greeting(0xF7FF, b"5.5.68-MariaDB"))) == NotOffered("5.5.68-MariaDB")
    assert play("mysql", ("S", packet(b"\x093.23.49\0" + bytes(14)))) == NotOffered("3.23.49")


def test_errors() -> None:
    said = packet(b"\xff\x69\x04Host '192.0.2.7' is blocked")
    assert play("mysql", ("S", said)) == SessionRefused("1129 Host '192.0.2.7' is blocked")
    said = packet(b"\xff\x10\x04#08004Too many connections")
    assert play("mysql", ("S", said)) == SessionRefused("1040 Too many connections")


def test_another_protocol() -> None:
    assert play("mysql", ("S", b"SSH-2.0-OpenSSH_9.2p1\r\n")) == Malformed("SSH-2.0-OpenSSH_9.2p1\r\n", "ssh")
    assert play("mysql", ("S", packet(b"\x0b" + bytes(30)))) == Malformed((packet(b"\x0b" + bytes(30))).decode(), None)
    assert isinstance(answer("mysql", [packet(b"\x0a8.0\0" + bytes(4))]), Malformed)
    assert isinstance(answer("mysql", [packet(b"")]), Malformed)
    assert isinstance(answer("mysql", [packet(b"\xff\x01")]), Malformed)
