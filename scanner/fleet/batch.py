"""Findings by column: a list for each field that is counted, out of many findings at once.

Of each finding only what is counted is taken, and it is gone before the next one is read, so that all of it happens in the
memory that the processor has at hand; what follows is then done for a whole column at a time. That is several times faster than
finding by finding. It holds for findings as runs of ours write them; anything else raises ``FOREIGN`` before anything was
counted, and is then looked at one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, compress
from operator import itemgetter
from typing import Any, Final

from scanner.findings import SCHEMA
from scanner.fleet.tally import OUTCOMES

_PLAIN: Final = itemgetter("schema", "outcome", "run", "attempts", "duration_ms", "started")
_ATTEMPTS: Final = 3  # its place in that
_NESTED: Final = itemgetter("diagnoses", "cause", "target", "certificates", "endpoints")
_OF_TARGET: Final = itemgetter("tags", "row")
_LEAF: Final = itemgetter("not_after", "sha256")
_SCHEMAS: Final = frozenset((SCHEMA,))
_OUTCOMES: Final = frozenset(OUTCOMES)
_OBJECTS: Final = frozenset((dict,))
_STAGES: Final = ("connect", "starttls", "handshake")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)

Finding = Mapping[str, Any]
# Gives the names of the groups that a finding belongs to, one for each column to group by
Naming = Callable[[Finding, Mapping[str, Any]], Sequence[str]]


class Batch:
    """Some findings, at least one. Raises ``FOREIGN``, or what reading them raises.

    ``telling`` are those with a diagnosis; ``outcomes`` and ``groups`` are of the others, of which ``asked_more`` are those
    whose answers may say more than that all is in order. The rest is of all: ``leaves`` are (not_after, SHA-256),
    ``durations`` milliseconds by stage, ``last`` is when the last of them was started, to the second.
    """

    __slots__ = (
        "_rows",
        "_runs",
        "asked_more",
        "durations",
        "groups",
        "last",
        "leaves",
        "outcomes",
        "runs",
        "tags",
        "telling",
    )

    def __init__(self, findings: Iterable[Finding], naming: Naming | None = None) -> None:
        groups: list[Sequence[str]] = []
        if naming is None:
            taken = [
                *map(_taken, findings)
            ]  # not a comprehension, whose variable would keep each until the next is there
        else:
            taken = []
            for finding in findings:
                taken.append(_taken(finding))
                groups.append(naming(finding, finding["target"]["tags"]))
        plain, of_target, leaves, timings, kept = zip(*taken, strict=True)
        schemas, outcomes, runs, attempts, durations, started = zip(*plain, strict=True)
        tags, rows = zip(*of_target, strict=True)
        latest = max(started)
        if (
            {*schemas} != _SCHEMAS
            or not _OUTCOMES.issuperset(outcomes)
            or {*map(type, tags)} != _OBJECTS
            or type(sum(rows)) is not int  # which it is of nothing but whole numbers
            or min(rows) < 0
            or _TIME.fullmatch(latest) is None
        ):
            raise ValueError
        "".join(runs)  # raises where one of them is no text; below where one is no number
        sum(attempts)
        self.last: str = latest[:19]
        self._runs, self._rows = runs, rows
        self.runs: frozenset[str] = frozenset(runs)
        self.tags: Sequence[dict[str, Any]] = tags
        self.leaves = _texts(leaves)
        self.durations = _by_stage(timings)
        self.durations["total"] = [*compress(durations, attempts)]
        for measured in self.durations.values():
            sum(measured)
        self.outcomes: Sequence[str] = outcomes
        self.groups: Sequence[Sequence[str]] = groups
        self.telling: list[Finding] = []
        self.asked_more: list[Finding] = []
        quiet = [True] * len(outcomes)
        for number, finding in enumerate(kept) if any(kept) else ():
            if finding is not None:
                quiet[number] = not _is_telling(finding)
                (self.asked_more if quiet[number] else self.telling).append(finding)
        if self.telling:
            self.outcomes, self.groups = [*compress(outcomes, quiet)], [*compress(groups, quiet)]

    def rows_by_run(self) -> Iterable[tuple[str, Sequence[int]]]:
        """The rows of the inventory that they answer, by run."""
        if len(self.runs) == 1:
            return [(self._runs[0], self._rows)]
        rows: dict[str, list[int]] = {}
        for run, row in zip(self._runs, self._rows, strict=True):
            rows.setdefault(run, []).append(row)
        return rows.items()


def _taken(finding: Finding) -> tuple[Any, ...]:
    """What is counted of a finding, and the finding itself where there may be more in it."""
    plain = _PLAIN(finding)
    diagnoses, cause, target, certificates, endpoints = _NESTED(finding)
    return (
        plain,
        _OF_TARGET(target),
        _LEAF(certificates[0]) if certificates else None,
        endpoints[0]["timing_ms"] if len(endpoints) == 1 else [endpoint["timing_ms"] for endpoint in endpoints],
        finding if diagnoses or cause is not None or plain[_ATTEMPTS] > 1 or "observed" in finding else None,
    )


def _is_telling(finding: Finding) -> bool:
    return bool(finding["diagnoses"]) or finding["cause"] is not None


def _texts(leaves: Iterable[Any]) -> list[tuple[str, str]]:
    """What each service sent first, where there is any and it can be read."""
    found: list[tuple[Any, Any]] = [*filter(None, leaves)]
    try:
        "".join(chain.from_iterable(found))  # raises where one of them is no text
    except TypeError:
        found = [leaf for leaf in found if leaf[0] is not None]
        "".join(chain.from_iterable(found))
    return found


def _by_stage(timings: Sequence[Any]) -> dict[str, list[float]]:
    """Milliseconds by stage. ``timings`` is of each finding what its one address took, or a list for several or none."""
    stages = [timing for timing in timings if type(timing) is dict]
    if len(stages) < len(timings):
        stages += chain.from_iterable(several for several in timings if type(several) is not dict)
    return {stage: [timing[stage] for timing in stages if stage in timing] for stage in _STAGES}
