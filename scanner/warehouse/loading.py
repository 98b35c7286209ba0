"""Loads findings into a warehouse: all are read and staged first, then loaded as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from scanner.text import printable, quoted
from scanner.warehouse.stage import LoadError, StagedRows, stage

URL_FORMS: Final = "duckdb:FILE, parquet:DIR or postgresql://..."


def loader_for(url: str) -> Callable[[StagedRows], None]:
    """Return the function that loads staged rows to ``url``. Raises ``LoadError`` for an unknown kind of URL."""
    scheme, colon, rest = url.partition(":")
    if "\0" not in url and colon and rest:
        if scheme == "duckdb":
            from scanner.warehouse.duck import load_duckdb

            return lambda staged: load_duckdb(staged, rest)
        if scheme == "parquet":
            from scanner.warehouse.parquet import load_parquet

            return lambda staged: load_parquet(staged, rest)
        if scheme in ("postgresql", "postgres") and rest.startswith("//"):
            from scanner.warehouse.postgres import load_postgres

            return lambda staged: load_postgres(staged, url)
    raise LoadError(f"--to: this is none of {URL_FORMS}")


def load(paths: Sequence[str], url: str) -> str:
    """Load findings and return a summary for the user. Raises ``LoadError`` and the errors of reading findings."""
    put = loader_for(url)
    with stage(paths) as staged:
        if not staged.runs:
            raise LoadError(f"no finding in these files can be loaded{_first(staged)}")
        put(staged)
        return load_summary(staged)


def load_summary(staged: StagedRows) -> str:
    """Return what was loaded, as lines of text for the user."""
    lines = [f"rows loaded: {', '.join(f'{table} {count}' for table, count in staged.counts.items())}"]
    for facts in staged.runs.values():
        outcomes = ", ".join(f"{outcome} {count}" for outcome, count in facts.outcomes.items() if count)
        lines.append(f"run {printable(facts.run)} of {facts.run_date}: {outcomes}")
    if staged.duplicates:
        lines.append(f"findings about a row that their run had already, left out: {staged.duplicates}")
    if staged.unreadable:
        lines.append(f"lines that are no findings, left out: {staged.unreadable}{_first(staged)}")
    return "\n".join(lines)


def _first(staged: StagedRows) -> str:
    if (line := staged.first_unreadable) is None:
        return ""
    where = "standard input" if line.path == "-" else quoted(line.path, 200)[1:-1]
    return f" (the first: {where}, line {line.line}: {printable(line.reason)})"
