"""``python -m scanner`` is ``tlsweep``. Signals and streams are prepared before the command line is loaded."""

from __future__ import annotations

import os
import sys
from typing import TextIO, cast

from scanner.process import signals, streams


def run() -> int:
    """Run the whole process and return its exit status, or end it at once if a signal came."""
    streams.prepare()
    try:
        signals.install()
        from scanner.cli import main

        status = main()
    except KeyboardInterrupt:  # while modules are loaded, or after the command has ended
        sys.stderr.write("tlsweep: interrupted\n")
        status = signals.INTERRUPTED
    signals.ignore()
    if signals.came():
        # Python ends itself by SIGINT where a KeyboardInterrupt, although caught, has left an eval() of a text
        _flush()
        os._exit(status)
    return status


def _flush() -> None:
    for stream in (cast("TextIO | None", sys.stdout), sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            pass  # its reader has gone


if __name__ == "__main__":
    sys.exit(run())
