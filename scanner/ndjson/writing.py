"""The one writer: whole lines, in one call, never over something that is there."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final, Protocol, TextIO, cast

import orjson

from scanner.ndjson.reading import NotFindings
from scanner.ndjson.repairing import Holds, repair_torn_tail
from scanner.records import dataclass
from scanner.text import quoted, shorten

if sys.platform != "win32":
    import fcntl

# Held back at most so much, or so long: large enough that a busy run does few writes, short enough to watch it live.
FLUSH_BYTES: Final = 128 * 1024
FLUSH_SECONDS: Final = 1.0

# Uncompressed bytes after which a compressed file starts a new member: what a resumed run has to write again at most.
MEMBER_BYTES: Final = 4 * 1024 * 1024


class OutputError(Exception):
    """The output cannot be written; the message is one line for a person."""


class OutputExists(OutputError):
    """The output file is there already and neither ``force`` nor ``resume`` was asked for."""


class OutputFull(OutputError):
    """No space is left. What was written before is whole."""


class OutputClosed(OutputError):
    """The reader at the other end of the pipe has gone: nobody is interested in the rest."""


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What a writer has done so far; ``bytes`` are those before compression."""

    lines: int
    bytes: int
    writes: int


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def sync(self) -> bytes: ...

    def finish(self) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._member = zlib.compressobj(level=6, wbits=31)

    def compress(self, data: bytes, /) -> bytes:
        return self._member.compress(data)

    def sync(self) -> bytes:
        return self._member.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._member.flush(zlib.Z_FINISH)


class _Zstd:
    def __init__(self) -> None:
        import zstandard

        self._frame = zstandard.ZstdCompressor(level=3).compressobj()
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._end = zstandard.COMPRESSOBJ_FLUSH_FINISH

    def compress(self, data: bytes, /) -> bytes:
        return self._frame.compress(data)

    def sync(self) -> bytes:
        return self._frame.flush(self._block)

    def finish(self) -> bytes:
        return self._frame.flush(self._end)


def compressor_for(path: str) -> Callable[[], _Compressor] | None:
    """What makes a compressor of the kind that the suffix of ``path`` asks for; ``None`` for plain output."""
    lower = path.lower()
    if lower.endswith(".gz"):
        return _Gzip
    return _Zstd if lower.endswith(".zst") else None


