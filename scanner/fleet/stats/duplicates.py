"""Findings of a run and a row that another finding was of already: a file was given twice, or was put together out of copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Rows followed in each run, a bit for each: two megabytes at most.
MAX_ROW: Final = 1 << 24
# Runs followed: half a year of nights.
MAX_RUNS: Final = 200
# Bytes taken by all of them together. Beyond it, duplicates are not noticed.
MAX_BYTES: Final = 32 << 20


class Duplicates:
    """How many findings are of a run and a row that was counted already."""

    def __init__(self) -> None:
        self.count = 0
        self._seen: dict[str, bytearray] = {}  # by run, a bit for each row
        self._bytes = 0

    def add(self, run: str, rows: Sequence[int]) -> None:
        """Count the rows, from 0, of findings of one run."""
        seen = self._seen.get(run)
        if seen is None:
            if len(self._seen) >= MAX_RUNS:
                return
            seen = self._seen[run] = bytearray()
        if rows and max(rows) >= 8 * len(seen):
            self._make_room(seen, max([row for row in rows if row < MAX_ROW], default=0))
            rows = [row for row in rows if row < 8 * len(seen)]
        for row in rows:
            bit = 1 << (row & 7)
            if seen[row >> 3] & bit:
                self.count += 1
            else:
                seen[row >> 3] |= bit

    def _make_room(self, seen: bytearray, row: int) -> None:
        """Extend ``seen`` so that it has a bit for ``row``, unless all together are too large already."""
        wanted = (row >> 3) + 1
        if wanted > len(seen) and self._bytes < MAX_BYTES:
            more = max(2 * len(seen), wanted) - len(seen)
            seen.extend(bytes(more))
            self._bytes += more

    def merge(self, other: Duplicates) -> None:
        """Add what ``other`` counted; what both have seen are duplicates too."""
        self.count += other.count
        for run, theirs in other._seen.items():
            mine = self._seen.get(run)
            if mine is None:
                if len(self._seen) >= MAX_RUNS or self._bytes + len(theirs) > MAX_BYTES:
                    continue
                mine = self._seen[run] = bytearray()
            if len(theirs) > len(mine):
                self._bytes += len(theirs) - len(mine)
                mine.extend(bytes(len(theirs) - len(mine)))
            known, more = int.from_bytes(mine, "little"), int.from_bytes(theirs, "little")
            self.count += (known & more).bit_count()
            mine[:] = (known | more).to_bytes(len(mine), "little")
