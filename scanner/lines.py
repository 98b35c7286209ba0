"""Lines of a file that may be huge, compressed, torn, or not text at all, in bounded memory.

Inventories and findings are read through here. The compression is recognised by the first bytes, never by the name. A line
longer than the limit is delivered as its first ``limit + 1`` bytes and the rest is skipped, so that readers only have to test
``len(line) > limit``.
"""

from __future__ import annotations

import errno
import io
import select
import sys
import zlib
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal, cast

from scanner.errors import TlsweepError
from scanner.text import quoted

# Bytes per read. Larger blocks gain nothing measurable; with zlib and the list of lines this stays within a few MB.
BLOCK: Final = 256 * 1024

# Compressed bytes per read: what they expand to is limited separately, by BLOCK.
COMPRESSED_BLOCK: Final = 64 * 1024

# RFC 8878 section 3.1.1.1.2 recommends 8 MB; `zstd --long` writes 128 MB. A larger window is a memory attack.
ZSTD_MAX_WINDOW: Final = 128 * 1024 * 1024

# A block of four bytes can expand to 128 KB (RFC 8878 section 3.1.1.2), and a call returns all that its input expands to:
# input this small limits a bomb to some 16 MB, and costs nothing measurable on honest data.
ZSTD_INPUT_STEP: Final = 512
ZSTD_OUTPUT_STEP: Final = 16 * 1024

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"

Compression = Literal["none", "gzip", "zstd"]


