"""Rows on their way from a blocking source to the workers that want them, never more than some thousand at a time."""

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
# ... and of one that a run reads for itself, and has ready at least before it reads on; some 500 bytes each. A busy loop takes
# up what a thread has read three turns later, and in each turn every worker may want a row: one that finds none is put to
# sleep and woken again, which costs more than reading its row.
ROWS_AHEAD: Final = 4096
# Each read takes so many times as many rows as the one before, as long as they come fast.
GROWTH: Final = 4
# Seconds after which a batch that is not full shows that rows trickle in, from a person or a pipe: then each goes at once.
TRICKLE: Final = 0.05
# ... and so many more for each row: a thread that reads has to wait for its turn.
TRICKLE_A_ROW: Final = 0.0002

Row = Target | InvalidRow
# Rows one by one, or a call that blocks until it has some and gives none at the end.
Source = Iterator[Row] | Callable[[], list[Row]]


class InBatches:
    """Rows of a blocking iterator, a list for each call: long ones where rows come fast, single ones where they trickle in."""

    def __init__(self, rows: Iterator[Row], most: int = ROWS_PER_READ) -> None:
        self._rows = rows
        self._most = most
        self._size = 1

    def __call__(self) -> list[Row]:
        """The next rows; none at the end."""
        begun = time.monotonic()
        batch = list(islice(self._rows, self._size))
        fast = time.monotonic() - begun < TRICKLE + TRICKLE_A_ROW * len(batch)
        self._size = min(self._size * GROWTH, self._most) if fast else 1
        return batch


class Feed:
    """Rows from a blocking source, read in batches by a thread, taken one by one by workers."""

    def __init__(self, rows: Source) -> None:
        self._read_batch = rows if callable(rows) else InBatches(rows, ROWS_AHEAD)
        self._ready: deque[Row] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._drained = trio.Event()
        self._full = False
        self.idle = 0
        self.read = 0
        self.finished = False

    @property
    def ready(self) -> int:
        """Rows that wait to be taken."""
        return len(self._ready)

    async def fill(self, wanted: Callable[[int], None]) -> None:
        """Read to the end; ``wanted`` is told how many rows have become ready."""
        while batch := await trio.to_thread.run_sync(self._read_batch, abandon_on_cancel=True):
            self.read += len(batch)
            self._ready.extend(batch)
            wanted(len(batch))
            self._lot.unpark(count=len(batch))
            while len(self._ready) >= ROWS_AHEAD:
                self._drained, self._full = trio.Event(), True
                await self._drained.wait()
        self.finished = True
        self._lot.unpark_all()

    async def take(self) -> Row | None:
        """The next row; ``None`` when there will be none."""
        while not self._ready:
            if self.finished:
                return None
            self.idle += 1
            try:
                await self._lot.park()
            finally:
                self.idle -= 1
        row = self._ready.popleft()
        if self._full and len(self._ready) < ROWS_AHEAD:
            self._full = False
            self._drained.set()
        return row
