"""What changed between runs: findings of two or more files, joined by target, in a table on disk.

The files may be larger than memory and in any order: of each finding a few columns go into a temporary SQLite database,
and all that is told is asked of that. The first file is the oldest.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import orjson

from scanner.fleet.keys import IDENTITY, identity, leaf_of
from scanner.ndjson import Unreadable, read_findings

SCHEMA: Final = "tlsweep-diff/1"

# What can have become of a target, in the order in which it is told.
CATEGORIES: Final = (
    "new", "changed", "still-broken", "fixed", "worse", "better", "appeared", "vanished", "flapping", "replaced",
)  # fmt: skip
TITLES: Final = {
    "new": "New failures",
    "changed": "Failing for another cause than before",
    "still-broken": "Still failing for the same cause",
    "fixed": "Fixed",
    "worse": "Warnings that are new",
    "better": "Warnings that are gone",
    "appeared": "Appeared in the inventory",
    "vanished": "Vanished from the inventory",
    "flapping": "Flapping: failing and not failing by turns",
    "replaced": "Certificate replaced",
}
# Findings put into the table at a time.
BATCH: Final = 2000
# Codes of one finding that are kept: more are of no use to a person.
MAX_CODES: Final = 20
# Files compared at once: a month of nights, with room.
MAX_FILES: Final = 100
# Runs of a file that are named.
MAX_RUNS: Final = 20

_COLUMNS: Final = (
    "file INTEGER, target TEXT, row INTEGER, outcome TEXT, cause TEXT, codes TEXT, leaf TEXT, issuer TEXT, "
    "not_after TEXT, run TEXT, started TEXT"
)


class DiffError(Exception):
    """The comparison cannot be made; the message is one line for a person."""


@dataclass(slots=True)
class FileFacts:
    """What is to be told of one file, or of several that are one run together; ``started`` is its earliest finding's."""

    path: str
    parts: Sequence[str] = ()
    started: str | None = None
    runs: list[str] = field(default_factory=list)
    findings: int = 0
    unreadable_lines: int = 0
    duplicates: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """A target in one file."""

    row: int | None
    outcome: str
    cause: str | None
    codes: tuple[str, ...]
    leaf: str | None
    issuer: str | None
    not_after: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one target between the first and the last file; ``outcomes`` are those of all files ("-": absent)."""

    target: Mapping[str, Any]
    old: State | None
    new: State | None
    outcomes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the JSON form."""
        record: dict[str, Any] = {"target": dict(self.target), "old": _state(self.old), "new": _state(self.new)}
        if len(self.outcomes) > 2:
            record["outcomes"] = list(self.outcomes)
        if self.replaced:
            assert self.old is not None and self.new is not None
            record["same_issuer"] = self.old.issuer == self.new.issuer
        return record

    @property
    def replaced(self) -> bool:
        """Both files saw a certificate, and not the same."""
        return (
            self.old is not None
            and self.new is not None
            and self.old.leaf is not None
            and self.new.leaf is not None
            and self.old.leaf != self.new.leaf
        )


