"""Files that get their name only once they are complete: written beside their place, then moved there."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, TextIO, cast

from scanner.output.writer import OutputClosed, OutputError, OutputExists, Writer, compressor_for, open_output
from scanner.text import quoted

# Temporary names tried before giving up.
_TRIES: Final = 100


class Draft:
    """A file under a temporary name in its directory, until ``place`` gives it its name; the context removes it otherwise.

    ``-`` is standard output. What exists and is not a regular file (``/dev/null``, a pipe) is written to directly. Raises
    ``OutputError``.
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        self.path = path
        self.size = 0
        self._shown = "standard output" if path == "-" else quoted(path, 200)[1:-1]
        self._force = force
        self._temporary: str | None = None
        try:
            self._descriptor: int | None = self._open()
        except (OSError, ValueError) as error:
            raise self._error(error) from error

    def _open(self) -> int:
        if self.path == "-":
            stream = cast("TextIO | None", sys.stdout)  # None where the process was started without one
            if stream is None:
                raise OSError(errno.EBADF, "it is closed")
            stream.flush()
            return os.dup(stream.fileno())
        if os.path.exists(self.path) and not stat.S_ISREG(os.stat(self.path).st_mode):
            return os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        for number in range(_TRIES):
            name = f"{self.path}.{os.getpid()}-{number}.part"
            try:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            except FileExistsError:
                continue
            self._temporary = name
            return descriptor
        raise FileExistsError(f"there are {_TRIES} drafts of it already")

    def _error(self, error: OSError | ValueError) -> OutputError:
        if isinstance(error, BrokenPipeError):
            return OutputClosed(f"cannot write {self._shown}: the reader has gone")
        return OutputError(f"cannot write {self._shown}: {getattr(error, 'strerror', None) or error}")

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()
        if self._temporary is not None:
            os.unlink(self._temporary)
            self._temporary = None

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        assert self._descriptor is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise self._error(error) from error
        self.size += len(data)

    def flush(self) -> None:
        """Do nothing, as nothing is buffered; streams have this method."""

    def place(self) -> None:
        """Give the complete file its name."""
        try:
            self._close()
            if self._temporary is None:
                return
            if self._force:
                os.replace(self._temporary, self.path)
            else:
                self._move_unless_taken()
        except FileExistsError:
            raise exists(self.path) from None
        except OSError as error:
            raise self._error(error) from error
        self._temporary = None

    def _move_unless_taken(self) -> None:
        assert self._temporary is not None
        try:
            os.link(self._temporary, self.path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(self.path):
                raise FileExistsError from None
            os.replace(self._temporary, self.path)
            return
        os.unlink(self._temporary)

    def _close(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)


@contextmanager
def complete_output(path: str | None, *, force: bool) -> Iterator[Writer]:
    """Yield a writer of lines for a file that gets its name only if the block ends well; what is there stays until then."""
    if path is None or path == "-":
        with open_output(path) as writer:
            yield writer
        return
    with Draft(path, force=force) as draft:
        writer = Writer(cast("BinaryIO", draft), path, compress=compressor_for(path), regular=False, owned=False)
        yield writer
        writer.close()
        draft.place()


def exists(path: str) -> OutputExists:
    """Return the error for an output that exists already."""
    return OutputExists(f"the output {quoted(path, 200)[1:-1]} exists already: --force overwrites it")


def refuse(path: str, *, force: bool) -> None:
    """Raise the ``OutputError`` that writing to ``path`` would raise in the end, without leaving anything there."""
    if path == "-":
        return
    with Draft(path, force=force):
        if not force and os.path.lexists(path) and (not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)):
            raise exists(path)
