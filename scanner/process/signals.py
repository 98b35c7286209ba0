"""SIGINT, SIGTERM and SIGHUP end every command with the same exit status, whatever it is doing.

Outside an event loop the first of them raises ``KeyboardInterrupt``, as Python does for SIGINT alone. In a trio loop an
exception out of a signal handler could hit trio's own code, so there it calls what ``on_signal`` names. A signal that comes
when the first one has had ``GRACE`` seconds ends the process at once: something hangs, such as a write to a pipe that nobody reads.
Signals that were ignored when the process started (``nohup``, a job in the background) stay ignored.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

INTERRUPTED: Final = 3
# Seconds in which further signals mean what the first one does: a shell that loses its terminal sends two.
GRACE: Final = 1.0
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class _State:
    """What a signal does, and when the first one came (``None``: none has)."""

    def __init__(self) -> None:
        self.callback: Callable[[], object] | None = None
        self.first: float | None = None


_state = _State()


def install() -> dict[signal.Signals, Any]:
    """Handle the signals from now on; returns the handlers that were replaced. Does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {}
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if handler is not signal.SIG_IGN and handler is not _handle:
            before[number] = signal.signal(number, _handle)
    return before


@contextmanager
def installed() -> Iterator[None]:
    """``install`` for the length of the block."""
    before = install()
    try:
        yield
    finally:
        if before:
            _state.first = None
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore the signals from now on: all is done but for the end of the interpreter."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def came() -> bool:
    """Whether one of the signals has come. Errors after that are its consequences: libraries wrap ``KeyboardInterrupt``."""
    return _state.first is not None


@contextmanager
def on_signal(callback: Callable[[], object]) -> Iterator[None]:
    """Call ``callback`` instead of raising ``KeyboardInterrupt``; at once where a signal has come already.

    It is called between two instructions of the main thread.
    """
    before, _state.callback = _state.callback, callback
    try:
        if _state.first is not None:
            callback()
        yield
    finally:
        _state.callback = before


def deferred() -> Any:
    """A context in which a signal does nothing but call the next ``on_signal``."""
    return on_signal(lambda: None)


def _handle(_number: int, _frame: FrameType | None) -> None:
    now = time.monotonic()
    if _state.first is None:
        _state.first = now
        if _state.callback is None:
            raise KeyboardInterrupt
        _state.callback()
    elif now - _state.first >= GRACE:
        try:
            os.write(2, b"tlsweep: interrupted\n")
        finally:
            os._exit(INTERRUPTED)
