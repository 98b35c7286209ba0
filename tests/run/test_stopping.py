"""A loop that a signal ends."""

from __future__ import annotations

import signal

import pytest
import trio
import trio.testing

from scanner.process import signals
from scanner.run.stopping import run_until_signal


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_a_signal_cancels_what_runs_and_lets_it_clean_up(number: signal.Signals) -> None:
    done: list[str] = []

    async def main(word: str) -> None:
        try:
            signal.raise_signal(number)
            await trio.sleep_forever()
        finally:
            done.append(word)

    with signals.installed(), pytest.raises(KeyboardInterrupt):
        run_until_signal(main, "cleaned")
    assert done == ["cleaned"]


def test_without_a_signal_it_runs_to_its_end() -> None:
    done: list[str] = []

    async def main() -> None:
        await trio.lowlevel.checkpoint()
        done.append("end")

    run_until_signal(main)
    assert done == ["end"]
