"""Findings by column: a list for each field that is counted, taken from many findings at once.

That is several times faster than finding by finding. It holds for findings as runs of ours write them; anything else
raises ``FOREIGN`` before anything was counted, and is then looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any, Final

from scanner.fleet.tally import OUTCOMES

# What values that are not where ours are may raise
FOREIGN: Final = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError)

_FIELDS: Final = itemgetter(
    "diagnoses", "cause", "outcome", "run", "attempts", "duration_ms", "started", "target", "certificates", "endpoints"
)
_TAGS: Final = itemgetter("tags")
_ROW: Final = itemgetter("row")
_FIRST: Final = itemgetter(0)
_LEAF: Final = itemgetter("not_after", "sha256")
_TIMING: Final = itemgetter("timing_ms")
_OUTCOMES: Final = frozenset(OUTCOMES)
_STAGES: Final = ("connect", "starttls", "handshake")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)


class Batch:
    """Some findings, at least one, and their fields. Raises ``FOREIGN``.

    ``leaves`` are (not_after, SHA-256), ``durations`` milliseconds by stage, ``last`` the latest time, to the second, at
    which one was started.
    """

    __slots__ = ("_attempts", "_rows", "durations", "findings", "last", "leaves", "outcomes", "runs", "tags", "telling")

    def __init__(self, findings: Sequence[Mapping[str, Any]]) -> None:
        self.findings = findings
        told, causes, outcomes, runs, attempts, durations, started, targets, certificates, endpoints = zip(
            *map(_FIELDS, findings), strict=True
        )
        self.outcomes: Sequence[str] = outcomes
        self.runs: Sequence[str] = runs
        self.tags: Sequence[dict[str, Any]] = [*map(_TAGS, targets)]
        self._rows: Sequence[int] = [*map(_ROW, targets)]
        self._attempts: Sequence[int] = attempts
        latest = max(started)
        if (
            not _OUTCOMES.issuperset(outcomes)
            or {*map(type, self.tags)} != {dict}
            or type(sum(self._rows)) is not int  # which it is of nothing but whole numbers
            or min(self._rows) < 0
            or _TIME.fullmatch(latest) is None
        ):
            raise ValueError
        "".join(runs)  # raises where one of them is no text; below where one is no number
        sum(attempts)
        self.last: str = latest[:19]
        # positions of those that have a diagnosis
        self.telling: list[int] = []
        if any(told) or causes.count(None) != len(causes):
            self.telling = [
                number for number, (one, cause) in enumerate(zip(told, causes, strict=True)) if one or cause is not None
            ]
        self.leaves = _leaves(certificates)
        timings = [*map(_TIMING, chain.from_iterable(endpoints))]
        self.durations: dict[str, list[float]] = {
            stage: [timing[stage] for timing in timings if stage in timing] for stage in _STAGES
        }
        self.durations["total"] = [*compress(durations, attempts)]
        for measured in self.durations.values():
            sum(measured)

    def drop_telling(self) -> None:
        """Keep the findings that have no diagnosis."""
        quiet = [True] * len(self.findings)
        for number in self.telling:
            quiet[number] = False
        self.findings = [*compress(self.findings, quiet)]
        self.outcomes = [*compress(self.outcomes, quiet)]
        self.runs = [*compress(self.runs, quiet)]
        self.tags = [*compress(self.tags, quiet)]
        self._attempts = [*compress(self._attempts, quiet)]
        self._rows = [*compress(self._rows, quiet)]
        self.telling = []

    def asked_more(self) -> list[Mapping[str, Any]]:
        """Findings whose answers say more than that all is in order: about clocks, and about who could be reached."""
        if max(self._attempts, default=0) > 1:
            return [
                one
                for one, attempts in zip(self.findings, self._attempts, strict=True)
                if attempts > 1 or "observed" in one
            ]
        return [one for one in self.findings if "observed" in one]

    def rows_by_run(self) -> Iterable[tuple[str, Sequence[int]]]:
        """The rows of the inventory that they answer, by run."""
        if self.runs.count(self.runs[0]) == len(self.runs):
            return [(self.runs[0], self._rows)]
        rows: dict[str, list[int]] = {}
        for run, row in zip(self.runs, self._rows, strict=True):
            rows.setdefault(run, []).append(row)
        return rows.items()


def _leaves(certificates: Sequence[Sequence[Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """(not_after, SHA-256) of what each service sent first, where it can be read."""
    leaves: list[tuple[Any, Any]] = [*map(_LEAF, map(_FIRST, filter(None, certificates)))]
    try:
        "".join(chain.from_iterable(leaves))  # raises where one of them is no text
    except TypeError:
        leaves = [leaf for leaf in leaves if leaf[0] is not None]
        "".join(chain.from_iterable(leaves))
    return leaves
