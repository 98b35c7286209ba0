"""Pages for people on a terminal, in a pipe or in a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console


@contextmanager
def console_on(stream: TextIO) -> Iterator[Console]:
    """Yield a console that prints on ``stream``, without the trailing blanks of tables unless it is a terminal."""
    buffer = None if stream.isatty() else io.StringIO()
    yield Console(file=buffer or stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if buffer is not None:
        stream.write("".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines()))
