"""``tlsweep demo``: a broken local fleet, scanned."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from scanner.cli import INTERRUPTED, language_option
from scanner.cli.completion import FILE_NAME
from scanner.process import signals

if TYPE_CHECKING:
    from scanner.demo.fleet import Fleet
    from scanner.model.findings import Finding
    from scanner.run.inventory_scan import ScanOptions


@click.command()
@click.argument("directory", required=False, type=FILE_NAME, metavar="[DIR]")
@click.option(
    "--serve", is_flag=True, help="Keep the servers up after the scan, for curl or a browser; Ctrl-C ends it."
)
@language_option
def demo(**given: Any) -> int:
    """Start local servers that are broken in every way known so far, and healthy ones; scan them like any inventory.

    Nothing but loopback is used. DIR (default: tlsweep-demo) then holds report.html, inventory.csv, roots.pem, ctlogs.json,
    findings.ndjson and certificates.ndjson.

    \b
    Examples:
      tlsweep demo
      tlsweep demo /tmp/fleet --serve
    """
    from scanner.demo.demo_scan import use_directory
    from scanner.run.stopping import run_until_signal

    path = use_directory(given["directory"] or "tlsweep-demo")
    return INTERRUPTED if run_until_signal(_demo, path, given["serve"]) else 0


async def _demo(path: Path, serve: bool) -> bool:
    """Run the demo; return whether its scan was interrupted."""
    import trio

    from scanner.cli.demo_page import show_findings
    from scanner.cli.scan import progress, scan, scan_options
    from scanner.cli.user_log import log
    from scanner.demo.demo_scan import scan_fleet
    from scanner.demo.fleet import run_fleet
    from scanner.fleet.stats.stats_tables import as_table
    from scanner.output import Unreadable, read_findings

    def parse(words: list[str]) -> ScanOptions:
        given = scan.make_context("scan", words).params
        return scan_options(given.pop("inventory"), given)

    announce = partial(click.echo, err=True)
    announce("Starting the fleet ...")
    async with run_fleet(path) as fleet:
        watched = progress() if sys.stderr.isatty() else None
        run = await scan_fleet(fleet, path, parse, watched, log, announce)
        findings = [item for item in read_findings([str(path / "findings.ndjson")]) if not isinstance(item, Unreadable)]
        show_findings(cast("list[Finding]", findings), fleet)
        click.echo("\n" + as_table(run.counts))
        await trio.to_thread.run_sync(_report, path)
        click.echo(
            f"Written to {path}: report.html, inventory.csv, roots.pem, ctlogs.json, findings.ndjson, certificates.ndjson"
        )
        if run.interrupted:
            click.echo("tlsweep: interrupted, the findings are not complete", err=True)
        elif serve:
            await _serve(fleet)
        return run.interrupted


def _report(path: Path) -> None:
    from scanner.report.build import build

    built = build([str(path / "findings.ndjson")], str(path / "report.html"), force=True)
    if built.no_charts is not None:
        click.echo(f"tlsweep: {built.no_charts}", err=True)


async def _serve(fleet: Fleet) -> None:
    import trio

    from scanner.cli.demo_page import show_commands

    # the signal is handled before anybody can have read how to end it
    ended = trio.Event()
    with signals.on_signal(partial(trio.lowlevel.current_trio_token().run_sync_soon, ended.set)):
        show_commands(fleet)
        await ended.wait()
