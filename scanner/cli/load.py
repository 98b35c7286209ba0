"""``tlsweep load``: findings into a warehouse."""

from __future__ import annotations

import click

from scanner.cli import standard_output
from scanner.cli.completion import FILE_NAME


@click.command(no_args_is_help=True)
@click.argument("findings", nargs=-1, required=True, type=FILE_NAME)
@click.option("--to", "url", required=True, metavar="URL", help="duckdb:FILE, parquet:DIR or postgresql://...")
def load(findings: tuple[str, ...], url: str) -> None:
    """Load files of FINDINGS ('-' is standard input) into a warehouse: tables runs, findings, diagnoses, endpoints,
    certificates and chains, and views over them (docs/warehouse.md).

    A run that is loaded again replaces itself, so give all files of a run together. Either all is loaded or nothing is
    changed. Rows are staged in a temporary directory first (TMPDIR), which takes about as much room as the findings.

    \b
    Examples:
      tlsweep load findings.ndjson --to duckdb:estate.duckdb
      tlsweep load shard-*.ndjson.zst --to parquet:/srv/warehouse/tlsweep
      tlsweep load findings.ndjson --to postgresql://tlsweep@db.example/estate
    """
    from scanner.text import printable
    from scanner.warehouse.loading import load as load_findings

    summary = load_findings(findings, url)
    for line in summary.splitlines():
        standard_output().write(printable(line) + "\n")