class Diff:
    """Findings of several files, joined. Use as a context; raises ``DiffError`` and what reading findings raises."""

    def __init__(self, paths: Sequence[str | Sequence[str]], *, base: int = 0, directory: str | None = None) -> None:
        """What changed is told between the files numbered ``base`` and the last. Several paths in one are one run in parts.

        ``directory`` is where the temporary table goes; ``None`` is the system's place for such files.
        """
        if not 2 <= len(paths) <= MAX_FILES:
            raise DiffError(f"two files at least are compared, and {MAX_FILES} at most, the oldest first")
        parts = [(path,) if isinstance(path, str) else tuple(path) for path in paths]
        if [path for several in parts for path in several].count("-") > 1:
            raise DiffError("standard input can be one of the files only")
        self.files = [FileFacts(several[0], several) for several in parts]
        self._base = base % len(self.files)
        self._directory = directory
        self._path: str | None = None
        self._table: sqlite3.Connection | None = None

    def __enter__(self) -> Diff:
        try:
            descriptor, self._path = tempfile.mkstemp(prefix="tlsweep-diff-", suffix=".sqlite", dir=self._directory)
            os.close(descriptor)
            table = self._table = sqlite3.connect(self._path, isolation_level=None)
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE"):
                table.execute(f"PRAGMA {pragma}")
            table.execute(f"CREATE TABLE seen ({_COLUMNS}, PRIMARY KEY (target, file)) WITHOUT ROWID")
            for number, facts in enumerate(self.files):
                self._read(number, facts)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise DiffError(f"cannot keep what is compared in {self._place()}: {error}") from error
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget everything."""
        if self._table is not None:
            self._table.close()
            self._table = None
        if self._path is not None:
            os.unlink(self._path)
            self._path = None

    def _place(self) -> str:
        return self._directory or tempfile.gettempdir()

    def _read(self, number: int, facts: FileFacts) -> None:
        assert self._table is not None
        statement = f"INSERT OR REPLACE INTO seen VALUES ({', '.join('?' * 11)})"
        runs: dict[str, None] = {}
        batch: list[tuple[Any, ...]] = []

        def flush() -> None:
            assert self._table is not None
            self._table.execute("BEGIN")
            self._table.executemany(statement, batch)
            self._table.execute("COMMIT")
            batch.clear()

        for item in read_findings(facts.parts):
            if isinstance(item, Unreadable):
                facts.unreadable_lines += 1
                continue
            facts.findings += 1
            outcome = item["outcome"]
            facts.outcomes[outcome] = facts.outcomes.get(outcome, 0) + 1
            run, started = item.get("run"), item.get("started")
            if isinstance(run, str) and len(runs) < MAX_RUNS:
                runs.setdefault(run)
            if isinstance(started, str) and (facts.started is None or started < facts.started):
                facts.started = started
            batch.append(_row(number, item))
            if len(batch) >= BATCH:
                flush()
        flush()
        facts.runs = list(runs)
        (kept,) = self._table.execute("SELECT count(*) FROM seen WHERE file = ?", (number,)).fetchone()
        facts.duplicates = facts.findings - kept

    # --- what became of them -----------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[frozenset[str], Change]]:
        """Every target once, in the order of identity, with the categories that it belongs to (none: as it was)."""
        assert self._table is not None
        last = len(self.files) - 1
        target: str | None = None
        states: dict[int, State] = {}
        cursor = self._table.execute(
            "SELECT target, file, row, outcome, cause, codes, leaf, issuer, not_after FROM seen ORDER BY target, file"
        )
        for key, file, row, outcome, cause, codes, leaf, issuer, not_after in cursor:
            if key != target and target is not None:
                yield self._change(target, states, last)
                states = {}
            target = key
            listed = tuple(codes.split(",")) if codes else ()
            states[file] = State(row, outcome, cause, listed, leaf, issuer, not_after)
        if target is not None:
            yield self._change(target, states, last)

    def _change(self, key: str, states: Mapping[int, State], last: int) -> tuple[frozenset[str], Change]:
        outcomes = tuple(states[file].outcome if file in states else "-" for file in range(last + 1))
        parts = dict(zip(IDENTITY, orjson.loads(key), strict=True))
        change = Change(parts, states.get(self._base), states.get(last), outcomes)
        return categories_of(change), change

    def summary(self) -> Summary:
        """All counts, and the targets of each category as an iterator that reads the table anew."""
        counts = dict.fromkeys((*CATEGORIES, "unchanged"), 0)
        for categories, change in self.changes():
            if change.old is None and change.new is None and not categories:
                continue  # only files in between have it
            for category in categories or ("unchanged",):
                counts[category] += 1
        return Summary(self.files, counts)


@dataclass(frozen=True, slots=True)
class Summary:
    """How many targets are in each category; a target can be in several."""

    files: Sequence[FileFacts]
    counts: Mapping[str, int]


def categories_of(change: Change) -> frozenset[str]:
    """Which categories a target belongs to; none where nothing worth telling happened."""
    old, new = change.old, change.new
    found = set()
    if _flaps(change.outcomes):
        found.add("flapping")
    if old is None or new is None:
        if new is not None:
            found.add("appeared")
            if new.outcome == "fail":
                found.add("new")
        elif old is not None:
            found.add("vanished")
        return frozenset(found)
    if change.replaced:
        found.add("replaced")
    failed, fails = old.outcome == "fail", new.outcome == "fail"
    if fails and not failed:
        found.add("new")
    elif failed and not fails:
        found.add("fixed")
    elif failed and fails:
        found.add("still-broken" if old.cause == new.cause else "changed")
    elif _RANK.get(new.outcome, 0) > _RANK.get(old.outcome, 0):
        found.add("worse")
    elif _RANK.get(new.outcome, 0) < _RANK.get(old.outcome, 0):
        found.add("better")
    return frozenset(found)


# A row that cannot be used is worse than a warning: nothing is known of what it meant.
_RANK: Final = {"ok": 0, "warn": 1, "invalid": 2, "fail": 3}


def _flaps(outcomes: Sequence[str]) -> bool:
    """Turned twice at least between failing and not failing; files in which the target is absent do not count."""
    failing = [outcome == "fail" for outcome in outcomes if outcome != "-"]
    return sum(1 for before, after in pairwise(failing) if before is not after) >= 2


def _row(file: int, finding: Mapping[str, Any]) -> tuple[Any, ...]:
    target = finding["target"]
    leaf = leaf_of(finding) or {}
    codes: list[str] = []
    diagnoses = finding.get("diagnoses")
    for diagnosis in diagnoses if isinstance(diagnoses, list) else ():
        if isinstance(diagnosis, Mapping) and diagnosis.get("severity") in ("error", "warning"):
            code = diagnosis.get("code")
            if isinstance(code, str) and "," not in code and len(codes) < MAX_CODES:
                codes.append(code)
    row = target.get("row")
    key = orjson.dumps(identity(finding), default=str).decode()
    return (
        file,
        key,
        row if type(row) is int and abs(row) < 2**63 else None,
        finding["outcome"],
        _text(finding.get("cause")),
        ",".join(codes),
        _text(leaf.get("sha256")),
        _text(leaf.get("issuer")),
        _text(leaf.get("not_after")),
        _text(finding.get("run")),
        _text(finding.get("started")),
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _state(state: State | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "row": state.row,
        "outcome": state.outcome,
        "cause": state.cause,
        "codes": list(state.codes),
        "certificate": state.leaf,
        "issuer": state.issuer,
        "not_after": state.not_after,
    }
