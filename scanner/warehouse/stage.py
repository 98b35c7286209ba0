"""Findings read once and laid out as rows, a temporary file for each table: what is loaded is complete before anything is touched.

Memory hardly grows with the number of findings: of each run a bit for each row is kept, so that a row counts once, and of the
certificates met last their SHA-256, so that few are written twice.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson
from msgspec import Struct, field

from scanner.errors import TlsweepError
from scanner.output import Unreadable, read_findings
from scanner.warehouse.finding_rows import (
    MAX_DEPTH,
    Row,
    TooDeep,
    certificate_row,
    certificates_of,
    chain_rows,
    diagnosis_rows,
    dumped,
    endpoint_rows,
    finding_row,
)
from scanner.warehouse.model import RUN_DATE, TABLES
from scanner.warehouse.scratch import scratch

PREFIX: Final = "tlsweep-load-"
# Rows are numbered from 1; beyond this number a file is not an inventory's.
MAX_ROW: Final = 10**9
# A run's name is part of keys, of which PostgreSQL takes 2700 bytes; ours have some 25 characters.
MAX_RUN_NAME: Final = 200
# Runs in the files of one load: nights of three years.
MAX_RUNS: Final = 1000
# Names of files kept for a run; shards are some hundred at most.
MAX_FILES: Final = 1000
# Certificates remembered, some 150 bytes each. What is written twice all the same, the database puts together.
MAX_REMEMBERED: Final = 200_000
# Rows of a table that are written together: a tenth of a megabyte, usually.
WRITTEN_TOGETHER: Final = 100
# Bits kept together: a run's rows follow each other, and a row number far off costs this much and no more.
_PAGE_BITS: Final = 10
OUTCOMES: Final = ("ok", "warn", "fail", "invalid")
# Of a run in which no finding says when it was
NO_DATE: Final = datetime.fromtimestamp(0, UTC).date().isoformat()


class LoadError(TlsweepError):
    """Findings cannot be loaded; the message is one line for a person, and what was there is as it was."""


class RunFacts(Struct):
    """What is told of one run."""

    run: str
    schema: str
    first_started: str | None = None
    last_started: str | None = None
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    files: dict[str, None] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    @property
    def run_date(self) -> str:
        """The day (UTC) of its first finding."""
        return self.first_started[:10] if self.first_started is not None else NO_DATE

    def is_new(self, row: int) -> bool:
        """Whether this row of the run was not met before; it is now."""
        page, bit = row >> _PAGE_BITS, 1 << (row & (1 << _PAGE_BITS) - 1)
        bits = self.seen.get(page, 0)
        self.seen[page] = bits | bit
        return not bits & bit

    def note(self, finding: Mapping[str, Any], path: str, started: str | None) -> None:
        """Count a finding; ``started`` as its row has it."""
        self.outcomes[finding["outcome"]] += 1
        if path not in self.files and len(self.files) < MAX_FILES:
            self.files[path] = None
        if started is not None:
            if self.first_started is None or started < self.first_started:
                self.first_started = started
            if self.last_started is None or started > self.last_started:
                self.last_started = started

    def to_row(self) -> Row:
        """The row of ``runs``."""
        return {
            "run": self.run,
            RUN_DATE: self.run_date,
            "schema_version": self.schema,
            "first_started": self.first_started,
            "last_started": self.last_started,
            "findings": sum(self.outcomes.values()),
            **self.outcomes,
            # a file's name is bytes, and need not be UTF-8
            "files": [os.fsencode(path).decode("utf-8", "backslashreplace") for path in self.files],
        }


class Staged(Struct):
    """Rows in files, one JSON object a line, by table; without ``run_date``, which is that of the run."""

    directory: Path
    runs: dict[str, RunFacts] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {table.name: 0 for table in TABLES})
    unreadable: int = 0
    first_unreadable: Unreadable | None = None
    duplicates: int = 0

    def path(self, table: str) -> Path:
        """The file with the rows of a table."""
        return self.directory / f"{table}.ndjson"

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table, read back. Raises ``LoadError`` where they are not what was written."""
        try:
            with self.path(table).open("rb") as file:
                for line in file:
                    yield orjson.loads(line)
        except (OSError, ValueError) as error:
            raise LoadError(f"cannot read back what was staged in {self.directory.parent}: {error}") from error


