"""Standard streams of a process that may have been started without some of them, or with a standard error that is full."""

from __future__ import annotations

import io
import os
import sys
from typing import Any, TextIO, cast


class _Forgiving(io.FileIO):
    """A file whose writes never fail: what cannot be written (full disk, closed terminal) is dropped."""

    def write(self, data: Any, /) -> int:
        try:
            written = super().write(data)
        except OSError:
            written = None
        return memoryview(data).nbytes if written is None else written


def prepare() -> None:
    """Occupy the descriptors 0, 1 and 2 if they are closed, and make standard error a stream that never fails.

    Otherwise the next file that is opened would get such a number: a findings file that is descriptor 2 would receive what
    libraries and child processes write to standard error. ``sys.stdin`` and ``sys.stdout`` stay ``None`` if they were closed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number
    before = cast("TextIO | None", sys.stderr)
    if before is None or isinstance(before, io.TextIOWrapper):
        sys.stderr = io.TextIOWrapper(
            io.BufferedWriter(_Forgiving(2, "w", closefd=False)),
            encoding="utf-8" if before is None else before.encoding,
            errors="backslashreplace",
            line_buffering=True,
        )
