"""How long the stages of a probe took, as quantiles: sketches whose parts add up to exactly the sketch of the whole."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from ddsketch import DDSketch
from ddsketch.mapping import LogarithmicMapping

# Quantiles are right to 1 % of their value, whatever the distribution.
RELATIVE_ACCURACY: Final = 0.01
# Milliseconds below which times are not told apart, and above which nothing waits.
LEAST: Final = 0.001
MOST: Final = 1e8
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
STAGES: Final = ("connect", "starttls", "handshake", "total")
# Durations of a stage kept until they are counted together, which takes a third of the time; half a megabyte for all stages.
MAX_WAITING: Final = 4096


class Latency:
    """The fold: for each stage how many durations (milliseconds) fall between which bounds of the sketch.

    The bounds are the sketch's own, so that finding a value's place is a search in a list of some 1,300.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}
        self._waiting: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def add(self, stage: str, milliseconds: Sequence[float]) -> None:
        """Count durations of a stage."""
        waiting = self._waiting[stage]
        waiting.extend(milliseconds)
        if len(waiting) >= MAX_WAITING:
            self._settle(stage)

    def _settle(self, stage: str) -> None:
        durations, counts, bounds = self._waiting[stage], self._counts[stage], _bounds()
        durations.sort()
        begin = 0
        while begin < len(durations):
            place = bisect_left(bounds, durations[begin])
            end = bisect_right(durations, bounds[place], begin) if place < len(bounds) else len(durations)
            counts[place] += end - begin
            begin = end
        durations.clear()

    def _settled(self) -> dict[str, Counter[int]]:
        for stage in STAGES:
            self._settle(stage)
        return self._counts

    def merge(self, other: Latency) -> None:
        """Add what ``other`` counted."""
        for stage, counts in other._settled().items():
            self._counts[stage].update(counts)

    def to_json(self) -> dict[str, Any]:
        """Count and quantiles of each stage that was met."""
        mapping, first = LogarithmicMapping(RELATIVE_ACCURACY), _first_key()
        shown: dict[str, Any] = {}
        for stage, counts in self._settled().items():
            if not counts:
                continue
            sketch = DDSketch(RELATIVE_ACCURACY)
            for place, count in sorted(counts.items()):
                sketch.add(mapping.value(first + place), count)
            shown[stage] = {
                "count": counts.total(),
                **{name: round(sketch.get_quantile_value(q) or 0.0, 3) for name, q in QUANTILES.items()},
            }
        return shown


def _first_key() -> int:
    return int(LogarithmicMapping(RELATIVE_ACCURACY).key(LEAST))


@cache
def _bounds() -> list[float]:
    """The upper bound of each of the sketch's buckets, from ``LEAST`` to ``MOST``; what lies beyond counts in the last."""
    mapping = LogarithmicMapping(RELATIVE_ACCURACY)
    upper = 1 / (1 - RELATIVE_ACCURACY)  # of a bucket, by the value that stands for it
    return [mapping.value(key) * upper for key in range(_first_key(), int(mapping.key(MOST)))]
