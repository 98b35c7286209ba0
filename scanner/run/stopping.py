"""A trio loop that a signal stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, TypeVarTuple

import trio

from scanner.net.clocks import LoopClock
from scanner.process import signals

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


def run_until_signal(main: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments) -> Result:
    """Return the result of ``main``, run in a loop of its own. A signal cancels it, and raises ``KeyboardInterrupt`` at its end."""

    async def body() -> Result:
        with trio.CancelScope() as scope:
            wake = partial(trio.lowlevel.current_trio_token().run_sync_soon, scope.cancel)
            with signals.on_signal(wake):
                return await main(*arguments)
        raise KeyboardInterrupt

    with signals.deferred():
        return trio.run(body, clock=LoopClock())
