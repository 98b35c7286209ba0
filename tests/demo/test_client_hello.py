"""Parsing of ClientHellos: OpenSSL's, and malformed ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner.demo.client_hello import MAX_HELLO, HelloError, complete_hello_untrusted, parse_hello_untrusted
from tests.demo.clients import hello_bytes, old_hello, unchecked


def message_of(received: bytes) -> bytes:
    message = complete_hello_untrusted(received)
    assert message is not None
    return message


def test_openssls_hello_is_parsed() -> None:
    received = hello_bytes(unchecked(), "www.demo.test")
    hello = parse_hello_untrusted(message_of(received), len(received))
    assert hello.server_name == "www.demo.test"
    assert hello.offers_tls13
    assert hello.allows(0x0303) and not hello.allows(0x0301)
    assert 0x1301 in hello.suites
    assert 0x001D in hello.groups
    assert 0x0403 in hello.schemes
    assert hello.secure_renegotiation
    assert hello.size == len(received)


def test_a_hello_without_extensions_is_parsed() -> None:
    received = old_hello(0x0300, 0x0005)
    hello = parse_hello_untrusted(message_of(received), len(received))
    assert hello.server_name is None
    assert hello.suites == (0x0005,)
    assert hello.allows(0x0300) and not hello.allows(0x0301)
    assert not hello.secure_renegotiation


def test_every_prefix_is_incomplete() -> None:
    received = hello_bytes(unchecked(), "www.demo.test")
    assert all(complete_hello_untrusted(received[:end]) is None for end in range(len(received)))


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_hello_in_many_records_is_joined(size: int) -> None:
    received = hello_bytes(unchecked(), "www.demo.test")
    message = message_of(received)
    parts = [message[i : i + size] for i in range(0, len(message), size)]
    cut = b"".join(b"\x16\x03\x01" + len(part).to_bytes(2) + part for part in parts)
    assert message_of(cut) == message


@pytest.mark.parametrize(
    "received",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"G",
        b"\x17\x03\x03\x00\x05hello",
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x03\x00\x00" * (MAX_HELLO // 5 + 1),
    ],
)
def test_other_data_is_refused(received: bytes) -> None:
    with pytest.raises(HelloError):
        complete_hello_untrusted(received)


def test_a_truncated_hello_is_refused() -> None:
    message = message_of(hello_bytes(unchecked(), "www.demo.test"))
    for end in range(4, len(message)):
        if end == 4 + 2 + 32 + 1 + message[38] + 2 + int.from_bytes(message[39 + message[38] : 41 + message[38]]) + 2:
            continue  # a hello without extensions
        with pytest.raises(HelloError):
            parse_hello_untrusted(message[:end], end)


@given(st.binary(max_size=300))
def test_garbage_raises_hello_error_or_parses(data: bytes) -> None:
    try:
        complete_hello_untrusted(data)
    except HelloError:
        pass
    try:
        parse_hello_untrusted(b"\x01\x00\x00\x00" + data, len(data))
    except HelloError:
        pass
