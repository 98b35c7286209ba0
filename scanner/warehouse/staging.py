"""Findings read once and laid out as rows, a temporary file for each table: what is loaded is complete before anything is touched.

Memory does not grow with the number of findings: of each run a bit for each row is kept, so that a row counts once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from scanner.ndjson import Unreadable, read_findings
from scanner.warehouse.model import TABLES
from scanner.warehouse.rows import (
    Row,
    certificate_rows,
    chain_rows,
    diagnosis_rows,
    endpoint_rows,
    finding_row,
    moment,
)

# Rows are numbered from 1; beyond this number a file is not an inventory's (a bit each is then 125 MB).
MAX_ROW: Final = 10**9
# Runs in the files of one load: nights of three years.
MAX_RUNS: Final = 1000
OUTCOMES: Final = ("ok", "warn", "fail", "invalid")


class LoadError(Exception):
    """Findings cannot be loaded; the message is one line for a person, and nothing has been changed."""


@dataclass(slots=True)
class RunFacts:
    """What is told of one run."""

    run: str
    run_date: str
    schema: str
    first_started: str | None = None
    last_started: str | None = None
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    files: list[str] = field(default_factory=list)
    seen: bytearray = field(default_factory=bytearray)

    def is_new(self, row: int) -> bool:
        """Whether this row of the run was not met before; it is now."""
        place, bit = row >> 3, 1 << (row & 7)
        if place >= len(self.seen):
            self.seen.extend(bytes(place + 1024 - len(self.seen)))
        if self.seen[place] & bit:
            return False
        self.seen[place] |= bit
        return True

    def to_row(self) -> Row:
        """The row of ``runs``."""
        return {
            "run": self.run,
            "run_date": self.run_date,
            "schema": self.schema,
            "first_started": self.first_started,
            "last_started": self.last_started,
            "findings": sum(self.outcomes.values()),
            **self.outcomes,
            "files": self.files,
        }


@dataclass(slots=True)
class Staged:
    """Rows in files, one JSON object a line, by table. Use as a context: the files go with it."""

    directory: Path
    runs: dict[str, RunFacts] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0
    duplicates: int = 0

    def __enter__(self) -> Staged:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def path(self, table: str) -> Path:
        """The file with the rows of a table."""
        return self.directory / f"{table}.ndjson"

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table, read back."""
        with self.path(table).open("rb") as file:
            for line in file:
                yield orjson.loads(line)


def stage(paths: Sequence[str], *, directory: str | None = None) -> Staged:
    """Read findings and lay out their rows. Raises ``LoadError`` and what reading findings raises."""
    try:
        staged = Staged(Path(tempfile.mkdtemp(prefix="tlsweep-load-", dir=directory)))
    except OSError as error:
        raise LoadError(f"cannot stage rows in {directory or tempfile.gettempdir()}: {error.strerror}") from error
    try:
        with ExitStack() as stack:
            files = {table.name: stack.enter_context(staged.path(table.name).open("wb")) for table in TABLES}
            _stage(paths, staged, files)
    except OSError as error:
        staged.__exit__()
        raise LoadError(f"cannot stage rows in {staged.directory.parent}: {error.strerror}") from error
    except BaseException:
        staged.__exit__()
        raise
    return staged


_PARTS: Final[Mapping[str, Callable[[Mapping[str, Any], str, int, str], Iterator[Row]]]] = {
    "diagnoses": diagnosis_rows,
    "endpoints": endpoint_rows,
    "chains": chain_rows,
}


def _stage(paths: Sequence[str], staged: Staged, files: Mapping[str, BinaryIO]) -> None:
    counts = dict.fromkeys(files, 0)

    def write(table: str, row: Row) -> None:
        files[table].write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        counts[table] += 1

    for path in paths:
        for finding in read_findings([path]):
            if isinstance(finding, Unreadable):
                staged.unreadable += 1
                continue
            run, row = finding.get("run"), finding["target"].get("row")
            if not isinstance(run, str) or type(row) is not int or not 0 <= row <= MAX_ROW:
                staged.unreadable += 1
                continue
            facts = staged.runs.get(run) or _new_run(staged, finding, run)
            if not facts.is_new(row):
                staged.duplicates += 1
                continue
            _note(facts, finding, path)
            write("findings", finding_row(finding, run, row, facts.run_date))
            for table, rows in _PARTS.items():
                for part in rows(finding, run, row, facts.run_date):
                    write(table, part)
            for part in certificate_rows(finding):
                write("certificates", part)
    for facts in staged.runs.values():
        write("runs", facts.to_row())
    staged.counts = counts


def _new_run(staged: Staged, finding: Mapping[str, Any], run: str) -> RunFacts:
    if len(staged.runs) >= MAX_RUNS:
        raise LoadError(f"the files hold more than {MAX_RUNS} runs: load them in several goes")
    started = moment(finding.get("started"))
    date = started[:10] if started else datetime.fromtimestamp(0, UTC).date().isoformat()
    facts = staged.runs[run] = RunFacts(run, date, finding["schema"])
    return facts


def _note(facts: RunFacts, finding: Mapping[str, Any], path: str) -> None:
    facts.outcomes[finding["outcome"]] += 1
    if path not in facts.files:
        facts.files.append(path)
    started = moment(finding.get("started"))
    if started is not None:
        if facts.first_started is None or started < facts.first_started:
            facts.first_started = started
        if facts.last_started is None or started > facts.last_started:
            facts.last_started = started
