"""The row queue: batches that suit the speed of the source, and every row once."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import trio

from scanner.run import row_queue as module
from scanner.run.row_queue import ROWS_PER_READ, Row, RowBatches, RowQueue
from tests.helpers.scanning import HOSTS, rows_of


def test_rows_that_trickle_in_are_delivered_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    given = iter(rows_of(HOSTS))

    def slowly() -> Iterator[Row]:
        for each in given:
            now[0] += 1
            yield each

    batches = RowBatches(slowly())
    sizes = []
    while batch := batches():
        sizes.append(len(batch))
    assert sizes == [1] * len(HOSTS)


def test_batches_grow_while_rows_come_fast() -> None:
    batches = RowBatches(iter(rows_of(HOSTS * 400)))
    sizes = []
    while batch := batches():
        sizes.append(len(batch))
    assert sum(sizes) == len(HOSTS) * 400
    assert sizes[:4] == [1, 4, 16, 64]
    assert max(sizes) == ROWS_PER_READ


def test_every_row_is_taken_once() -> None:
    async def main() -> None:
        rows = rows_of(HOSTS * 200)
        queue = RowQueue(iter(rows))
        taken: list[Row] = []

        async def work() -> None:
            while (each := await queue.get()) is not None:
                taken.append(each)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            for _ in range(7):
                nursery.start_soon(work)
            await queue.read_all(lambda ready: None)
        assert sorted(each.row for each in taken) == [each.row for each in rows]
        assert queue.read == len(rows)

    trio.run(main)
