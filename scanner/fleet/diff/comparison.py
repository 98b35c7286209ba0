"""What changed between runs: findings of two or more files, joined by target, in a table on disk.

The files may be larger than memory and in any order: of each finding a few columns go into a temporary SQLite database,
and every answer is a query of that. The first file is the oldest.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct, field

from scanner.errors import TlsweepError
from scanner.fleet.diff.target_states import CATEGORIES, Change, TargetState, categories_of, change_of, row_of
from scanner.fleet.keys import IDENTITY
from scanner.output import Unreadable, read_findings

SCHEMA: Final = "tlsweep-diff/1"

# Findings put into the table at a time.
BATCH: Final = 2000
# Files compared at once: a month of nights, with room.
MAX_FILES: Final = 100
# Runs of a file that are named.
MAX_RUNS: Final = 20
# Memory for pages of the table, in KiB: targets come in any order, and each goes to its place.
CACHE: Final = 32 * 1024

_SEEN: Final = """
CREATE TABLE seen (
    target TEXT, file INTEGER, run TEXT, rank INTEGER, row INTEGER, outcome TEXT, cause TEXT, codes TEXT, leaves TEXT,
    PRIMARY KEY (target, file)
) WITHOUT ROWID;
CREATE TABLE changed (category INTEGER, target TEXT, PRIMARY KEY (category, target)) WITHOUT ROWID;
"""
_KEEP: Final = """
INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    run = excluded.run, rank = excluded.rank, row = excluded.row, outcome = excluded.outcome, cause = excluded.cause,
    codes = excluded.codes, leaves = excluded.leaves
