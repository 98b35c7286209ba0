"""Measures ``tlsweep load`` on a large estate: memory beyond DuckDB's own, and CPU relative to parsing the findings.

DuckDB's own is that of a process that only passes the same staged rows to DuckDB with the same statements:
``python -m benchmarks.loading STAGED RUN DATABASE``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.measure import CommandError, Cost, against_bar, run, table, tlsweep
from tests.helpers.estate import estate

BAR_BYTES: Final = 200_000_000
TIMEOUT: Final = 3600.0
PARSE: Final = "import sys, orjson\nfor line in open(sys.argv[1], 'rb'): orjson.loads(line)"
OWN: Final = "DuckDB's part alone"


def loads(*, findings: int) -> dict[str, Any]:
    """Load findings derived from those of the demo into DuckDB, twice, and into Parquet files."""
    print(f"\nLoading {findings:,} findings", flush=True)
    with tempfile.TemporaryDirectory(prefix="tlsweep-loading-") as name:
        home = Path(name)
        _run(tlsweep("demo", str(home / "demo")), home)
        templates = [orjson.loads(line) for line in (home / "demo" / "findings.ndjson").read_bytes().splitlines()]
        path = home / "estate.ndjson"
        with path.open("wb") as file:
            file.writelines(estate(templates, findings))
        costs = {
            "parsing each line": _run([sys.executable, "-c", PARSE, str(path)], home),
            "load into DuckDB": _run(tlsweep("load", str(path), "--to", f"duckdb:{home}/estate.duckdb"), home),
            "the same run again": _run(tlsweep("load", str(path), "--to", f"duckdb:{home}/estate.duckdb"), home),
            OWN: _own(path, home),
            "load into Parquet": _run(tlsweep("load", str(path), "--to", f"parquet:{home}/rows"), home),
        }
        sizes = {
            "findings": path.stat().st_size,
            "DuckDB": (home / "estate.duckdb").stat().st_size,
            "Parquet": sum(one.stat().st_size for one in (home / "rows").rglob("*.parquet")),
        }
    print(table(("", "wall s", "CPU s", "memory, MB"), [
        (label, f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.peak / 1e6:.0f}") for label, cost in costs.items()
    ]))  # fmt: skip
    print(", ".join(f"{label} {size / 1e6:.0f} MB" for label, size in sizes.items()))
    above = (costs["load into DuckDB"].peak - costs[OWN].peak) / 1e6
    print(f"MB above DuckDB's own: {against_bar(above, BAR_BYTES / 1e6)}")
    figures = {
        label: {"wall_s": cost.wall, "cpu_s": cost.cpu, "peak_bytes": cost.peak} for label, cost in costs.items()
    }
    return {"title": "load", "findings": findings, "costs": figures, "bytes": sizes, "above_mb": above}


def _run(argv: list[str], home: Path) -> Cost:
    log = home / "log"
    # staged rows go where the findings are, since /tmp may be too small
    cost = run(argv, home=home, timeout=TIMEOUT, environment={"TMPDIR": str(home)}, log=log)
    if cost.exit != 0:
        raise CommandError(f"{argv[3:5]}: {log.read_text('utf-8', 'replace')[-500:]}")
    return cost


def _own(path: Path, home: Path) -> Cost:
    from scanner.warehouse.stage import stage

    kept = home / "staged"
    kept.mkdir()
    with stage([str(path)]) as staged:
        for name in staged.counts:
            shutil.move(staged.path(name), kept)
        (name,) = staged.runs
    return _run([sys.executable, "-m", "benchmarks.loading", str(kept), name, str(home / "own.duckdb")], home)


def main(directory: str, name: str, database: str) -> None:
    """Load rows that were staged before into DuckDB."""
    from scanner.warehouse.duck import load_duckdb
    from scanner.warehouse.stage import RunSummary, StagedRows

    load_duckdb(StagedRows(Path(directory), {name: RunSummary(name, "")}), database)


if __name__ == "__main__":
    main(*sys.argv[1:])