class Writer:
    """Writes one JSON object a line. Not for two tasks at once: a run has one task that writes.

    ``write`` keeps lines back until ``FLUSH_BYTES`` or ``FLUSH_SECONDS`` are reached; whoever has nothing more to
    write for the moment calls ``flush``, so that findings appear as they complete.
    ``descriptor`` is a file descriptor, or a stream where there is none (standard output that was replaced).
    """

    def __init__(
        self,
        descriptor: int | BinaryIO,
        shown: str,
        *,
        compressor: Callable[[], _Compressor] | None = None,
        regular: bool = True,
        owned: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor if isinstance(descriptor, int) else -1
        self._stream = None if isinstance(descriptor, int) else descriptor
        self._shown = shown
        self._new_member = compressor
        self._member: _Compressor | None = None
        self._member_bytes = 0
        self._regular = regular
        self._owned = owned
        self._clock = clock
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._flushed_at = clock()
        self._closed = False
        self._lines = 0
        self._bytes = 0
        self._writes = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Take one record; it reaches the file with the next flush at the latest."""
        try:
            line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            line = dumps_line(record)
        size = len(line)
        self._held.append(line)
        self._held_bytes += size
        self._lines += 1
        self._bytes += size
        if self._held_bytes >= FLUSH_BYTES or self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def write_lines(self, lines: bytes, count: int) -> None:
        """Take ``count`` lines as they stand, the last one with its line feed too."""
        self._held.append(lines)
        self._held_bytes += len(lines)
        self._lines += count
        self._bytes += len(lines)
        if self._held_bytes >= FLUSH_BYTES or self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Hand everything taken so far to the system, whole lines in one write."""
        self._flushed_at = self._clock()
        if not self._held:
            return
        data = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        if self._new_member is not None:
            self._member_bytes += len(data)
            if self._member is None:
                self._member = self._new_member()
            compressed = self._member.compress(data)
            if self._member_bytes >= MEMBER_BYTES:
                compressed += self._member.finish()
                self._member = None
                self._member_bytes = 0
            else:
                compressed += self._member.sync()
            data = compressed
        self._put(data)

    def close(self) -> None:
        """Flush, end the compressed member, and close; closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.flush()
            if self._member is not None:
                end = self._member.finish()
                self._member = None
                self._put(end)
        finally:
            if self._owned:
                os.close(self._descriptor)

    def statistics(self) -> WriterStatistics:
        """Counts so far, held-back lines included."""
        return WriterStatistics(self._lines, self._bytes, self._writes)

    def _put(self, data: bytes) -> None:
        """All of ``data``, or an ``OutputError`` with the file cut back to where it ended before."""
        start: int | None = None
        view = memoryview(data)
        try:
            if self._regular:
                start = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            while view:
                try:
                    written = self._write(view)
                except BlockingIOError:  # a pipe that its other end made non-blocking
                    select.select([], [self._descriptor], [])
                    continue
                self._writes += 1
                view = view[written:]
        except OSError as error:
            if start is not None and len(view) < len(data):
                self._cut(start)
            # what could not be written must not be tried again by close()
            self._member = None
            self._held.clear()
            raise _output_error(self._shown, error) from error

    def _write(self, data: memoryview) -> int:
        if self._stream is None:
            return os.write(self._descriptor, data)
        self._stream.write(bytes(data))
        self._stream.flush()
        return len(data)

    def _cut(self, size: int) -> None:
        """Take back a partial write, so that no torn line is left; where that fails too, resume repairs it."""
        try:
            os.ftruncate(self._descriptor, size)
            os.lseek(self._descriptor, size, os.SEEK_SET)
        except OSError:
            return


def _output_error(shown: str, error: OSError) -> OutputError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return OutputFull(f"cannot write {shown}: {error.strerror}; what was written before is whole")
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return OutputClosed(f"cannot write {shown}: the reader has gone")
    return OutputError(f"cannot write {shown}: {error.strerror or error}")


def check_output(path: str, *, force: bool = False, resume: bool = False) -> None:
    """Raise the ``OutputError`` that ``open_output`` would, as far as that can be told without touching anything."""
    if path == "-":
        return
    shown = quoted(path, 200)[1:-1]
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        parent = os.path.dirname(path) or "."
        if not os.path.isdir(parent):
            raise OutputError(f"cannot write {shown}: {os.strerror(errno.ENOENT)}") from None
        if not os.access(parent, os.W_OK | os.X_OK):
            raise OutputError(f"cannot write {shown}: {os.strerror(errno.EACCES)}") from None
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {shown}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(kind):
        raise OutputError(f"cannot write {shown}: {os.strerror(errno.EISDIR)}")
    if stat.S_ISREG(kind) and not (force or resume):
        raise OutputExists(f"the output {shown} exists already: --force overwrites it, --resume goes on with it")
    if not os.access(path, os.W_OK):
        raise OutputError(f"cannot write {shown}: {os.strerror(errno.EACCES)}")


def open_output(
    path: str | None,
    *,
    force: bool = False,
    resume: bool = False,
    holds: Holds = "findings",
    clock: Callable[[], float] = time.monotonic,
) -> Writer:
    """The writer for ``-o``: ``None`` and ``-`` are standard output, ``.gz`` and ``.zst`` compress.

    An existing regular file is only written with ``force`` (which empties it) or ``resume`` (which cuts a torn last
    line and appends; a file that holds something else than ``holds`` is left alone and refused). Raises ``OutputError``.
    """
    if path is None or path == "-":
        if resume:
            raise OutputError("standard output cannot be resumed: name a file")
        return Writer(_standard_output(), "standard output", regular=False, owned=False, clock=clock)
    shown = quoted(path, 200)[1:-1]
    try:
        exists = os.path.lexists(path)
        regular = not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)
        if exists and regular and not (force or resume):
            raise OutputExists(f"the output {shown} exists already: --force overwrites it, --resume goes on with it")
        flags = os.O_RDWR | os.O_CLOEXEC if regular else os.O_WRONLY | os.O_CLOEXEC
        if not exists:
            flags |= os.O_CREAT | os.O_EXCL
        elif regular:
            flags |= os.O_CREAT
        descriptor = os.open(path, flags, 0o666)
    except FileExistsError:
        raise OutputExists(
            f"the output {shown} exists already: --force overwrites it, --resume goes on with it"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise OutputError(f"cannot write {shown}: {reason}") from error
    try:
        if regular:
            _lock(descriptor, shown)
            if resume:
                repair_torn_tail(path, holds)
            elif force:
                os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_END)
        compressor = compressor_for(path)
        return Writer(descriptor, shown, compressor=compressor, regular=regular, clock=clock)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, NotFindings):
            raise OutputError(f"cannot resume: {error}") from error
        if isinstance(error, OSError):
            raise _output_error(shown, error) from error
        raise


def _standard_output() -> int | BinaryIO:
    stdout = cast("TextIO | None", sys.stdout)  # None where the process was started without one
    if stdout is None:
        raise OutputError("cannot write standard output: it is closed")
    try:
        stdout.flush()
        return stdout.fileno()
    except io.UnsupportedOperation:
        return stdout.buffer
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write standard output: {error}") from error


def _lock(descriptor: int, shown: str) -> None:
    """One writer a file: the lock goes when the process does, however it ends."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run is writing to {shown}") from None
    except OSError:
        return  # a file system without locks


def dumps_line(record: Mapping[str, Any]) -> bytes:
    """One record as a line of JSON. What JSON cannot hold is written as text instead of losing the record."""
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return orjson.dumps(_writable(record, 0), option=orjson.OPT_APPEND_NEWLINE)


# Levels that a record of ours never reaches; deeper ones are written as their text.
_MAX_DEPTH: Final = 100


def _writable(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, (bool, float, orjson.Fragment)):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {_writable(str(key), depth + 1): _writable(item, depth + 1) for key, item in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, (list, tuple, set, frozenset)):
        return [_writable(item, depth + 1) for item in value]
    return _writable(shorten(repr(value) if depth < _MAX_DEPTH else "...", 1000), depth)
