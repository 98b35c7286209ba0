"""The progress line of a scan: rate, done, in flight, outcomes, and the time left once the total is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TextIO

import trio
from tqdm import tqdm

from scanner.model.findings import OUTCOMES
from scanner.run.scan import ScanStatistics

# Often enough to look alive, seldom enough to cost nothing.
INTERVAL: Final = 0.25


async def show_progress(
    statistics: Callable[[], ScanStatistics], total: Callable[[], int | None], already: int, stream: TextIO
) -> None:
    """Show ``statistics`` until cancelled. ``already`` is the number of rows that the resumed scan had done."""
    with tqdm(
        unit=" targets",
        file=stream,
        initial=already,
        leave=False,
        dynamic_ncols=True,
        smoothing=0.1,
        mininterval=INTERVAL,
    ) as bar:
        while True:
            now = statistics()
            bar.total = total()
            bar.set_postfix_str(postfix(now), refresh=False)
            bar.update(already + now.done - bar.n)
            await trio.sleep(INTERVAL)


def postfix(now: ScanStatistics) -> str:
    """Return the text after the bar: in flight, held, and non-zero counts by outcome."""
    parts = [f"in flight {now.pacing.in_flight}"]
    if now.held:
        parts.append(f"held {now.held}")
    parts += [f"{outcome} {now.outcomes[outcome]}" for outcome in OUTCOMES if now.outcomes.get(outcome)]
    return ", ".join(parts)
