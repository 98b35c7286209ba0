"""Signal handling step by step; ``tests/cli/test_interrupting.py`` tests the commands."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scanner.process import signals


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    with signals.installed():
        yield


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_the_first_signal_raises_keyboard_interrupt(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert signals.came()


def test_a_second_signal_right_after_the_first_does_nothing() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGHUP)
    signal.raise_signal(signal.SIGINT)


def test_the_innermost_callback_is_called_once() -> None:
    calls: list[str] = []
    with signals.on_signal(lambda: calls.append("outer")):
        with signals.on_signal(lambda: calls.append("inner")):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
    assert calls == ["inner"]


def test_a_signal_that_was_deferred_is_delivered_to_the_next_callback() -> None:
    calls: list[str] = []
    with signals.deferred():
        signal.raise_signal(signal.SIGINT)
        with signals.on_signal(lambda: calls.append("now")):
            pass
    assert calls == ["now"]


def test_handlers_are_restored_and_the_state_is_reset() -> None:
    before = {number: signal.getsignal(number) for number in signals.SIGNALS}
    with signals.installed():
        pass
    assert before == {number: signal.getsignal(number) for number in signals.SIGNALS}
    assert not signals.came()


PROGRAM = """
import os, signal, sys
from scanner.process import signals
signals.GRACE = 0.0
{before}
signals.install()
with signals.deferred():
    os.kill(os.getpid(), signal.{number})
    print("after the first", flush=True)
    os.kill(os.getpid(), signal.{number})
    print("after the second", flush=True)
"""


def run(number: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(number=number, before=before)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_a_later_signal_ends_the_process_at_once() -> None:
    done = run("SIGTERM")
    assert (done.returncode, done.stdout, done.stderr) == (3, "after the first\n", "tlsweep: interrupted\n")


def test_signals_that_were_ignored_stay_ignored() -> None:
    done = run("SIGHUP", "signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    assert (done.returncode, done.stdout) == (0, "after the first\nafter the second\n")


def test_a_later_signal_ends_a_blocking_write() -> None:
    program = (
        "import os, signal\nfrom scanner.process import signals\nsignals.GRACE = 0.0\nsignals.install()\n"
        "with signals.deferred():\n os.kill(os.getpid(), signal.SIGINT)\n print(flush=True)\n os.write(1, b'x' * 10_000_000)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 1) == b"\n"
        # one that comes right before the write begins does not interrupt it
        for _ in range(300):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.1)
                break
        assert process.returncode == 3
