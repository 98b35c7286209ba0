"""Rows on their way from a blocking source to the tasks that want them, never more than some thousand at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import trio

from scanner.model.evidence import InvalidRow, Target

# Rows of one batch by default: enough to make the hop to the reading thread cheap, few enough to wait for.
ROWS_PER_READ: Final = 256
# Rows that a run reads at once and has ready before it reads on, at some 500 bytes each. A busy loop takes up what a thread
# has read three turns later, and in each turn every task may want a row: one that finds none is parked and woken again, which
# costs more than reading its row.
ROWS_AHEAD: Final = 4096
# Each read takes this many times as many rows as the one before, as long as they come fast.
GROWTH: Final = 4
# Seconds after which a batch that is not full shows that rows trickle in, from a person or a pipe: then each goes at once.
TRICKLE: Final = 0.05
# ... and this much more for each row: a thread that reads has to wait for its turn.
TRICKLE_PER_ROW: Final = 0.0002

Row = Target | InvalidRow
# Rows one by one, or a call that blocks until it has some and returns an empty list at the end.
RowSource = Iterator[Row] | Callable[[], list[Row]]


class RowBatches:
    """Rows of a blocking iterator, a list for each call: long lists where rows come fast, single rows where they trickle in."""

    def __init__(self, rows: Iterator[Row], most: int = ROWS_PER_READ) -> None:
        self._rows = rows
        self._most = most
        self._size = 1

    def __call__(self) -> list[Row]:
        """Return the next rows; an empty list at the end."""
        begun = time.monotonic()
        batch = list(islice(self._rows, self._size))
        fast = time.monotonic() - begun < TRICKLE + TRICKLE_PER_ROW * len(batch)
        self._size = min(self._size * GROWTH, self._most) if fast else 1
        return batch


class RowQueue:
    """Queue of rows that a thread reads in batches from a blocking source, and tasks take one by one."""

    def __init__(self, rows: RowSource) -> None:
        self._read_batch = rows if callable(rows) else RowBatches(rows, ROWS_AHEAD)
        self._ready: deque[Row] = deque()
        self._waiters = trio.lowlevel.ParkingLot()
        self._has_room = trio.Event()
        self._full = False
        self.idle = 0
        self.read = 0
        self.finished = False

    @property
    def ready(self) -> int:
        """Number of rows that wait to be taken."""
        return len(self._ready)

    async def read_all(self, on_ready: Callable[[int], None]) -> None:
        """Read the source to its end; ``on_ready`` is called with the number of rows that have become ready."""
        while batch := await trio.to_thread.run_sync(self._read_batch, abandon_on_cancel=True):
            self.read += len(batch)
            self._ready.extend(batch)
            on_ready(len(batch))
            self._waiters.unpark(count=len(batch))
            while len(self._ready) >= ROWS_AHEAD:
                self._has_room, self._full = trio.Event(), True
                await self._has_room.wait()
        self.finished = True
        self._waiters.unpark_all()

    async def get(self) -> Row | None:
        """Take the next row; ``None`` when there will be no more."""
        while not self._ready:
            if self.finished:
                return None
            self.idle += 1
            try:
                await self._waiters.park()
            finally:
                self.idle -= 1
        row = self._ready.popleft()
        if self._full and len(self._ready) < ROWS_AHEAD:
            self._full = False
            self._has_room.set()
        return row
