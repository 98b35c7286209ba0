"""A trio loop that a signal ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVarTuple

import trio

from scanner.net.clocks import LoopClock
from scanner.process import signals

Arguments = TypeVarTuple("Arguments")


def run_until_signal(main: Callable[[*Arguments], Awaitable[object]], *arguments: *Arguments) -> None:
    """Run ``main`` to its end in a loop of its own; a signal cancels it, and ``KeyboardInterrupt`` is raised when it has ended."""

    async def body() -> bool:
        with trio.CancelScope() as scope:
            wake = partial(trio.lowlevel.current_trio_token().run_sync_soon, scope.cancel)
            with signals.on_signal(wake):
                await main(*arguments)
        return scope.cancelled_caught

    with signals.deferred():
        stopped = trio.run(body, clock=LoopClock())
    if stopped:
        raise KeyboardInterrupt