class StreamBroken(Exception):
    """The stream cannot be read further; ``truncated`` if it only ends too soon."""

    def __init__(self, reason: str, *, truncated: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.truncated = truncated


def open_binary(path: str) -> BinaryIO:
    """Open the file at ``path``, or standard input for ``-``. Raises ``OSError``."""
    if path == "-":
        # Below the buffer, from which nothing has been read yet: a thread that waits for input inside the buffer holds its
        # lock, which the interpreter needs when it ends.
        if cast("object", sys.stdin) is None:
            raise OSError(errno.EBADF, "it is closed")
        buffer = sys.stdin.buffer
        return cast("BinaryIO", buffer.raw) if isinstance(buffer, io.BufferedReader) else buffer
    return open(path, "rb")


def open_named(path: str, failure: type[TlsweepError], what: str = "") -> tuple[BinaryIO, str]:
    """Return the file of ``open_binary``, and how messages name it. Raises ``failure``; ``what`` precedes the name in its text."""
    shown = "standard input" if path == "-" else quoted(path, 200)[1:-1]
    try:
        return open_binary(path), shown
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise failure(f"cannot read {what}{shown}: {reason}") from error


def close_binary(file: BinaryIO) -> None:
    """Close a file from ``open_binary``; standard input stays open."""
    buffer = getattr(sys.stdin, "buffer", None)
    if file is not buffer and file is not getattr(buffer, "raw", None):
        file.close()


def compression_of(start: bytes) -> Compression:
    """Return the compression of a file with these first bytes."""
    if start.startswith(GZIP_MAGIC):
        return "gzip"
    return "zstd" if start.startswith(ZSTD_MAGIC) else "none"


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of ``file``, decompressed, in non-empty blocks of at most about ``BLOCK`` bytes.

    Bytes of a pipe are yielded as they come. Raises ``StreamBroken`` after everything that could be read was yielded.
    """
    start = b""
    while len(start) < len(ZSTD_MAGIC):
        more = _read(file, BLOCK)
        if not more:
            break
        start += more
    if not start:
        return
    compression = compression_of(start)
    if compression == "gzip":
        yield from _gunzip(start, file)
    elif compression == "zstd":
        yield from _unzstd(start, file)
    else:
        yield start
        while more := _read(file, BLOCK):
            yield more


def _read(file: BinaryIO, size: int) -> bytes:
    """Read what is available, up to ``size`` bytes; ``b""`` at the end."""
    try:
        if isinstance(file, (io.BufferedReader, io.BytesIO)):
            return file.read1(size)
        while (data := cast("bytes | None", file.read(size))) is None:
            select.select([file], [], [])  # its other end made it non-blocking
        return data
    except (OSError, ValueError) as error:
        raise StreamBroken(f"cannot be read further: {error}") from error


def _gunzip(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Decompress every member of a gzip file (RFC 1952 section 2.2); zero padding between or after them is skipped."""
    pending = start
    at_start_of_file = True
    while True:
        if not at_start_of_file:
            pending = pending.lstrip(b"\0")
        while len(pending) < len(GZIP_MAGIC):
            more = _read(file, COMPRESSED_BLOCK)
            if not more:
                if pending:
                    raise StreamBroken("ends in the middle of a gzip member", truncated=True)
                return
            pending = (pending + more) if at_start_of_file else (pending + more).lstrip(b"\0")
        at_start_of_file = False
        if not pending.startswith(GZIP_MAGIC):
            raise StreamBroken("has bytes after the gzip data that are not gzip")
        member = zlib.decompressobj(wbits=31)
        held_back = False  # output of a full block may wait inside although all input was taken
        while not member.eof:
            if not pending and not held_back:
                pending = _read(file, COMPRESSED_BLOCK)
                if not pending:
                    raise StreamBroken("ends in the middle of a gzip member", truncated=True)
            try:
                data = member.decompress(pending, BLOCK)
            except zlib.error as error:
                raise StreamBroken(f"is damaged gzip data ({error})") from error
            held_back = len(data) == BLOCK
            pending = member.unconsumed_tail
            if data:
                yield data
        pending = member.unused_data


def _unzstd(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Decompress every frame of a zstd file (RFC 8878 section 3)."""
    import zstandard

    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW)
    pending = memoryview(start)
    while True:
        frame = decompressor.decompressobj(write_size=ZSTD_OUTPUT_STEP)
        if not pending:
            pending = memoryview(_read(file, COMPRESSED_BLOCK))
            if not pending:
                return
        while not frame.eof:
            if not pending:
                pending = memoryview(_read(file, COMPRESSED_BLOCK))
                if not pending:
                    raise StreamBroken("ends in the middle of a zstd frame", truncated=True)
            piece, pending = pending[:ZSTD_INPUT_STEP], pending[ZSTD_INPUT_STEP:]
            try:
                data = frame.decompress(piece)
            except zstandard.ZstdError as error:
                raise StreamBroken(f"is damaged zstd data ({error})") from error
            for position in range(0, len(data), BLOCK):
                yield data[position : position + BLOCK]
        if frame.unused_data:
            pending = memoryview(frame.unused_data + bytes(pending))


def batches_of_lines(
    source: Iterator[bytes], limit: int, newline: bytes = b"\n", *, with_ends: bool = False
) -> Iterator[list[bytes]]:
    """Yield the lines in ``source``, in lists, as they come, without their line ends; the last one may lack its end.

    No line is longer than ``limit + 1`` bytes; one of that length was cut. What was read before ``StreamBroken``
    is yielded before it is raised, a last torn line included. ``with_ends`` keeps the ends of lines that end in a line feed:
    they are then found by ``memchr``, which for lines of 4 KB costs a third of what ``bytes.split`` does.
    """
    pieces: list[bytes] = []  # of an unfinished line, joined once: a long line must not cost quadratic copying
    held = 0
    skipping = False
    broken: StreamBroken | None = None
    while True:
        try:
            block = next(source, b"")
        except StreamBroken as error:
            broken, block = error, b""
        if not block:
            break
        if with_ends:
            lines = io.BytesIO(block).readlines()
            tail = b"" if lines[-1].endswith(newline) else lines.pop()
        else:
            lines = block.split(newline)
            tail = lines.pop()
        if lines:
            if skipping:
                del lines[0]
                skipping = False
            elif pieces:
                pieces.append(lines[0])
                lines[0] = b"".join(pieces)
                pieces.clear()
                held = 0
            if lines:
                if max(map(len, lines)) > limit:
                    lines = [line[: limit + 1] for line in lines]
                yield lines
        if tail and not skipping:
            pieces.append(tail)
            held += len(tail)
            if held > limit:
                yield [b"".join(pieces)[: limit + 1]]
                pieces.clear()
                held = 0
                skipping = True
    if pieces:
        yield [b"".join(pieces)]
    if broken is not None:
        raise broken


def decode(raw: bytes) -> str:
    """Return the text of a line: UTF-8, else Latin-1, in which every byte is a character."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
