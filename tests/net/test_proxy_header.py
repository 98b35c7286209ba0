"""Headers of the PROXY protocol, byte by byte as its specification has them."""

from __future__ import annotations

import pytest

from scanner.net.proxy_header import proxy_header

V2 = b"\r\n\r\n\0\r\nQUIT\n\x21"


@pytest.mark.parametrize(
    ("version", "source", "destination", "expected"),
    [
        (1, ("192.0.2.1", 40000), ("198.51.100.2", 443), b"PROXY TCP4 192.0.2.1 198.51.100.2 40000 443\r\n"),
        (1, ("2001:db8::1", 1), ("2001:db8::2", 65535), b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"),
        (
            2,
            ("192.0.2.1", 40000),
            ("198.51.100.2", 443),
            V2 + b"\x11\x00\x0c" + bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\x9c\x40\x01\xbb",
        ),
        (
            2,
            ("fe80::1%lo", 1),
            ("fe80::2%lo", 2),
            V2 + b"\x21\x00\x24" + bytes.fromhex("fe80" + "00" * 13 + "01" + "fe80" + "00" * 13 + "02") + b"\0\1\0\2",
        ),
    ],
)
def test_a_header_has_both_ends_of_the_connection(
    version: int, source: tuple[str, int], destination: tuple[str, int], expected: bytes
) -> None:
    assert proxy_header(version, source, destination) == expected