@contextmanager
def stage(paths: Sequence[str]) -> Iterator[Staged]:
    """Read findings and lay out their rows; the files are gone after the block.

    Raises ``LoadError`` and what reading findings raises.
    """
    parent = tempfile.gettempdir()
    with ExitStack() as stack:
        try:
            staged = Staged(stack.enter_context(scratch(parent, PREFIX)))
            with ExitStack() as opened:
                files = {table.name: opened.enter_context(staged.path(table.name).open("wb")) for table in TABLES}
                _Stager(staged, files).read(paths)
        except OSError as error:
            raise LoadError(f"cannot stage rows in {parent}: {error.strerror}") from error
        yield staged


class _Stager:
    """Writes what a load needs, finding by finding."""

    def __init__(self, staged: Staged, files: Mapping[str, BinaryIO]) -> None:
        self._staged = staged
        self._files = files
        self._waiting: dict[str, list[bytes]] = {table.name: [] for table in TABLES}
        # SHA-256 -> whether it was written with its DER
        self._certificates: dict[str, bool] = {}

    def read(self, paths: Sequence[str]) -> None:
        """All of the files."""
        for path in paths:
            for number, finding in enumerate(read_findings([path]), 1):
                if isinstance(finding, Unreadable):
                    self._unreadable(finding)
                elif (reason := self._add(finding, path)) is not None:
                    self._unreadable(Unreadable(path, number, reason))
        for facts in self._staged.runs.values():
            self._write("runs", [dumped(facts.to_row())])
        for table in self._files:
            self._flush(table)

    def _unreadable(self, line: Unreadable) -> None:
        self._staged.unreadable += 1
        if self._staged.first_unreadable is None:
            self._staged.first_unreadable = line

    def _add(self, finding: Mapping[str, Any], path: str) -> str | None:
        """Lay out a finding, or say why it is none that can be loaded."""
        run, row = finding.get("run"), finding["target"].get("row")
        if not isinstance(run, str) or not 0 < len(run) <= MAX_RUN_NAME:
            return "does not say of which run it is"
        if type(row) is not int or not 0 <= row <= MAX_ROW:
            return "does not say of which row it is"
        certificates = self._new_certificates(finding)
        main = finding_row(finding, run, row)
        try:
            lines = {
                "findings": [dumped(main)],
                "diagnoses": list(map(dumped, diagnosis_rows(finding, run, row))),
                "endpoints": list(map(dumped, endpoint_rows(finding, run, row))),
                "chains": list(map(dumped, chain_rows(finding, run, row))),
                "certificates": [dumped(certificate_row(record)) for record in certificates.values()],
            }
        except TooDeep:
            return f"is nested more than {MAX_DEPTH} levels deep"
        facts = self._staged.runs.get(run) or self._new_run(run, finding["schema"])
        if not facts.is_new(row):
            self._staged.duplicates += 1
            return None
        facts.note(finding, path, main["started"])
        for table, found in lines.items():
            self._write(table, found)
        self._remember(certificates)
        return None

    def _write(self, table: str, lines: list[bytes]) -> None:
        waiting = self._waiting[table]
        waiting += lines
        if len(waiting) >= WRITTEN_TOGETHER:
            self._flush(table)

    def _flush(self, table: str) -> None:
        waiting = self._waiting[table]
        self._files[table].write(b"".join(waiting))
        self._staged.counts[table] += len(waiting)
        waiting.clear()

    def _new_run(self, run: str, schema: str) -> RunFacts:
        if len(self._staged.runs) >= MAX_RUNS:
            raise LoadError(f"the files hold more than {MAX_RUNS} runs: load them in several goes")
        facts = self._staged.runs[run] = RunFacts(run, schema)
        return facts

    def _new_certificates(self, finding: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Those that were not met lately, or not with their DER, by SHA-256."""
        new: dict[str, Mapping[str, Any]] = {}
        for sha256, with_der, record in certificates_of(finding):
            before = self._certificates.get(sha256)
            if not before and before != with_der and (with_der or sha256 not in new):
                new[sha256] = record
        return new

    def _remember(self, certificates: Mapping[str, Mapping[str, Any]]) -> None:
        if len(self._certificates) + len(certificates) > MAX_REMEMBERED:
            self._certificates.clear()
        for sha256, record in certificates.items():
            self._certificates[sha256] = isinstance(record.get("der"), str)
