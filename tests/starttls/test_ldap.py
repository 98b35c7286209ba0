"""LDAP: RFC 4511."""

from __future__ import annotations

import pytest

from scanner.starttls import Malformed, NeedData, NotOffered, Ready, Refused, SessionRefused
from tests.starttls.playbook import answer, play

REQUEST = ("C", bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037")


def element(tag: int, contents: bytes, *, long: bool = False) -> bytes:
    size = b"\x84" + len(contents).to_bytes(4, "big") if long else bytes([len(contents)])
    return bytes([tag]) + size + contents


def response(code: int, diagnostic: bytes = b"", *, message: int = 1, long: bool = False) -> bytes:
    result = (
        element(0x0A, bytes([code]))
        + element(4, b"")
        + element(4, diagnostic)
        + element(0x8A, b"1.3.6.1.4.1.1466.20037")
    )
    return element(0x30, element(2, bytes([message])) + element(0x78, result, long=long), long=long)


@pytest.mark.parametrize("long", [False, True])
def test_ready(long: bool) -> None:
    assert play("ldap", REQUEST, ("S", response(0, long=long))) == Ready()


def test_not_supported() -> None:
    assert play("ldap", REQUEST, ("S", response(2, b"unsupported extended operation"))) == NotOffered(
        "2 protocolError: unsupported extended operation"
    )
    assert play("ldap", REQUEST, ("S", response(52, b"TLS not configured", long=True))) == NotOffered(
        "52 unavailable: TLS not configured"
    )


def test_refused() -> None:
    assert play("ldap", REQUEST, ("S", response(1, b"TLS already started"))) == Refused(
        "1 operationsError: TLS already started"
    )
    assert play("ldap", REQUEST, ("S", response(99))) == Refused("99")


def test_notice_of_disconnection() -> None:
    assert play("ldap", REQUEST, ("S", response(52, b"going down", message=0))) == SessionRefused(
        "52 unavailable: going down"
    )


def test_another_protocol() -> None:
    assert play("ldap", REQUEST, ("S", b"HTTP/1.1 400 Bad Request\r\n")) == Malformed(
        "HTTP/1.1 400 Bad Request\r\n", "http"
    )


@pytest.mark.parametrize(
    "said",
    [
        element(0x30, b""),
        element(0x30, element(2, b"\x01")),
        element(0x30, element(2, b"") + element(0x78, element(0x0A, b"\0") + element(4, b"") + element(4, b""))),
        element(0x30, element(2, b"\x01") + element(0x61, element(0x0A, b"\0") + element(4, b"") + element(4, b""))),
        element(0x30, element(2, b"\x01") + b"\x78\x7f"),
        element(
            0x30, element(2, b"\x01") + element(0x78, element(0x0A, b"\0" * 5) + element(4, b"") + element(4, b""))
        ),
        b"\x30\x80\x02\x01\x01\0\0\0\0",
        b"\x30\x85\0\0\0\0\x01\x02\x01",
        b"\x30\x84\xff\xff\xff\xff\0\0\0",
    ],
)
def test_malformed(said: bytes) -> None:
    assert isinstance(play("ldap", REQUEST, ("S", said)), Malformed)


def test_incomplete() -> None:
    assert isinstance(answer("ldap", [response(0)[:-1]]), NeedData)
