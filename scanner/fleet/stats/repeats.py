"""Findings met twice: the same row of the same run, from a file that was given twice or put together out of copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Rows followed in each run, a bit for each: two megabytes at most.
MAX_ROW: Final = 1 << 24
# Runs followed: half a year of nights.
MAX_RUNS: Final = 200
# Bytes taken by all of them together. Beyond it, repeats go unnoticed.
MAX_BYTES: Final = 32 << 20
# Rows of one run that are noted together, and beyond how many apart in the mean they are noted one by one.
MAX_WAITING: Final = 2048
SPARSE: Final = 64


class Repeats:
    """The fold: how many findings are of a run and a row that another one was of already."""

    def __init__(self) -> None:
        self._count = 0
        self._rows: dict[str, bytearray] = {}
        self._waiting: dict[str, list[int]] = {}
        self._bytes = 0

    def add(self, run: str, rows: Sequence[int]) -> None:
        """Note the rows, from 0, of findings of one run."""
        waiting = self._waiting.get(run)
        if waiting is None:
            if len(self._waiting) >= MAX_RUNS:
                return
            waiting = self._waiting[run] = []
            self._rows[run] = bytearray()
        waiting.extend(rows)
        if len(waiting) >= MAX_WAITING:
            self._settle(run)

    @property
    def count(self) -> int:
        """How many were met twice."""
        for run in self._waiting:
            self._settle(run)
        return self._count

    def _settle(self, run: str) -> None:
        rows, seen = self._waiting[run], self._rows[run]
        if not rows:
            return
        if max(rows) >= 8 * len(seen):
            rows = self._with_room(seen, rows)
        self._waiting[run] = []
        if not rows:
            return
        low, high = min(rows) & ~7, max(rows) | 7
        if high - low > SPARSE * len(rows):
            for row in rows:
                self._note(seen, row & ~7, row | 7, 1 << (row & 7))
            return
        # digits of a binary number, the lowest row last
        marks = bytearray(b"0") * (high - low + 1)
        for row in rows:
            marks[high - row] = 0x31
        self._count += len(rows) - marks.count(b"1")
        self._note(seen, low, high, int(marks, 2))

    def _note(self, seen: bytearray, low: int, high: int, bits: int) -> None:
        """Rows from ``low`` up to ``high``, of which the lowest bit is ``low``."""
        first, end = low >> 3, (high >> 3) + 1
        known = int.from_bytes(seen[first:end], "little")
        self._count += (known & bits).bit_count()
        seen[first:end] = (known | bits).to_bytes(end - first, "little")

    def _with_room(self, seen: bytearray, rows: Sequence[int]) -> list[int]:
        """Make room for rows; those for which there is none are left out."""
        rows = [row for row in rows if row < MAX_ROW]
        wanted = (max(rows, default=0) >> 3) + 1
        if wanted > len(seen) and self._bytes < MAX_BYTES:
            more = max(2 * len(seen), wanted) - len(seen)
            seen.extend(bytes(more))
            self._bytes += more
        return [row for row in rows if row < 8 * len(seen)]

    def merge(self, other: Repeats) -> None:
        """Add what another fold noted: what both met was met twice."""
        self._count = self.count + other.count
        for run, theirs in other._rows.items():
            mine = self._rows.get(run)
            if mine is None:
                if len(self._rows) >= MAX_RUNS or self._bytes + len(theirs) > MAX_BYTES:
                    continue
                self._rows[run], self._waiting[run] = bytearray(theirs), []
                self._bytes += len(theirs)
                continue
            if len(theirs) > len(mine):
                self._bytes += len(theirs) - len(mine)
                mine.extend(bytes(len(theirs) - len(mine)))
            if mine:
                self._note(mine, 0, 8 * len(mine) - 1, int.from_bytes(theirs, "little"))
