"""Every length is checked, and a block must be consumed exactly."""

from __future__ import annotations

import pytest

from scanner.tls.wire import DecodeError, Reader, codes, vector8, vector16, vector24


def test_numbers_are_big_endian() -> None:
    reader = Reader(bytes.fromhex("01 0002 000003 00000004".replace(" ", "")), "numbers")
    assert (reader.u8(), reader.u16(), reader.u24(), reader.u32()) == (1, 2, 3, 4)
    reader.done()


@pytest.mark.parametrize(("encode", "take"), [(vector8, "vector8"), (vector16, "vector16"), (vector24, "vector24")])
def test_vectors_round_trip(encode: object, take: str) -> None:
    assert callable(encode)
    for body in (b"", b"x", b"y" * 200):
        reader = Reader(encode(body), "vector")
        assert getattr(reader, take)() == body
        reader.done()


def test_code_lists_round_trip() -> None:
    assert Reader(codes((1, 0x1301, 0xFFFF)), "codes").codes16() == (1, 0x1301, 0xFFFF)


def test_a_list_of_codes_has_an_even_length() -> None:
    with pytest.raises(DecodeError, match="odd length"):
        Reader(b"\x00\x03abc", "codes").codes16()


@pytest.mark.parametrize("take", ["u8", "u16", "u24", "u32", "vector8", "vector16", "vector24", "codes16"])
def test_the_end_is_never_passed(take: str) -> None:
    with pytest.raises(DecodeError, match="short"):
        getattr(Reader(b"", "short"), take)()
    with pytest.raises(DecodeError):
        getattr(Reader(b"\xff\xff\xff", "short"), take if take != "u8" and take[0] != "u" else "u32")()


def test_leftovers_are_refused_and_the_place_is_named() -> None:
    reader = Reader(b"ab", "block")
    reader.u8()
    with pytest.raises(DecodeError, match="block: 1 bytes left over at byte 1") as caught:
        reader.done()
    assert (caught.value.what, caught.value.offset) == ("block", 1)
    assert reader.rest() == b"b"
    assert len(reader) == 0
