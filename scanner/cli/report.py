"""``tlsweep report``: one page that explains a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import click

from scanner.cli.completion import FILE_NAME
from scanner.cli.options import force_option
from scanner.cli.output_paths import refuse_overwriting


@click.command(no_args_is_help=True)
@click.argument("findings", nargs=-1, required=True, type=FILE_NAME)
@click.option(
    "--since", multiple=True, type=FILE_NAME, metavar="OLD",
    help="Findings of an earlier run: what changed since the latest of them, and the trend over all; repeatable.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=FILE_NAME, metavar="FILE", default="report.html", show_default=True,
    help="The page; '-' is standard output.",
)  # fmt: skip
@click.option(
    "--by", metavar="COLUMN", help="The column that tells whose a target is. Default: owner, team or the like, where there is one."
)  # fmt: skip
@force_option
def report(findings: tuple[str, ...], since: tuple[str, ...], output: str, by: str | None, force: bool) -> None:
    """Write one HTML page on one or more files of FINDINGS of one run; '-' is standard input.

    How many targets fail, for which causes, whose they are, what changed, what expires next, what several share, and a table
    of findings with evidence and remedy. The page loads nothing and can be sent as it is. Where there are more findings that
    are not in order than it has room for, all of them are in a file beside it (report-findings.csv).

    \b
    Examples:
      tlsweep report findings.ndjson
      tlsweep report tonight.ndjson --since yesterday.ndjson -o tonight.html
      tlsweep report thursday.ndjson --since tuesday.ndjson --since wednesday.ndjson --by team --force
    """
    from scanner.output import OutputClosed
    from scanner.output.rereadable import rereadable
    from scanner.report.build import build

    with ExitStack() as stack:
        refuse_what_is_read(output, (*findings, *since))
        names = findings
        if since:
            findings = tuple(stack.enter_context(rereadable(path)) for path in findings)
            since = tuple(stack.enter_context(rereadable(path)) for path in since)
        try:
            built = build(findings, output, since=since, by=by, force=force, names=names)
        except OutputClosed:  # the reader of our standard output has gone
            raise BrokenPipeError from None
    if built.no_charts is not None:
        click.echo(f"tlsweep: {built.no_charts}", err=True)
    if output != "-":
        click.echo(f"tlsweep: {built.summary_line()}", err=True)


def refuse_what_is_read(output: str, paths: Sequence[str]) -> None:
    """Raise ``UsageProblem`` if the page, or the file beside it, would overwrite an input."""
    from scanner.report.build import csv_name
    from scanner.text import quoted

    if output != "-":
        for written in (output, csv_name(output)):
            refuse_overwriting(
                "output", written, [(f"{quoted(path, 200)[1:-1]}, which is read", path) for path in paths]
            )
