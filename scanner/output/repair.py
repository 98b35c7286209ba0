"""Repairs the findings file of a run that was killed: cuts off a torn last line or compressed member."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final, Literal, Protocol

from scanner.lines import (
    ZSTD_INPUT_STEP,
    ZSTD_MAX_WINDOW,
    Compression,
    StreamBroken,
    batches_of_lines,
    blocks,
    compression_of,
)
from scanner.model.findings import SCHEMA
from scanner.output.reader import MAX_FINDING_LINE, NotFindings, certificate_of, finding_of
from scanner.text import quoted

Holds = Literal["findings", "certificates"]

# How a line of each kind begins, and what reads one: it returns the content, or as a text why the line is of another kind.
_KINDS: Final[dict[Holds, tuple[bytes, Callable[[bytes], object]]]] = {
    "findings": (b'{"schema":"%s"' % SCHEMA.encode(), finding_of),
    "certificates": (b'{"sha256":"', certificate_of),
}


def repair_torn_tail(path: str, holds: Holds = "findings") -> int:
    """Cut the file at ``path`` after its last whole line, and return how many bytes were cut off.

    An absent or empty file needs no repair. Raises ``NotFindings``, and changes nothing, if the file holds something else.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                return 0
    except FileNotFoundError:
        return 0
    refuse_other_files(path, holds)
    with open(path, "rb") as file:
        kind = compression_of(file.read(4))
    if kind != "none":
        return _repair_compressed(path, kind)
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _end_of_last_line(file, size)
        if end < size:
            file.truncate(end)
        return size - end


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    """Return the offset after the last line feed. Zero bytes after it, which a power cut can leave, are not a line."""
    for start, block in _blocks_from_the_end(file, size):
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
    return 0


def _blocks_from_the_end(file: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each block among the first ``size`` bytes of the file, the last one first."""
    while size > 0:
        start = max(size - _STEP, 0)
        file.seek(start)
        yield start, file.read(size - start)
        size = start


def refuse_other_files(path: str, holds: Holds = "findings") -> None:
    """Raise ``NotFindings`` unless the first line is of the kind ``holds``, or the torn start of such a line."""
    with open(path, "rb") as file:
        try:
            lines = next(batches_of_lines(blocks(file), MAX_FINDING_LINE), [b""])
        except StreamBroken as error:
            if error.truncated:
                return
            raise NotFindings(f"{quoted(path, 200)[1:-1]} {error.reason}") from error
    first = lines[0]
    start, read = _KINDS[holds]
    if isinstance(read(first), str) and not (len(lines) == 1 and start.startswith(first.rstrip(b"\0")[: len(start)])):
        raise NotFindings(f"{quoted(path, 200)[1:-1]} does not begin with a {holds[:-1]}")


def _repair_compressed(path: str, kind: Compression) -> int:
    """Cut the file after its last whole member. This needs no space, so it also works on a full disk."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _end_before_zeros(file, size)
        file.seek(0)
        whole = _end_of_whole_parts(file, kind, end)
        if whole < size:
            file.truncate(whole)
        return size - whole


def _end_before_zeros(file: BinaryIO, size: int) -> int:
    """Return the offset after which there are only zero bytes, as a power cut leaves them, beside ``MEMBER_ZEROS``."""
    for start, block in _blocks_from_the_end(file, size):
        if content := block.rstrip(b"\0"):
            return min(start + len(content) + MEMBER_ZEROS, size)
    return 0


# Zero bytes at the end of a member that may be its checksum and size (RFC 1952 section 2.3.1); frames of text have fewer.
MEMBER_ZEROS: Final = 8
# Bytes read at a time while members are separated.
_STEP: Final = 64 * 1024


class _Decompressor(Protocol):
    """Decompressor of one gzip member (RFC 1952) or zstd frame (RFC 8878)."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressors(kind: Compression) -> tuple[Callable[[], _Decompressor], type[Exception]]:
    """Return what makes the decompressor of a member, and the exception that it raises for damaged data."""
    if kind == "gzip":
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
    return lambda: decompressor.decompressobj(), zstandard.ZstdError


def _end_of_whole_parts(file: BinaryIO, kind: Compression, end: int) -> int:
    """Return the offset after the last whole member in the first ``end`` bytes. Raises ``NotFindings`` for damaged data."""
    begin, damaged = _decompressors(kind)
    step = _STEP if kind == "gzip" else ZSTD_INPUT_STEP
    whole = 0
    pending = b""
    while True:
        part = begin()
        used = 0
        while not part.eof:
            pending = pending or file.read(min(step, end - whole - used))
            if not pending or not (used or pending.strip(b"\0")):
                return whole
            try:
                part.decompress(pending)
            except damaged as error:
                # cutting here would lose what follows, which only the user can decide
                raise NotFindings(f"its {kind} data is damaged after byte {whole + used} ({error})") from error
            used += len(pending) - len(part.unused_data)
            pending = b""
        whole += used
        pending = part.unused_data
