"""``tlsweep stats``: fleet-wide statistics per cause."""

from __future__ import annotations

import click

from scanner.cli import language_option, standard_output
from scanner.cli.problems import one_line_problems


@click.command(no_args_is_help=True, short_help="Fleet-wide statistics per cause, from findings.")
@click.argument("findings", nargs=-1, required=True)
@click.option(
    "--by", multiple=True, metavar="COLUMN", help="Counts for each value of a column of the inventory; repeatable."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown", "prometheus"]),
    default="table",
    show_default=True,
    help="How to print them.",
)
@language_option
def stats(findings: tuple[str, ...], by: tuple[str, ...], form: str) -> None:
    """Count outcomes, causes and codes over one or more files of FINDINGS; '-' is standard input.

    \b
    Examples:
      tlsweep stats findings.ndjson --by owner
      tlsweep stats shard-*.ndjson.zst --format json
    """
    from scanner.fleet import tables
    from scanner.fleet.stats import Stats
    from scanner.ndjson import Unreadable, read_findings

    with one_line_problems():
        folded = Stats(by)
        for item in read_findings(findings):
            if isinstance(item, Unreadable):
                folded.add_unreadable()
            else:
                folded.add(item)
        folded.require_columns()
    standard_output().write(tables.FORMATS[form](folded).rstrip("\n") + "\n")
