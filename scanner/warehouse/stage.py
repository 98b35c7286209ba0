"""Reads findings once and writes their rows to temporary files, one per table, before the warehouse is touched.

Memory hardly grows with the number of findings: one bit per row of a run, to drop duplicates, and the SHA-256 of the
most recent certificates, so that few are written twice.
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

from scanner.caching import Cache
from scanner.errors import TlsweepError
from scanner.model.findings import OUTCOMES
from scanner.output import Unreadable, read_findings
from scanner.warehouse.finding_rows import (
    MAX_DEPTH,
    Row,
    TooDeep,
    certificate_row,
    certificates_of,
    chain_rows,
    diagnosis_rows,
    encode_row,
    endpoint_rows,
    finding_row,
)
from scanner.warehouse.scratch import scratch
from scanner.warehouse.tables import RUN_DATE, TABLES

STAGING_PREFIX: Final = "tlsweep-load-"
# Rows are numbered from 1; no inventory has more.
MAX_ROW: Final = 10**9
# The run is part of keys, which PostgreSQL limits to 2700 bytes; our own names have some 25 characters.
MAX_RUN_NAME: Final = 200
# Runs in one load: three years of nightly scans.
MAX_RUNS: Final = 1000
# File names kept per run; a run has some hundred shards at most.
MAX_FILES: Final = 1000
# Certificates remembered, and the memory that each takes. The loaders merge any that are written twice.
MAX_CERTIFICATES_REMEMBERED: Final = 200_000
DIGEST_BYTES: Final = 220
# Rows of a table that are written at once: usually a tenth of a megabyte.
WRITE_BATCH_ROWS: Final = 100
# Seen rows are bits in pages of this many bits (as a power of two): rows are mostly consecutive, and a row number far
# off costs only one page.
_PAGE_BITS: Final = 10
# The date of a run in which no finding has a start time
UNKNOWN_DATE: Final = datetime.fromtimestamp(0, UTC).date().isoformat()


class LoadError(TlsweepError):
    """Findings cannot be loaded; the message is one line for the user. The warehouse is unchanged."""


class RunSummary(Struct):
    """The counts and dates of one run, for its row of ``runs``."""

    run: str
    schema: str
    first_started: str | None = None
    last_started: str | None = None
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    files: dict[str, None] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    @property
    def run_date(self) -> str:
        """The day (UTC) of the run's first finding."""
        return self.first_started[:10] if self.first_started is not None else UNKNOWN_DATE

    def is_new(self, row: int) -> bool:
        """Mark a row of the run as seen; return False if it was seen before."""
        page, bit = row >> _PAGE_BITS, 1 << (row & (1 << _PAGE_BITS) - 1)
        bits = self.seen.get(page, 0)
        self.seen[page] = bits | bit
        return not bits & bit

    def note(self, finding: Mapping[str, Any], path: str, started: str | None) -> None:
        """Count a finding; ``started`` is that of its row in ``findings``."""
        self.outcomes[finding["outcome"]] += 1
        if path not in self.files and len(self.files) < MAX_FILES:
            self.files[path] = None
        if started is not None:
            self.first_started = min(started, self.first_started or started)
            self.last_started = max(started, self.last_started or started)

    def to_row(self) -> Row:
        """Return the row of ``runs``."""
        return {
            "run": self.run,
            RUN_DATE: self.run_date,
            "schema_version": self.schema,
            "first_started": self.first_started,
            "last_started": self.last_started,
            "findings": sum(self.outcomes.values()),
            **self.outcomes,
            # a file name need not be valid UTF-8
            "files": [os.fsencode(path).decode("utf-8", "backslashreplace") for path in self.files],
        }


class StagedRows(Struct):
    """Rows in one file per table, one JSON object per line, without ``run_date``, which ``runs`` has."""

    directory: Path
    runs: dict[str, RunSummary] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: {table.name: 0 for table in TABLES})
    unreadable: int = 0
    first_unreadable: Unreadable | None = None
    duplicates: int = 0

    def path(self, table: str) -> Path:
        """Return the path of the file with the rows of a table."""
        return self.directory / f"{table}.ndjson"

    def rows(self, table: str) -> Iterator[Row]:
        """Yield the rows of a table. Raises ``LoadError`` if the file cannot be read back."""
        try:
            with self.path(table).open("rb") as file:
                for line in file:
                    yield orjson.loads(line)
        except (OSError, ValueError) as error:
            raise LoadError(f"cannot read back what was staged in {self.directory.parent}: {error}") from error


