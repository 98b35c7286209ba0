"""Lines of any input, in bounded memory, without losing anything that could be read."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from scanner import lines
from scanner.lines import StreamBroken, batches_of_lines, blocks, compression_of, decode


def split(data: bytes, limit: int = 100) -> list[bytes]:
    return [line for batch in batches_of_lines(blocks(io.BytesIO(data)), limit) for line in batch]


@given(st.binary(max_size=200), st.lists(st.integers(1, 50), max_size=20))
def test_chunking_never_changes_the_lines(data: bytes, sizes: list[int]) -> None:
    def chunks() -> Iterator[bytes]:
        position = 0
        for size in sizes:
            if data[position : position + size]:
                yield data[position : position + size]
            position += size
        if data[position:]:
            yield data[position:]

    got = [line for batch in batches_of_lines(chunks(), 1000) for line in batch]
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert got == expected


pieces = st.lists(st.sampled_from([b"\n", b"\r", b"\0", b"abc", b"x" * 30, b"y" * 100]), max_size=20).map(b"".join)


@given(pieces, st.lists(st.integers(1, 50), max_size=20), st.integers(1, 120))
def test_lines_with_and_without_ends_agree(data: bytes, sizes: list[int], limit: int) -> None:
    def chunks() -> Iterator[bytes]:
        source = io.BytesIO(data)
        for size in (*sizes, len(data)):
            if chunk := source.read(size):
                yield chunk

    got = [line for batch in batches_of_lines(chunks(), limit, with_ends=True) for line in batch]
    assert [line.removesuffix(b"\n") for line in got] == [
        line for batch in batches_of_lines(chunks(), limit) for line in batch
    ]
    if limit >= 100:
        assert all(line.endswith(b"\n") for line in got[:-1] if len(line) <= limit)


@pytest.mark.parametrize("block", [1, 7, 64, 10_000])
def test_a_long_line_is_cut_and_the_next_ones_are_whole(block: int) -> None:
    data = b"first\n" + b"x" * 5000 + b"\nafter\n" + b"y" * 101
    chunks = (data[start : start + block] for start in range(0, len(data), block))
    got = [line for batch in batches_of_lines(chunks, 100) for line in batch]
    assert got == [b"first", b"x" * 101, b"after", b"y" * 101]


def test_an_endless_line_takes_no_memory() -> None:
    endless = (b"z" * 100_000 for _ in range(2000))
    assert [len(line) for batch in batches_of_lines(endless, 1000) for line in batch] == [1001]


def gz(data: bytes) -> bytes:
    return gzip.compress(data)


def zst(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


@pytest.mark.parametrize("pack", [gz, zst])
def test_compressed_members_follow_one_another(pack: object) -> None:
    assert callable(pack)
    text = b"".join(b"line %d\n" % number for number in range(50_000))
    packed = pack(text[:1000]) + pack(b"") + pack(text[1000:])
    assert compression_of(packed) != "none"
    assert b"".join(blocks(io.BytesIO(packed))) == text


def test_zero_padding_after_gzip_is_ignored() -> None:
    assert split(gz(b"a\nb\n") + bytes(1000)) == [b"a", b"b"]


@pytest.mark.parametrize("size", [5, 20, 1000])
def test_a_torn_gzip_gives_what_was_whole(size: int) -> None:
    text = b"".join(b"line %d\n" % (number * number) for number in range(10_000))
    packed = gz(text)[:-size]
    got = []
    with pytest.raises(StreamBroken) as caught:
        for batch in batches_of_lines(blocks(io.BytesIO(packed)), 100):
            got += batch
    assert caught.value.truncated
    assert text.startswith(b"\n".join(got)) and len(got) > 5000


@pytest.mark.parametrize(
    "packed", [gz(b"a\n")[:10] + b"\xff" * 50, gz(b"a\n") + b"garbage", zst(b"a\n")[:5] + b"\xff" * 50]
)
def test_damaged_data_is_stream_broken(packed: bytes) -> None:
    with pytest.raises(StreamBroken) as caught:
        split(packed)
    assert not caught.value.truncated


@given(st.sampled_from([b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd"]), st.binary(max_size=100))
def test_random_bytes_after_a_magic_only_break_the_stream(magic: bytes, tail: bytes) -> None:
    try:
        split(magic + tail)
    except StreamBroken:
        pass


@pytest.mark.parametrize("pack", [gz, zst])
def test_a_decompression_bomb_is_yielded_in_blocks(pack: object) -> None:
    assert callable(pack)
    bomb = pack(bytes(30_000_000))
    assert len(bomb) < 100_000
    sizes = [len(block) for block in blocks(io.BytesIO(bomb))]
    assert sum(sizes) == 30_000_000 and max(sizes) <= lines.BLOCK


def test_a_read_error_is_stream_broken() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(StreamBroken, match="Input/output error"):
        list(blocks(Failing()))


def test_every_byte_decodes() -> None:
    assert decode("bü".encode()) == "bü"
    assert decode(b"b\xfc") == "bü"
    assert len(decode(bytes(range(256)))) == 256
