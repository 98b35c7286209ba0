"""How long the stages of a probe took, as quantiles: sketches whose parts add up to exactly the sketch of the whole."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from functools import cache, partial
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


class Latency:
    """The fold: for each stage how many durations (milliseconds) fall between which bounds of the sketch.

    The bounds are the sketch's own, so that finding a value's place is a search in a list of some 1,300.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}

    def add(self, stage: str, milliseconds: Sequence[float]) -> None:
        """Count durations of a stage."""
        self._counts[stage].update(map(partial(bisect_left, _bounds()), milliseconds))

    def merge(self, other: Latency) -> None:
        """Add what ``other`` counted."""
        for stage, counts in other._counts.items():
            self._counts[stage].update(counts)

    def to_json(self) -> dict[str, Any]:
        """Count and quantiles of each stage that was met."""
        mapping, first = LogarithmicMapping(RELATIVE_ACCURACY), _first_key()
        shown: dict[str, Any] = {}
        for stage, counts in self._counts.items():
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
