"""Every length is checked, and a block must be consumed exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scanner.tls.wire import DecodeError, Reader, code_and_vector, codes, vector8, vector16, vector24, whole_vector

VECTORS = [(vector8, 1), (vector16, 2), (vector24, 3)]


def test_numbers_are_big_endian() -> None:
    reader = Reader(bytes.fromhex("01000200000300000004"), "numbers")
    assert [reader.number(width) for width in (1, 2, 3, 4)] == [1, 2, 3, 4]
    reader.done()


@pytest.mark.parametrize(("encode", "width"), VECTORS)
def test_vectors_round_trip(encode: Callable[[bytes], bytes], width: int) -> None:
    for body in (b"", b"x", b"y" * 200):
        reader = Reader(encode(body), "vector")
        assert reader.vector(width) == body
        reader.done()
        assert whole_vector(encode(body), width, "vector") == body


def test_code_lists_round_trip() -> None:
    assert Reader(codes((1, 0x1301, 0xFFFF)), "codes").codes16() == (1, 0x1301, 0xFFFF)


def test_a_list_of_codes_has_an_even_length() -> None:
    with pytest.raises(DecodeError, match="odd length"):
        Reader(b"\x00\x03abc", "codes").codes16()


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda reader: reader.number(2), "short: ends early at byte 1"),
        (lambda reader: reader.vector(2), "short: ends early at byte 1"),
        (lambda reader: reader.vector(1), "short: 5 bytes wanted, 0 left at byte 2"),
        (lambda reader: reader.codes16(), "short: ends early at byte 1"),
    ],
)
def test_nothing_reads_beyond_the_end(read: Callable[[Reader], Any], error: str) -> None:
    reader = Reader(b"\x00\x05", "short")
    reader.number(1)
    with pytest.raises(DecodeError) as caught:
        read(reader)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x00", "one: ends early at byte 0"),
        (b"\x00\x03ab", "one: 3 bytes wanted, 2 left at byte 2"),
        (b"\x00\x01ab", "one: 1 bytes left over at byte 3"),
    ],
)
def test_a_whole_vector_is_as_long_as_it_says(data: bytes, error: str) -> None:
    with pytest.raises(DecodeError) as caught:
        whole_vector(data, 2, "one")
    assert str(caught.value) == error


def test_a_whole_vector_may_begin_later() -> None:
    assert whole_vector(b"xx\x02ab", 1, "one", 2) == b"ab"
    with pytest.raises(DecodeError, match="one: 3 bytes wanted, 2 left at byte 3"):
        whole_vector(b"xx\x03ab", 1, "one", 2)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x00", "one: ends early at byte 0"),
        (b"\x00\x1d\x00", "one: ends early at byte 2"),
        (b"\x00\x1d\x00\x03ab", "one: 3 bytes wanted, 2 left at byte 4"),
        (b"\x00\x1d\x00\x01ab", "one: 1 bytes left over at byte 5"),
    ],
)
def test_where_a_code_and_a_vector_break(data: bytes, error: str) -> None:
    assert code_and_vector(b"\x00\x1d\x00\x02ab", "one") == (0x1D, b"ab")
    with pytest.raises(DecodeError) as caught:
        code_and_vector(data, "one")
    assert str(caught.value) == error


def test_leftovers_are_an_error_that_names_their_offset() -> None:
    reader = Reader(b"ab", "block")
    reader.number(1)
    with pytest.raises(DecodeError, match="block: 1 bytes left over at byte 1") as caught:
        reader.done()
    assert (caught.value.what, caught.value.offset) == ("block", 1)
