"""What statistics count of many findings, by column: a list for each field, taken out of a batch at once.

Counting finding by finding is several times slower than parsing them. Two things make this fast, and both break easily:

- Only what is counted is taken out of a finding, and the finding is gone before the next one is parsed, whose parts then
  take the same places in memory, which the processor has in its cache. So ``findings`` is an iterator, and nothing here may
  keep a part of a finding alive: each text that is kept costs a new place for the next.
- What follows is done for a whole column at a time, by functions that are written in C (``Counter``, ``sum``, ``join``).

Types are checked by column too, and only for findings as our own runs write them: anything else raises one of
``BAD_SHAPE_ERRORS`` before anything is counted, and the caller counts the batch finding by finding instead. Making columns
changes nothing but them, so that doing it in vain does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from scanner.fleet.stats.finding_kinds import Kind, kind_of
from scanner.fleet.stats.fleet_correlation import Seen, seen_of
from scanner.fleet.stats.run_counts import group_names
from scanner.fleet.stats.shared_causes import Root, roots_of, target_of
from scanner.fleet.stats.target_series import TargetSample, sample_of
from scanner.model.findings import OUTCOMES, SCHEMA

_FIELDS: Final = itemgetter(
    "schema", "outcome", "run", "attempts", "duration_ms", "started", "diagnoses", "cause", "target", "certificates", "endpoints"
)  # fmt: skip
_OF_TARGET: Final = itemgetter("tags", "row")
_NO_RUN: Final = object()
_LEAF: Final = itemgetter("not_after", "sha256")
# One text for all findings of an outcome
_OUTCOMES: Final = {outcome: outcome for outcome in OUTCOMES}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)

# A finding with a diagnosis: its kind, the groups it belongs to, its roots, its name if it has roots, what it tells the fleet.
Diagnosed = tuple[Kind, Sequence[str | None], Mapping[Root, str], str, Seen | None]


class Columns:
    """What is counted of some findings, at least one.

    ``outcomes`` and ``groups`` are of those without a diagnosis, ``seen`` is what these tell the fleet, if anything. The rest
    is of all: ``columns`` of the inventory, ``leaves`` are (not_after, SHA-256), ``durations`` milliseconds by stage, ``rows``
    those of the inventory by run, ``last`` is when the last of them was started, to the second.
    """

    __slots__ = ("columns", "diagnosed", "durations", "groups", "last", "leaves", "outcomes", "rows", "samples", "seen")

    def __init__(self) -> None:
        self.diagnosed: list[Diagnosed] = []
        self.outcomes: list[str] = []
        self.groups: list[Sequence[str | None]] = []
        self.seen: list[Seen] = []
        self.columns: dict[str, None] = {}  # in the order of the inventory
        self.leaves: list[tuple[str, str]] = []
        self.durations: dict[str, list[float]] = {"connect": [], "starttls": [], "handshake": [], "total": []}
        self.rows: dict[str, list[int]] = {}
        self.last = ""
        self.samples: list[TargetSample] = []  # of all, where they are wanted


def columns_of(findings: Iterable[Mapping[str, Any]], by: Collection[str] = (), *, samples: bool = False) -> Columns:
    """Return the columns of some findings, with groups ``by`` columns, and with a sample of each where ``samples`` are wanted.

    Raises ``BAD_SHAPE_ERRORS``, and what reading them raises.
    """
    made = Columns()
    connects, starttls, handshakes, totals = made.durations.values()
    columns, leaves, outcomes = made.columns, made.leaves, made.outcomes
    rows: list[int] = []
    known_run: object = _NO_RUN  # whose rows these are
    latest = ""
    finding: Any
    for finding in findings:
        (
            schema, outcome, run, attempts, duration, started, diagnoses, cause, target, certificates, endpoints
        ) = _FIELDS(finding)  # fmt: skip
        outcome = _OUTCOMES[outcome]
        if schema != SCHEMA:
            raise ValueError
        tags, row = _OF_TARGET(target)
        if type(tags) is not dict:
            raise ValueError
        if not tags.keys() <= columns.keys():
            columns.update(dict.fromkeys(tags))
        if run != known_run:
            if type(run) is not str:
                raise ValueError
            rows = made.rows.setdefault(run, [])
            known_run = run
        rows.append(row)
        if started > latest:
            latest = started
        if certificates:
            leaves.append(_LEAF(certificates[0]))
        for endpoint in endpoints:
            timing = endpoint["timing_ms"]
            if type(timing) is not dict:
                raise ValueError
            if "connect" in timing:
                connects.append(timing["connect"])
            if "handshake" in timing:
                handshakes.append(timing["handshake"])
            if "starttls" in timing:
                starttls.append(timing["starttls"])
        if samples and (sample := sample_of(finding)) is not None:
            made.samples.append(sample)
        more = attempts > 1
        if attempts:
            totals.append(duration)
        if diagnoses or cause is not None:
            made.diagnosed.append(diagnosed_of(finding, group_names(by, finding, tags) if by else ()))
        else:
            outcomes.append(outcome)
            if by:
                made.groups.append(group_names(by, finding, tags))
            if (more or "observed" in finding) and outcome != "invalid" and (seen := seen_of(finding)) is not None:
                made.seen.append(seen)
        # what is still held of a finding could not be taken by the next one
        finding = diagnoses = target = tags = certificates = endpoints = endpoint = timing = None
    _check(latest, made.rows.values())
    made.last = latest[:19]
    made.leaves = _texts(leaves)
    for measured in made.durations.values():
        sum(measured)  # raises where one of them is no number
    return made


def diagnosed_of(finding: Mapping[str, Any], groups: Sequence[str | None]) -> Diagnosed:
    """Return what is counted of one finding that has an outcome, whatever its shape. Never raises."""
    kind = kind_of(finding)
    roots = roots_of(finding, kind.root_finders) if kind.root_finders else {}
    seen = None if kind.outcome == "invalid" else seen_of(finding, kind)
    return kind, groups, roots, target_of(finding) if roots else "", seen


def _check(latest: str, rows: Iterable[Sequence[int]]) -> None:
    if _TIME.fullmatch(latest) is None:
        raise ValueError
    for some in rows:
        if type(sum(some)) is not int or min(some) < 0:  # the sum is one of nothing but whole numbers
            raise ValueError


def _texts(leaves: list[tuple[Any, Any]]) -> list[tuple[str, str]]:
    """Return what each service sent first, without those that cannot be read. Raises ``TypeError``."""
    try:
        "".join(chain.from_iterable(leaves))  # raises where one of them is no text
    except TypeError:
        leaves = [leaf for leaf in leaves if leaf[0] is not None]
        "".join(chain.from_iterable(leaves))
    return leaves
