"""SIGINT, SIGTERM and SIGHUP end every command with the exit status ``INTERRUPTED``, whatever it is doing.

Outside an event loop the first signal raises ``KeyboardInterrupt``, as Python does for SIGINT alone. In a trio loop an exception
out of a signal handler could hit trio's own code, so there it calls the callback of ``on_signal``. A further signal more than
``GRACE`` seconds later ends the process at once: something hangs, such as a write to a pipe without a reader. Signals that were
ignored when the process started (``nohup``, a job in the background) stay ignored.
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
# Seconds in which further signals are taken for the first one: a shell that loses its terminal sends two.
GRACE: Final = 1.0
SIGNALS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class _SignalState:
    """What a signal does, and when the first one came, if any has."""

    def __init__(self) -> None:
        self.callback: Callable[[], object] | None = None
        self.first: float | None = None


_state = _SignalState()


def install() -> dict[signal.Signals, Any]:
    """Handle the signals from now on, and return the handlers that were replaced. Do nothing outside the main thread."""
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
    """Handle the signals for the length of the block."""
    before = install()
    try:
        yield
    finally:
        if before:
            _state.first = None
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore the signals from now on: nothing is left to do but to end the interpreter."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def came() -> bool:
    """Return whether a signal has come. Later errors are its consequences, as libraries wrap ``KeyboardInterrupt``."""
    return _state.first is not None


@contextmanager
def on_signal(callback: Callable[[], object]) -> Iterator[None]:
    """Call ``callback`` instead of raising ``KeyboardInterrupt``, at once if a signal has come already.

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
    """Return a context in which a signal only takes effect in the next ``on_signal``."""
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
