"""Findings into a warehouse: read and staged first, then loaded as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from scanner.text import printable, quoted
from scanner.warehouse.staging import LoadError, Staged, stage

FORMS: Final = "duckdb:FILE, parquet:DIR or postgresql://..."


def loader_of(url: str) -> Callable[[Staged], None]:
    """What loads staged rows to where ``url`` says. Raises ``LoadError`` for a URL of no kind that is known."""
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
    raise LoadError(f"--to: this is none of {FORMS}")


def load(paths: Sequence[str], url: str) -> str:
    """Load findings; returns what a person is told. Raises ``LoadError`` and what reading findings raises."""
    put = loader_of(url)
    with stage(paths) as staged:
        if not staged.runs:
            raise LoadError(
                f"no finding in these files says of which run and row it is{_first(staged)}: nothing is loaded"
            )
        put(staged)
        return told(staged)


def told(staged: Staged) -> str:
    """What was loaded, in lines."""
    counts = ", ".join(f"{count} rows of {table}" for table, count in staged.counts.items())
    lines = [f"loaded {counts}"]
    for facts in staged.runs.values():
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in facts.outcomes.items() if count)
        lines.append(f"run {facts.run} of {facts.run_date}: {outcomes}")
    if staged.duplicates:
        lines.append(f"{staged.duplicates} findings about a row of a run that was there already: the first counts")
    if staged.unreadable:
        lines.append(f"{staged.unreadable} lines were no findings and were left out{_first(staged)}")
    return "\n".join(lines)


def _first(staged: Staged) -> str:
    if (line := staged.first_unreadable) is None:
        return ""
    where = "standard input" if line.path == "-" else quoted(line.path, 200)[1:-1]
    return f" (the first: {where}, line {line.line}: {printable(line.reason)})"
