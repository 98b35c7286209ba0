"""Lines with their ends: bounded, in order, nothing lost that could be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanner.output.splitting import lines_with_ends

from scanner.lines import StreamBroken, batches_of_lines


def chunks(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    position = 0
    for size in sizes:
        if data[position : position + size]:
            yield data[position : position + size]
        position += size
    if data[position:]:
        yield data[position:]


pieces = st.lists(st.sampled_from([b"\n", b"\r", b"\0", b"abc", b"x" * 30, b"y" * 100]), max_size=20).map(b"".join)


@given(pieces, st.lists(st.integers(1, 50), max_size=20))
def test_chunking_never_changes_the_lines(data: bytes, sizes: list[int]) -> None:
    got = [line for batch in lines_with_ends(chunks(data, sizes), 1000) for line in batch]
    assert b"".join(got) == data
    assert all(line.endswith(b"\n") for line in got[:-1]) and not any(b"\n" in line[:-1] for line in got)


@given(pieces, st.lists(st.integers(1, 50), max_size=20), st.integers(1, 120))
def test_the_same_lines_as_without_their_ends(data: bytes, sizes: list[int], limit: int) -> None:
    """Those that are too long are cut to the same bytes."""
    got = [line.removesuffix(b"\n") for batch in lines_with_ends(chunks(data, sizes), limit) for line in batch]
    assert got == [line for batch in batches_of_lines(chunks(data, sizes), limit) for line in batch]


def test_an_endless_line_takes_no_memory() -> None:
    endless = (b"z" * 100_000 for _ in range(2000))
    assert [len(line) for batch in lines_with_ends(endless, 1000) for line in batch] == [1001]


def test_what_came_before_the_break_is_told() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one\ntwo\nthr"
        raise StreamBroken("ends in the middle", truncated=True)

    got: list[list[bytes]] = []
    with pytest.raises(StreamBroken):
        got.extend(lines_with_ends(broken(), 100))
    assert got == [[b"one\n", b"two\n"], [b"thr"]]
