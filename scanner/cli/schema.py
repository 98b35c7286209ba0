"""``tlsweep schema``: the output's schema, machine-readable."""

from __future__ import annotations

from importlib import resources

import click

from scanner.cli import standard_output
from scanner.errors import UsageProblem


@click.command(no_args_is_help=True)
@click.argument("what", type=click.Choice(["finding", "stats", "ddl"]))
@click.option(
    "--dialect",
    type=click.Choice(["duckdb", "postgres", "bigquery", "snowflake", "clickhouse"]),
    help="With ddl: for which database. Default: duckdb.",
)
def schema(what: str, dialect: str | None) -> None:
    """Print the JSON Schema of a finding (tlsweep/1) or of statistics (tlsweep-stats/1), or the warehouse's tables and
    views as SQL, with the command that loads them.

    \b
    Examples:
      tlsweep schema finding > finding.schema.json
      tlsweep schema ddl --dialect bigquery
    """
    if what == "ddl":
        from scanner.warehouse.ddl import ddl

        standard_output().write(ddl(dialect or "duckdb"))
        return
    if dialect is not None:
        raise UsageProblem("--dialect goes with ddl")
    file = resources.files("scanner") / "data" / f"{what}.schema.json"
    standard_output().write(file.read_text("utf-8"))