@contextmanager
def stage(paths: Sequence[str]) -> Iterator[StagedRows]:
    """Read findings and write their rows to temporary files, which are removed after the block.

    Raises ``LoadError`` and the errors of reading findings.
    """
    parent = tempfile.gettempdir()
    with ExitStack() as stack:
        try:
            staged = StagedRows(stack.enter_context(scratch(parent, STAGING_PREFIX)))
            with ExitStack() as open_files:
                files = {table.name: open_files.enter_context(staged.path(table.name).open("wb")) for table in TABLES}
                _Stager(staged, files).read(paths)
        except OSError as error:
            raise LoadError(f"cannot stage rows in {parent}: {error.strerror}") from error
        yield staged


class _Stager:
    """Converts findings one by one and writes their rows."""

    def __init__(self, staged: StagedRows, files: Mapping[str, BinaryIO]) -> None:
        self._staged = staged
        self._files = files
        self._waiting: dict[str, list[bytes]] = {table.name: [] for table in TABLES}
        # SHA-256 -> whether it was written with its DER
        self._certificates: Cache[str, bool] = Cache(
            MAX_CERTIFICATES_REMEMBERED, MAX_CERTIFICATES_REMEMBERED * DIGEST_BYTES, lambda _key, _value: DIGEST_BYTES
        )

    def read(self, paths: Sequence[str]) -> None:
        """Stage the findings of all files."""
        for path in paths:
            for number, finding in enumerate(read_findings([path]), 1):
                if isinstance(finding, Unreadable):
                    self._unreadable(finding)
                elif (reason := self._add(finding, path)) is not None:
                    self._unreadable(Unreadable(path, number, reason))
        for facts in self._staged.runs.values():
            self._write("runs", [encode_row(facts.to_row())])
        for table in self._files:
            self._flush(table)

    def _unreadable(self, line: Unreadable) -> None:
        self._staged.unreadable += 1
        if self._staged.first_unreadable is None:
            self._staged.first_unreadable = line

    def _add(self, finding: Mapping[str, Any], path: str) -> str | None:
        """Stage a finding, or return the reason why it cannot be loaded."""
        run, row = finding.get("run"), finding["target"].get("row")
        if not isinstance(run, str) or not 0 < len(run) <= MAX_RUN_NAME:
            return "does not say of which run it is"
        if type(row) is not int or not 0 <= row <= MAX_ROW:
            return "does not say of which row it is"
        certificates = self._new_certificates(finding)
        main = finding_row(finding, run, row)
        try:
            lines = {
                "findings": [encode_row(main)],
                "diagnoses": list(map(encode_row, diagnosis_rows(finding, run, row))),
                "endpoints": list(map(encode_row, endpoint_rows(finding, run, row))),
                "chains": list(map(encode_row, chain_rows(finding, run, row))),
                "certificates": [encode_row(certificate_row(record)) for record in certificates.values()],
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
        for sha256, record in certificates.items():
            self._certificates.put(sha256, isinstance(record.get("der"), str))
        return None

    def _write(self, table: str, lines: list[bytes]) -> None:
        waiting = self._waiting[table]
        waiting += lines
        if len(waiting) >= WRITE_BATCH_ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        waiting = self._waiting[table]
        self._files[table].write(b"".join(waiting))
        self._staged.counts[table] += len(waiting)
        waiting.clear()

    def _new_run(self, run: str, schema: str) -> RunSummary:
        if len(self._staged.runs) >= MAX_RUNS:
            raise LoadError(f"the files hold more than {MAX_RUNS} runs: load them in several goes")
        facts = self._staged.runs[run] = RunSummary(run, schema)
        return facts

    def _new_certificates(self, finding: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """Return the certificates that were not written recently, or only without their DER, by SHA-256."""
        new: dict[str, Mapping[str, Any]] = {}
        for sha256, with_der, record in certificates_of(finding):
            before = self._certificates.get(sha256)
            if not before and before != with_der and (with_der or sha256 not in new):
                new[sha256] = record
        return new