WHERE (excluded.run, excluded.rank, ifnull(excluded.row, -1)) >= (run, rank, ifnull(row, -1))
"""
_STATE: Final = "file, row, outcome, cause, codes, leaves"


class DiffError(TlsweepError):
    """The comparison cannot be made; the message is one line for a person."""


class FileCounts(Struct):
    """What is counted of one file, or of several that are one run together; ``started`` is its earliest finding's."""

    path: str
    parts: Sequence[str] = ()
    started: str | None = None
    runs: list[str] = field(default_factory=list)
    findings: int = 0
    unreadable_lines: int = 0
    duplicates: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form; bytes of a path that are not UTF-8 are replaced."""
        return {
            "path": self.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            "runs": self.runs,
            "findings": self.findings,
            "unreadable_lines": self.unreadable_lines,
            "duplicates": self.duplicates,
            "outcomes": self.outcomes,
        }


class Diff:
    """Findings of several files, joined by target. A context manager; raises ``DiffError`` and what reading findings raises."""

    def __init__(self, paths: Sequence[str | Sequence[str]], *, base: int = 0, directory: str | None = None) -> None:
        """Compare file number ``base`` with the last. Several paths in one entry are one run in parts.

        ``directory`` is for the temporary table; ``None`` is the system's directory for such files.
        """
        if not 2 <= len(paths) <= MAX_FILES:
            raise DiffError(f"two files at least are compared, and {MAX_FILES} at most, the oldest first")
        parts = [(path,) if isinstance(path, str) else tuple(path) for path in paths]
        if [path for several in parts for path in several].count("-") > 1:
            raise DiffError("standard input can be one of the files only")
        self.files = [FileCounts(several[0], several) for several in parts]
        self._base = base % len(self.files)
        self._directory = directory
        self._table: sqlite3.Connection | None = None
        self._summary: Summary | None = None

    @property
    def base(self) -> FileCounts:
        """The file that the last one is compared with."""
        return self.files[self._base]

    def __enter__(self) -> Diff:
        try:
            self._table = self._open()
            for number, facts in enumerate(self.files):
                self._read(number, facts)
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise self._cannot_keep(error) from error
        except BaseException:
            self.close()
            raise
        return self

    def _open(self) -> sqlite3.Connection:
        """Open a table whose file is unlinked at once: it ends with this process, however that ends."""
        descriptor, path = tempfile.mkstemp(prefix="tlsweep-diff-", suffix=".sqlite", dir=self._directory)
        os.close(descriptor)
        try:
            table = sqlite3.connect(path, isolation_level=None)
            pragmas = ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", f"cache_size=-{CACHE}")
            for pragma in pragmas:
                table.execute(f"PRAGMA {pragma}")
            table.executescript(_SEEN)
            return table
        finally:
            os.unlink(path)

    def _cannot_keep(self, error: Exception) -> DiffError:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        place = self._directory or tempfile.gettempdir()
        return DiffError(f"cannot keep what is compared in {place}: {reason} (TMPDIR names another place)")

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the table, which removes it."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _read(self, number: int, facts: FileCounts) -> None:
        assert self._table is not None
        runs: dict[str, None] = {}
        batch: list[tuple[Any, ...]] = []

        def flush() -> None:
            assert self._table is not None
            self._table.execute("BEGIN")
            self._table.executemany(_KEEP, batch)
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
            batch.append(row_of(number, item))
            if len(batch) >= BATCH:
                flush()
        flush()
        facts.runs = list(runs)
        (kept,) = self._table.execute("SELECT count(*) FROM seen WHERE file = ?", (number,)).fetchone()
        facts.duplicates = facts.findings - kept

    # --- what became of them -----------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[frozenset[str], Change]]:
        """Yield every target once, sorted by identity, with the categories that it belongs to (empty: as it was)."""
        return ((categories, change) for _, categories, change in self._changes())

    def in_category(self, category: str) -> Iterator[Change]:
        """Yield the targets of one category, sorted by identity."""
        self.summary()
        states = "SELECT target FROM changed WHERE category = ?"
        chosen = f"SELECT target, {_STATE} FROM ({states}) JOIN seen USING (target) ORDER BY target, file"
        return (change for _, _, change in self._changes(chosen, (CATEGORIES.index(category),)))

    def summary(self) -> Summary:
        """Return all counts. The first call reads every target once, and notes those of each category."""
        if self._summary is None:
            assert self._table is not None
            counts = dict.fromkeys((*CATEGORIES, "unchanged"), 0)
            self._table.execute("BEGIN")
            for key, categories, change in self._changes():
                if not categories and (change.old is not None or change.new is not None):
                    counts["unchanged"] += 1
                for category in categories:
                    counts[category] += 1
                    self._note(CATEGORIES.index(category), key)
            self._table.execute("COMMIT")
            self._summary = Summary(self.files, counts)
        return self._summary

    def _note(self, category: int, key: str) -> None:
        assert self._table is not None
        try:
            self._table.execute("INSERT INTO changed VALUES (?, ?)", (category, key))
        except sqlite3.Error as error:
            raise self._cannot_keep(error) from error

    def _changes(
        self, query: str = f"SELECT target, {_STATE} FROM seen ORDER BY target, file", values: tuple[int, ...] = ()
    ) -> Iterator[tuple[str, frozenset[str], Change]]:
        assert self._table is not None
        target: str | None = None
        states: dict[int, TargetState] = {}
        try:
            for key, file, *state in self._table.execute(query, values):
                if key != target and target is not None:
                    yield target, *self._change(target, states)
                    states = {}
                target = key
                states[file] = TargetState(*state)
        except sqlite3.Error as error:
            raise self._cannot_keep(error) from error
        if target is not None:
            yield target, *self._change(target, states)

    def _change(self, key: str, states: Mapping[int, TargetState]) -> tuple[frozenset[str], Change]:
        last = len(self.files) - 1
        outcomes = tuple(states[file].outcome if file in states else "-" for file in range(last + 1))
        parts = dict(zip(IDENTITY, orjson.loads(key), strict=True))
        change = change_of(parts, states.get(self._base), states.get(last), outcomes)
        return categories_of(change), change


class Summary(Struct, frozen=True):
    """How many targets are in each category; a target can be in several."""

    files: Sequence[FileCounts]
    counts: Mapping[str, int]
