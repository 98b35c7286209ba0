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
from typing import Any, Final, Generic, TypeVar

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
Kept = TypeVar("Kept")
# Makes of a finding that has a diagnosis (``True``), or whose answers may say more than that all is in order, what is to be kept
Look = Callable[[Finding, bool], Kept]
# Gives the names of the groups that a finding belongs to, one for each column to group by
Naming = Callable[[Finding, Mapping[str, Any]], Sequence[str]]


class Batch(Generic[Kept]):
    """Some findings, at least one. Raises ``FOREIGN``, or what reading them raises.

    ``telling`` is what was kept of those with a diagnosis; ``outcomes`` and ``groups`` are of the others, and ``asked_more`` is
    what was kept of these. The rest is of all: ``leaves`` are (not_after, SHA-256), ``durations`` milliseconds by stage,
    ``last`` is when the last of them was started, to the second.
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

    def __init__(self, findings: Iterable[Finding], look: Look[Kept], naming: Naming | None = None) -> None:
        # not a comprehension, whose variable would keep each finding until the next one is there
        taken = [*map(_taking(look, naming), findings)]
        plain, of_target, leaves, timings, told, kept, groups = zip(*taken, strict=True)
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
        self.groups: Sequence[Sequence[str]] = () if naming is None else groups
        self.telling: Sequence[Kept] = ()
        if any(told):
            quiet = [not one for one in told]
            self.telling = [*compress(kept, told)]
            self.outcomes, self.groups = [*compress(outcomes, quiet)], [*compress(self.groups, quiet)]
            kept = tuple(compress(kept, quiet))
        self.asked_more: Sequence[Kept] = [one for one in kept if one is not None]

    def rows_by_run(self) -> Iterable[tuple[str, Sequence[int]]]:
        """The rows of the inventory that they answer, by run."""
        if len(self.runs) == 1:
            return [(self._runs[0], self._rows)]
        rows: dict[str, list[int]] = {}
        for run, row in zip(self._runs, self._rows, strict=True):
            rows.setdefault(run, []).append(row)
        return rows.items()


def _taking(look: Look[Kept], naming: Naming | None) -> Callable[[Finding], tuple[Any, ...]]:
    """What takes from a finding all that is counted."""

    def taken(finding: Finding) -> tuple[Any, ...]:
        plain = _PLAIN(finding)
        diagnoses, cause, target, certificates, endpoints = _NESTED(finding)
        told = True if diagnoses or cause is not None else False
        return (
            plain,
            _OF_TARGET(target),
            _LEAF(certificates[0]) if certificates else None,
            endpoints[0]["timing_ms"] if len(endpoints) == 1 else [endpoint["timing_ms"] for endpoint in endpoints],
            told,
            look(finding, told) if told or plain[_ATTEMPTS] > 1 or "observed" in finding else None,
            None if naming is None else naming(finding, target["tags"]),
        )

    return taken


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
