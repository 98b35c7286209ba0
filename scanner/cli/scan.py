"""``tlsweep scan``: a whole inventory, one finding per target."""

from __future__ import annotations

import sys
from typing import Any

import click

from scanner.cli import language_option
from scanner.cli import options as opt


@click.command(no_args_is_help=True, short_help="Probe a whole inventory, one finding per target.")
@click.argument("inventory")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Findings, one JSON object a line; '-' or absent: standard output; .gz and .zst compress.",
)
@click.option("--force", is_flag=True, help="Overwrite an output that exists.")
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with an output that an earlier run left: rows that have a finding are not probed again.",
)
@click.option("--certificates", metavar="FILE", help="Each distinct certificate once, with its DER.")
@opt.fail_on_option
@click.option(
    "--workers",
    metavar="N|auto",
    default="1",
    show_default=True,
    help="Processes; auto is one per core. --rate, --concurrency and the limits per address are divided among them.",
)
@click.option("--no-progress", is_flag=True, help="No progress line, and no table at the end.")
@opt.options(opt.NETWORK_OPTIONS, opt.JUDGING_OPTIONS, opt.FETCHING_OPTIONS)
@language_option
@opt.config_option
def scan(inventory: str, **given: Any) -> int:
    """Probe every target of INVENTORY and write one finding per row, as they complete.

    INVENTORY is CSV with a header, NDJSON, or plain lines (host, host:port, URL), told apart by content; '-' is
    standard input. Scan only what you may: your own servers, or those whose owners agree.

    Exit status: 0 done; 1 done, and --fail-on matched; 2 the command or its files cannot be used; 3 interrupted, and
    --resume goes on.

    \b
    Examples:
      tlsweep scan hosts.csv -o findings.ndjson
      tlsweep scan hosts.csv -o findings.ndjson --resume
      zcat names.gz | tlsweep scan - --trust-store corp-ca.pem > findings.ndjson
    """  # fmt: skip
    from scanner.cli.run_scan import Run

    run = Run.prepare(inventory, given)
    return run.execute(show=not given["no_progress"], stream=sys.stderr)
