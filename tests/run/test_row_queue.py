"""Rows on their way to the workers: batches that suit the speed of the source, and every row once."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import trio

from scanner.run import row_queue as module
from scanner.run.row_queue import ROWS_PER_READ, Feed, InBatches, Row
from tests.helpers.scanning import HOSTS, rows_of


def test_rows_that_trickle_in_are_probed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    given = iter(rows_of(HOSTS))

    def slowly() -> Iterator[Row]:
        for each in given:
            now[0] += 1
            yield each

    batches = InBatches(slowly())
    sizes = []
    while batch := batches():
        sizes.append(len(batch))
    assert sizes == [1] * len(HOSTS)


def test_rows_that_come_fast_are_read_in_growing_batches() -> None:
    batches = InBatches(iter(rows_of(HOSTS * 400)))
    sizes = []
    while batch := batches():
        sizes.append(len(batch))
    assert sum(sizes) == len(HOSTS) * 400
    assert sizes[:4] == [1, 4, 16, 64]
    assert max(sizes) == ROWS_PER_READ


def test_a_feed_gives_every_row_once() -> None:
    async def main() -> None:
        rows = rows_of(HOSTS * 200)
        feed = Feed(iter(rows))
        taken: list[Row] = []

        async def work() -> None:
            while (each := await feed.take()) is not None:
                taken.append(each)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(7):
                nursery.start_soon(work)
            await feed.fill(lambda ready: None)
        assert sorted(each.row for each in taken) == [each.row for each in rows]
        assert feed.read == len(rows)

    trio.run(main)
