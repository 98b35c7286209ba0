"""Quantiles of how long the stages of a probe took.

A DDSketch (Masson, Rim, Lee: "DDSketch", VLDB 2019): durations are counted in buckets whose bounds grow by a constant
factor, so that any quantile is right to 1 % of its value whatever the distribution, in some 1,300 counters a stage, and
the sketches of parts of a fleet add up to exactly the sketch of the whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from math import ceil, log, log1p, log2
from typing import Any, Final

# Quantiles are right to this part of their value.
RELATIVE_ACCURACY: Final = 0.01
# Milliseconds: shorter durations count as the first, longer ones, which no probe waits for, as the second.
LEAST: Final = 0.001
MOST: Final = 1e8
QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
STAGES: Final = ("connect", "starttls", "handshake", "total")

# Bucket k holds the durations above GROWTH ** (k - 1) and up to GROWTH ** k.
_GROWTH: Final = (1 + RELATIVE_ACCURACY) / (1 - RELATIVE_ACCURACY)
_BUCKETS_PER_OCTAVE: Final = log(2) / log1p(2 * RELATIVE_ACCURACY / (1 - RELATIVE_ACCURACY))
_FIRST: Final = ceil(log2(LEAST) * _BUCKETS_PER_OCTAVE)
_LAST: Final = ceil(log2(MOST) * _BUCKETS_PER_OCTAVE)


class Latency:
    """How many durations (milliseconds) of each stage fell into each bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, Counter[int]] = {stage: Counter() for stage in STAGES}

    def add(self, stage: str, milliseconds: Sequence[float]) -> None:
        """Count durations of a stage."""
        self._buckets[stage].update(
            [
                ceil(log2(one) * _BUCKETS_PER_OCTAVE) if LEAST < one < MOST else _FIRST if one <= LEAST else _LAST
                for one in milliseconds
            ]
        )

    def merge(self, other: Latency) -> None:
        """Add what ``other`` counted."""
        for stage, buckets in other._buckets.items():
            self._buckets[stage].update(buckets)

    def to_json(self) -> dict[str, Any]:
        """Return count and quantiles of each stage that has durations."""
        return {
            stage: {
                "count": buckets.total(),
                **{name: round(_quantile(buckets, part), 3) for name, part in QUANTILES.items()},
            }
            for stage, buckets in self._buckets.items()
            if buckets
        }


def _quantile(buckets: Counter[int], part: float) -> float:
    """Return the value that represents the bucket of the duration with rank ``part`` of all."""
    ordered = sorted(buckets)
    counted = list(accumulate([buckets[bucket] for bucket in ordered]))
    bucket = ordered[bisect_right(counted, part * (counted[-1] - 1))]
    return float(2 ** (bucket / _BUCKETS_PER_OCTAVE) * (2 / (1 + _GROWTH)))
