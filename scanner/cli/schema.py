"""``tlsweep schema``: the output's schema, machine-readable."""

from __future__ import annotations

from importlib import resources

import click

from scanner.cli import UsageProblem, standard_output


@click.command(no_args_is_help=True, short_help="Print the output's schema, machine-readable.")
@click.argument("what", type=click.Choice(["finding", "stats", "ddl"]))
def schema(what: str) -> None:
    """Print the JSON Schema of a finding (schema tlsweep/1).

    \b
    Example:
      tlsweep schema finding > finding.schema.json
    """
    if what != "finding":
        raise UsageProblem(f"'schema {what}' is not part of this version yet")
    standard_output().write((resources.files("scanner") / "data" / "finding.schema.json").read_text("utf-8"))
