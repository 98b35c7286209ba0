"""``python -m scanner`` is ``tlsweep``. Signals and streams are prepared before the command line is loaded."""

from __future__ import annotations

import signal

# A signal that comes while modules are loaded waits until there is a handler: Python's own would end them with a traceback.
_START = signal.pthread_sigmask(signal.SIG_BLOCK, ()) if hasattr(signal, "pthread_sigmask") else None
if _START is not None:
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

import os  # noqa: E402
import sys  # noqa: E402
from typing import TextIO, cast  # noqa: E402

from scanner.process import signals, streams  # noqa: E402


def run() -> int:
    """Run the whole process and return its exit status, or end it at once if a signal came."""
    streams.prepare()
    try:
        signals.install()
        if _START is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, _START)
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
