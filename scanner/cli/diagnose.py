"""``tlsweep diagnose``: recorded findings judged again, without the network."""

from __future__ import annotations

from typing import Any

import click

from scanner.cli import language_option
from scanner.cli import options as opt


@click.command(no_args_is_help=True, short_help="Judge recorded findings again, without the network.")
@click.argument("findings", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Findings, one JSON object a line; '-' or absent: standard output; .gz and .zst compress.",
)
@click.option("--force", is_flag=True, help="Overwrite an output that exists.")
@click.option(
    "--certificates",
    multiple=True,
    metavar="FILE",
    help="What --certificates of a scan wrote, where FINDINGS were taken out of a larger file; repeatable.",
)
@opt.fail_on_option
@opt.options(opt.JUDGING_OPTIONS)
@opt.config_option
@language_option
def diagnose(findings: tuple[str, ...], **given: Any) -> int:
    """Judge FINDINGS again with today's rules, trust stores and log list, and write them in their order.

    Nothing is contacted: everything is judged by what the findings say was seen, at the time at which it was seen, and with the
    options of the run that saw it unless others are given here. Where nothing has changed, the answer is the same; what only
    a fleet can say (clocks, interception) is said by all that the files hold. '-' is standard input.

    Exit status: 0 done; 1 done, and --fail-on matched; 2 the command or its files cannot be used; 3 interrupted.

    \b
    Examples:
      tlsweep diagnose findings.ndjson -o today.ndjson
      tlsweep diagnose findings.ndjson --trust-store new-roots.pem | tlsweep stats -
      tlsweep diagnose findings.ndjson --at 2027-03-01 --fail-on expired-or-self-signed -o /dev/null
    """  # fmt: skip
    from scanner.cli.run_diagnose import rejudge

    ctx = click.get_current_context()
    default = (click.core.ParameterSource.DEFAULT, None)
    chosen = {name for name in (*given, "lang") if ctx.get_parameter_source(name) not in default}
    return rejudge(findings, given, chosen)
