"""Writes NDJSON: whole lines in one system call, and never over an existing file unless asked to."""

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
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO, Final, TextIO, cast

from scanner.errors import TlsweepError
from scanner.output.encoding import dumps_line
from scanner.output.reader import NotFindings
from scanner.output.repair import Holds, repair_torn_tail
from scanner.text import quoted

if sys.platform != "win32":
    import fcntl
    import termios

# Bytes and seconds that lines are buffered: large enough that a busy run does few writes, short enough to watch it live. When
# compressed, each write is a member by itself: on findings of the demo gzip takes 8 % more space and no more time than with
# members of 4 MB, and 30 % more space with 32 KB.
FLUSH_BYTES: Final = 128 * 1024
FLUSH_SECONDS: Final = 1.0
# Seconds at the end in which the reader of a pipe may take what is in it, and milliseconds between looks. A pipe holds 64 KB, which
# takes a program that reads no time; one that does not, such as a pager, must not hold up the end.
READER_SECONDS: Final = 2.0
READER_POLL_MS: Final = 5


class OutputError(TlsweepError):
    """The output cannot be written."""


class OutputExists(OutputError):
    """The output file exists, and neither ``force`` nor ``resume`` was given."""


class OutputFull(OutputError):
    """No space is left; what was written before consists of whole lines."""


class OutputLost(OutputError):
    """The output was deleted, replaced or changed by another program while it was written."""


class OutputClosed(OutputError):
    """The reader at the other end of the pipe has gone."""


def compressor_for(path: str) -> Callable[[bytes], bytes] | None:
    """Return what compresses lines to a gzip member (RFC 1952) or zstd frame (RFC 8878), by the suffix of ``path``, if it has one."""
    lower = path.lower()
    if lower.endswith(".gz"):
        return partial(zlib.compress, level=6, wbits=31)
    if not lower.endswith(".zst"):
        return None
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress


