"""Runs servers of the demo in a thread, for tests of the whole program."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from scanner.demo.case_list import CASES
from scanner.demo.cases import DemoCase
from scanner.demo.fleet import Fleet, run_fleet


def named(*names: str) -> list[DemoCase]:
    """Return the demo's cases with these names."""
    by_name = {case.name: case for case in CASES}
    return [by_name[name] for name in names]


@contextmanager
def fleet_of(directory: Path, cases: Sequence[DemoCase]) -> Iterator[Fleet]:
    """Run the fleet of these cases for the block."""
    up, stop = threading.Event(), trio.Event()
    made: list[Fleet] = []
    tokens: list[trio.lowlevel.TrioToken] = []
    problems: list[BaseException] = []

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        async with run_fleet(directory, cases=cases) as fleet:
            made.append(fleet)
            up.set()
            await stop.wait()

    def run() -> None:
        try:
            trio.run(serve)
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            problems.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    up.wait()
    try:
        if problems:
            raise problems[0]
        yield made[0]
    finally:
        if made:
            trio.from_thread.run_sync(stop.set, trio_token=tokens[0])
        thread.join()
