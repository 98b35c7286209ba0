"""``tlsweep diff``: what is new, fixed, changed and still broken between runs."""

from __future__ import annotations

import click

from scanner.cli import UsageProblem, standard_output
from scanner.cli.problems import one_line_problems


@click.command(no_args_is_help=True, short_help="What is new, fixed, changed and still broken between runs.")
@click.argument("findings", nargs=-1, required=True, metavar="OLD NEW...")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "markdown", "prometheus"]),
    default="table",
    show_default=True,
    help="How to print it.",
)
@click.option(
    "--fail-on",
    metavar="WHAT,...",
    help="Exit with 1 when a target is among these: new, changed, still-broken, worse, vanished, flapping, ...",
)
def diff(findings: tuple[str, ...], form: str, fail_on: str | None) -> int:
    """Compare two or more files of findings, the oldest first, target by target; '-' is standard input.

    Targets are joined by host, port, protocol, SNI, address and id, in whatever order the files have them. With more than
    two files, what changed is told between the first and the last, and which targets fail by turns.

    \b
    Examples:
      tlsweep diff monday.ndjson tuesday.ndjson
      tlsweep diff last-good.ndjson.zst new.ndjson --fail-on new
      tlsweep diff week/*.ndjson --format json
    """
    from scanner.fleet.diff import CATEGORIES, Diff
    from scanner.fleet.diff_tables import FORMATS

    words = {word.strip() for word in (fail_on or "").split(",") if word.strip()}
    for word in words:
        if word not in CATEGORIES:
            raise UsageProblem(f"--fail-on: {word!r} is none of {', '.join(CATEGORIES)}")
    with one_line_problems(), Diff(findings) as compared:
        out = standard_output()
        for part in FORMATS[form](compared):
            out.write(part)
        counts = compared.summary().counts if words else {}
    return 1 if any(counts.get(word) for word in words) else 0