def _bytes_in_pipe(descriptor: int) -> int:
    """Return how many bytes wait in a pipe; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    number = bytearray(4)
    try:
        fcntl.ioctl(descriptor, termios.FIONREAD, number)
    except OSError:
        return 0
    return int.from_bytes(number, sys.byteorder)


class Writer:
    """Writes one JSON object per line; for one task at a time.

    ``write`` buffers lines until ``FLUSH_BYTES`` or ``FLUSH_SECONDS`` are reached; call ``flush`` when there is nothing more to
    write for the moment, so that findings appear as they complete. ``descriptor`` is a file descriptor, or a stream if there is
    none (a replaced standard output); a ``regular`` file is appended to. ``compress`` makes a whole member of lines, so that a
    file always ends with a whole member. ``before`` is a writer that is flushed before this one writes.

    After a failure, every call but ``close`` raises the error again, and nothing more is written.
    """

    def __init__(
        self,
        descriptor: int | BinaryIO,
        shown: str,
        *,
        compress: Callable[[bytes], bytes] | None = None,
        regular: bool = True,
        owned: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._descriptor = descriptor if isinstance(descriptor, int) else -1
        self._stream = None if isinstance(descriptor, int) else descriptor
        self._shown = shown
        self._compress = compress
        self._regular = regular
        self._size = os.fstat(self._descriptor).st_size if regular else 0
        self._owned = owned
        self._clock = clock
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._flushed_at = clock()
        self._closed = False
        self._failure: OutputError | None = None
        self.before: Writer | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one record; it reaches the file with the next flush at the latest."""
        self.write_lines(dumps_line(record))

    def write_lines(self, lines: bytes) -> None:
        """Add encoded lines, each with its line feed."""
        self._buffer.append(lines)
        self._buffered_bytes += len(lines)
        if self._buffered_bytes >= FLUSH_BYTES or self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write everything that is buffered, whole lines in one system call. Raises ``OutputError``."""
        self._flushed_at = self._clock()
        if not self._buffer:
            return
        data = b"".join(self._buffer)
        self._buffer.clear()
        self._buffered_bytes = 0
        if self._failure is not None:
            raise self._failure
        try:
            if self.before is not None:
                self.before.flush_or_fail()
            self._put(data if self._compress is None else self._compress(data))
        except OutputError as error:
            self._failure = error
            raise

    def flush_due(self) -> None:
        """Flush; a compressed file at most every ``FLUSH_SECONDS``, to avoid small members."""
        if self._compress is None or self._clock() - self._flushed_at >= FLUSH_SECONDS:
            self.flush()

    def check_reader(self) -> None:
        """Raise ``OutputClosed`` if this is a pipe whose reader has gone, even if nothing was written since."""
        if self._regular or self._descriptor < 0 or self._failure is not None:
            return
        poll = select.poll()
        poll.register(self._descriptor, 0)
        if any(events & select.POLLERR for _, events in poll.poll(0)):
            self._failure = OutputClosed(f"cannot write {self._shown}: the reader has gone")
            raise self._failure

    def _await_reader(self) -> None:
        """Wait until the reader of a pipe has taken everything. Raises ``OutputClosed`` if it goes away before.

        What fits into the pipe is written whether it is read or not: only this tells a reader that was content with less, always.
        """
        if self._regular or self._descriptor < 0 or not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
            return
        deadline = self._clock() + READER_SECONDS
        while (left := _bytes_in_pipe(self._descriptor)) and self._clock() < deadline:
            poll = select.poll()
            poll.register(self._descriptor, 0)
            if any(events & select.POLLERR for _, events in poll.poll(READER_POLL_MS)):
                raise OutputClosed(f"cannot write {self._shown}: the reader has gone, and left {left} bytes")

    def flush_or_fail(self) -> None:
        """Flush, or raise the error of an earlier flush again."""
        if self._failure is not None:
            raise self._failure
        self.flush()

    def close(self) -> None:
        """Flush and close; closing again does nothing. Raises ``OutputError``, unless it was raised before."""
        if self._closed:
            return
        self._closed = True
        try:
            known = self._failure or (self.before and self.before._failure)
            if known is None:
                self.flush()
                self._check_unchanged()
                self._await_reader()
        except OutputError as error:
            self._failure = error
            raise
        finally:
            if self._owned:
                self._close_descriptor()

    def _close_descriptor(self) -> None:
        try:
            os.close(self._descriptor)
        except OSError as error:  # network file systems report only now that there is no space
            self._failure = _output_error(self._shown, error, kept=self._regular)
            raise self._failure from error

    def _check_unchanged(self) -> None:
        """Raise ``OutputLost`` if another program deleted, replaced, cut or wrote to the file."""
        if not self._regular:
            return
        seen = os.fstat(self._descriptor)
        if seen.st_nlink == 0:
            raise OutputLost(f"cannot write {self._shown}: it was deleted or replaced meanwhile; start it again")
        if seen.st_size != self._size:
            what = "cut" if seen.st_size < self._size else "written to"
            raise OutputLost(
                f"cannot write {self._shown}: another program has {what} it meanwhile; --resume finds what is missing"
            )

    def _put(self, data: bytes) -> None:
        """Write all of ``data``, or cut the file back to its last whole line or member and raise ``OutputError``."""
        self._check_unchanged()
        view = memoryview(data)
        try:
            while view:
                try:
                    written = self._write(view)
                except BlockingIOError:  # a pipe that its other end made non-blocking
                    select.select([], [self._descriptor], [])
                    continue
                view = view[written:]
        except OSError as error:
            if self._regular:
                whole = 0 if self._compress is not None else data.rfind(b"\n", 0, len(data) - len(view)) + 1
                with suppress(OSError):  # if that fails too, ``--resume`` repairs the file
                    os.ftruncate(self._descriptor, self._size + whole)
            raise _output_error(self._shown, error, kept=self._regular) from error
        self._size += len(data)

    def _write(self, data: memoryview) -> int:
        if self._stream is None:
            return os.write(self._descriptor, data)
        self._stream.write(bytes(data))
        self._stream.flush()
        return len(data)


def _output_error(shown: str, error: OSError, *, kept: bool = False) -> OutputError:
    """Return the error to raise. ``kept`` means that what was written before stays in a file."""
    if error.errno in (errno.EPIPE, errno.ECONNRESET):
        return OutputClosed(f"cannot write {shown}: the reader has gone")
    rest = "; what was written before is whole, and --resume goes on from it" if kept else ""
    kind = OutputFull if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else OutputError
    return kind(f"cannot write {shown}: {error.strerror or error}{rest}")


def check_output(path: str, *, force: bool = False, resume: bool = False) -> None:
    """Raise the ``OutputError`` that ``open_output`` would raise, as far as that is known without touching anything."""
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
    """Open the writer for an output: ``None`` and ``-`` are standard output, ``.gz`` and ``.zst`` compress.

    An existing regular file is written to only with ``force``, which empties it, or ``resume``, which cuts off a torn last line
    and appends, but refuses a file that holds something other than ``holds``. Raises ``OutputError``.
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
        flags = os.O_CLOEXEC | (os.O_RDWR | os.O_APPEND if regular else os.O_WRONLY)
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
        return Writer(descriptor, shown, compress=compressor_for(path), regular=regular, clock=clock)
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
    """Lock the file against other writers; the lock ends with the process, however that ends."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(f"another run is writing to {shown}") from None
    except OSError:
        return  # a file system without locks
