"""A torn tail is cut, and nothing else is ever touched."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from scanner.output import NotFindings, repair_torn_tail
from tests.output.made import line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b""),
        (line(1), line(1)),
        (line(1) + line(2)[:30], line(1)),
        (line(1) + line(2)[:-1], line(1)),
        (line(1)[:30], b""),
        (line(1)[:3], b""),
        (bytes(300), b""),
        (line(1) + bytes(5000), line(1)),
        (line(1) + line(2)[:30] + bytes(200_000), line(1)),
        (line(1)[:30] + bytes(5000), b""),
        (line(1) + b"garbage\n", line(1) + b"garbage\n"),
    ],
)
def test_a_torn_last_line_is_cut_off(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "findings"
    path.write_bytes(before)
    assert repair_torn_tail(str(path)) == len(before) - len(after)
    assert path.read_bytes() == after


@pytest.mark.parametrize("content", [b"precious", b"precious\n", b"{}\n", b'{"a":1}', b"\x1f\x8bxxxx" + bytes(50)])
def test_other_files_are_not_changed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "thesis.txt"
    path.write_bytes(content)
    with pytest.raises(NotFindings):
        repair_torn_tail(str(path))
    assert path.read_bytes() == content


def test_an_absent_file_needs_no_repair(tmp_path: Path) -> None:
    assert repair_torn_tail(str(tmp_path / "absent")) == 0


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
def test_damage_in_the_middle_is_not_cut_away(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "findings"
    content = pack(line(1)) + b"damage" + pack(line(2))
    path.write_bytes(content)
    with pytest.raises(NotFindings, match="damaged"):
        repair_torn_tail(str(path))
    assert path.read_bytes() == content


def test_every_cut_of_a_compressed_file_keeps_its_whole_lines(tmp_path: Path) -> None:
    texts = [line(1) + line(2), line(3), line(4) + line(5)]
    for pack in (gzip.compress, zstandard.ZstdCompressor().compress):
        members = [pack(text) for text in texts]
        whole = b"".join(members)
        path = tmp_path / "findings"
        for cut in range(len(members[0]), len(whole) + 1):
            path.write_bytes(whole[:cut])
            repair_torn_tail(str(path))
            repaired = path.read_bytes()
            if pack is gzip.compress:
                text = gzip.decompress(repaired)
            else:
                reader = zstandard.ZstdDecompressor().stream_reader(repaired, read_across_frames=True)
                text = reader.read()
            assert b"".join(texts).startswith(text) and (text.endswith(b"\n"))
            assert text.startswith(texts[0])
            assert repair_torn_tail(str(path)) == 0


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.ZstdCompressor().compress])
@pytest.mark.parametrize("torn", [0, 5, 40])
def test_zero_bytes_that_a_power_cut_left_are_cut(tmp_path: Path, pack: Callable[[bytes], bytes], torn: int) -> None:
    path = tmp_path / "findings"
    whole = pack(line(1)) + pack(line(2))
    path.write_bytes(whole + pack(line(3))[:torn] + bytes(5000))
    assert repair_torn_tail(str(path)) == torn + 5000
    assert path.read_bytes() == whole
    assert repair_torn_tail(str(path)) == 0
