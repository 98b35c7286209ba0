"""A findings file that a killed run left, made whole again."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
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

# How a line of each kind begins, and what reads one: what it holds, or why it is none.
_KINDS: Final[dict[Holds, tuple[bytes, Callable[[bytes], object]]]] = {
    "findings": (b'{"schema":"%s"' % SCHEMA.encode(), finding_of),
    "certificates": (b'{"sha256":"', certificate_of),
}


def repair_torn_tail(path: str, holds: Holds = "findings") -> int:
    """Make the file at ``path`` end with a whole line again; returns how many bytes were cut off.

    Raises ``NotFindings`` and touches nothing when it holds something other than what it should.
    An absent or empty file needs no repair.
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
    """The offset after the last line feed that does not end a line of zero bytes, which a power cut can leave."""
    step = 64 * 1024
    position = size
    while position > 0:
        start = max(position - step, 0)
        file.seek(start)
        block: bytes = file.read(position - start)
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        position = start
    return 0


def refuse_other_files(path: str, holds: Holds = "findings") -> None:
    """Raise ``NotFindings`` unless the first line is of the kind that the file should hold, or the torn start of one."""
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
    """Cut the file after its last whole member. That takes no room, so it works on a full disk too."""
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _end_before_zeros(file, size)
        file.seek(0)
        whole = _end_of_whole_parts(file, kind, end)
        if whole < size:
            file.truncate(whole)
        return size - whole


def _end_before_zeros(file: BinaryIO, size: int) -> int:
    """The offset after which there are only zero bytes, which a power cut can leave; ``MEMBER_ZEROS`` of them may be a member's."""
    position = size
    while position > 0:
        start = max(position - _STEP, 0)
        file.seek(start)
        block = file.read(position - start).rstrip(b"\0")
        if block:
            return min(start + len(block) + MEMBER_ZEROS, size)
        position = start
    return 0


# No member ends with more zero bytes than its checksum and size have (RFC 1952 section 2.3.1); a frame of text with fewer.
MEMBER_ZEROS: Final = 8
# What is taken in at once while members are told apart.
_STEP: Final = 64 * 1024


class _Decompressor(Protocol):
    """One gzip member (RFC 1952) or zstd frame (RFC 8878) on its way."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressors(kind: Compression) -> tuple[Callable[[], _Decompressor], type[Exception]]:
    """What begins a member, and what it raises on damaged data."""
    if kind == "gzip":
        return lambda: zlib.decompressobj(wbits=31), zlib.error
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
    return lambda: decompressor.decompressobj(), zstandard.ZstdError


def _end_of_whole_parts(file: BinaryIO, kind: Compression, end: int) -> int:
    """The offset after the last whole member among the first ``end`` bytes. Raises ``NotFindings`` for damaged data."""
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
                # Cutting here would lose what follows: that is for a person to decide.
                raise NotFindings(f"its {kind} data is damaged after byte {whole + used} ({error})") from error
            used += len(pending) - len(part.unused_data)
            pending = b""
        whole += used
        pending = part.unused_data
