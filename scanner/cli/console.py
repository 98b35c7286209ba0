"""Pages for people on a terminal, in a pipe or in a file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

SEVERITY_COLOURS: Final = {"error": "red", "warning": "yellow", "note": "cyan"}


@contextmanager
def console_on(stream: TextIO) -> Iterator[Console]:
    """Yield a console that prints on ``stream``, without the trailing blanks of tables unless it is a terminal."""
    buffer = None if stream.isatty() else io.StringIO()
    yield Console(file=buffer or stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if buffer is not None:
        stream.write("".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines()))


def indented(renderable: RenderableType, left: int, *, above: int = 0) -> Padding:
    """Return ``renderable`` ``left`` columns to the right, after ``above`` blank lines."""
    return Padding(renderable, (above, 0, 0, left), expand=False)


def labelled(label: str, text: str) -> Text:
    """Return ``text`` after a bold label."""
    return Text(label, style="bold").append(text, style="not bold")
