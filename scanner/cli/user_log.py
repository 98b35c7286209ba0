"""Lines for the user on standard error, while a command is at work."""

from __future__ import annotations

import sys
from typing import TextIO, cast


def log(text: str) -> None:
    """Print one line, over the progress line if there is one."""
    stream = cast("TextIO | None", sys.stderr)
    if stream is not None:
        over_progress = "\r\x1b[K" if stream.isatty() else ""
        print(f"{over_progress}tlsweep: {text}", file=stream)
