"""``tlsweep scan``: a whole inventory, one finding per target."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from scanner.cli import INTERRUPTED, language_option
from scanner.cli import options as opt
from scanner.cli.completion import FILE_NAME
from scanner.errors import UsageProblem

if TYPE_CHECKING:
    from scanner.run.inventory_scan import ScanOptions, ShowProgress


@click.command(no_args_is_help=True)
@click.argument("inventory", type=FILE_NAME)
@opt.output_option
@opt.force_option
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with an output that an earlier run left: rows that have a finding are not probed again.",
)
@opt.column_option
@click.option("--certificates", type=FILE_NAME, metavar="FILE", help="Each distinct certificate once, with its DER.")
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
    import trio

    from scanner.cli.user_log import log
    from scanner.net.clocks import LoopClock
    from scanner.process import signals
    from scanner.run.inventory_scan import InventoryScan

    run = InventoryScan(scan_options(inventory, given), log)
    watched = not given["no_progress"] and cast("TextIO | None", sys.stderr) is not None
    with signals.deferred():
        trio.run(run.run, progress() if watched and sys.stderr.isatty() else None, clock=LoopClock())
    if watched:
        from scanner.fleet.stats.stats_tables import as_table

        print(as_table(run.counts).rstrip("\n"), file=sys.stderr)
    if run.interrupted:
        rest = "" if given["output"] in (None, "-") else "; --resume goes on from here"
        log(f"interrupted, what was done is kept{rest}")
        return INTERRUPTED
    return 1 if run.matched else 0


def scan_options(inventory: str, given: dict[str, Any]) -> ScanOptions:
    """Return what the command line asks for. Raises ``UsageProblem``."""
    from scanner.cli.option_values import parse_columns, parse_workers, run_inputs, scan_config
    from scanner.cli.output_paths import refuse_scan_outputs
    from scanner.run.fail_on import parse_fail_on
    from scanner.run.inventory_scan import ScanOptions

    workers = parse_workers(given["workers"])
    options = ScanOptions(
        inventory=inventory,
        config=scan_config(given, workers),
        inputs=run_inputs(given),
        fail_on=parse_fail_on(given["fail_on"]),
        output=given["output"],
        certificates=given["certificates"] or None,
        force=given["force"],
        resume=given["resume"],
        workers=workers,
        brief=given["no_progress"],
        columns=parse_columns(given["column"]),
    )
    if given["force"] and given["resume"]:
        raise UsageProblem("--force and --resume exclude each other")
    refuse_scan_outputs(given, inventory)
    return options


def progress() -> ShowProgress:
    """Return what shows the progress on standard error."""
    from scanner.cli.progress import show_progress  # tqdm is only loaded for a terminal

    return partial(show_progress, stream=sys.stderr)
