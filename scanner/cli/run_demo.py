"""The work of ``tlsweep demo``: bring the fleet up, scan its inventory with the code of ``tlsweep scan``, show what was found."""

from __future__ import annotations

import shlex
import sys
import time
from collections import defaultdict
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, cast

import click
import trio
from msgspec.structs import replace

from scanner.cli import INTERRUPTED
from scanner.cli.run_scan import Run
from scanner.cli.scan import scan
from scanner.cli.stopping import run_until_signal
from scanner.demo.fleet import Fleet, run_fleet
from scanner.errors import UsageProblem
from scanner.fleet.stats.stats_tables import as_table
from scanner.model.findings import CAUSES, DiagnosisRecord, Finding
from scanner.output import Unreadable, read_findings
from scanner.process import signals
from scanner.report.build import make
from scanner.report.svg import MISSING
from scanner.text import printable

# Files of DIR that the demo makes; a directory with other contents is somebody's own and is left alone.
FILES: Final = frozenset(
    {"inventory.csv", "roots.pem", "ctlogs.json", "findings.ndjson", "certificates.ndjson", "report.html"}
)


# Its DNS server is on this machine: what has not answered by then never will. Seconds.
DNS_PATIENCE: Final = 2.0


def stage(directory: str, *, serve: bool) -> int:
    """Run the demo in ``directory``; returns the exit status."""
    path = Path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
        foreign = {entry.name for entry in path.iterdir()} - FILES
    except OSError as error:
        raise UsageProblem(f"cannot use {directory}: {error.strerror}") from None
    if foreign:
        raise UsageProblem(f"{directory} holds other files ({sorted(foreign)[0]}): name an empty or a new directory")
    interrupted = False

    async def run() -> None:
        nonlocal interrupted
        interrupted = await _stage(path, serve)

    run_until_signal(run)
    return INTERRUPTED if interrupted else 0


async def _stage(path: Path, serve: bool) -> bool:
    """The demo; returns whether its scan was interrupted."""
    click.echo("Starting the fleet ...", err=True)
    async with run_fleet(path) as fleet:
        given = scan.make_context("scan", _command_line(fleet, path)).params
        run = Run.prepare(given.pop("inventory"), given)
        run.config = replace(run.config, dns_patience=DNS_PATIENCE)
        by_another_clock = {row.host: row.case.clock_off for row in fleet.rows if row.case.clock_off}
        run.rows = (row for row in run.rows if row.host not in by_another_clock)
        await run.scan_all(progress=sys.stderr.isatty())
        for clock_off in sorted(set(by_another_clock.values())):
            if not run.interrupted:
                run = await _as_seen_by(fleet, path, clock_off, run)
        findings = [item for item in read_findings([str(path / "findings.ndjson")]) if not isinstance(item, Unreadable)]
        _show(cast("list[Finding]", findings), fleet)
        click.echo("\n" + as_table(run.stats))
        await trio.to_thread.run_sync(_report, path)
        click.echo(
            f"Written to {path}: report.html, inventory.csv, roots.pem, ctlogs.json, findings.ndjson, certificates.ndjson"
        )
        if run.interrupted:
            click.echo("tlsweep: interrupted, the findings are not complete", err=True)
        elif serve:
            await _serve(fleet)
        return run.interrupted


async def _as_seen_by(fleet: Fleet, path: Path, clock_off: timedelta, before: Run) -> Run:
    """What the inventory has that only a machine with a wrong clock sees: the same scan taken up again, by such a clock."""
    click.echo(
        f"Once more, by a clock that is {abs(clock_off.days)} days {'behind' if clock_off.days < 0 else 'ahead'} ...",
        err=True,
    )
    given = scan.make_context("scan", _command_line(fleet, path, again=True)).params
    run = Run.prepare(given.pop("inventory"), given)
    run.config = replace(run.config, dns_patience=DNS_PATIENCE)
    run.clock = lambda: time.time() + clock_off.total_seconds()
    run.fragments = before.fragments  # what stands whole in the file already does so once
    await run.scan_all(progress=False)
    return run


def _command_line(fleet: Fleet, path: Path, *, again: bool = False) -> list[str]:
    """The scan as a person would type it."""
    words = [str(fleet.inventory), "-o", str(path / "findings.ndjson"), "--resume" if again else "--force"]
    for server in fleet.time_servers:
        words += ["--ntp", server]
    words += ["--certificates", str(path / "certificates.ndjson")]
    words += ["--resolver", fleet.resolver, "--trust-store", str(fleet.roots)]
    words += ["--public-roots", str(fleet.roots), "--ct-logs", str(fleet.ct_logs)]
    for name, value in fleet.config_hints.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return words


def _show(findings: list[Finding], fleet: Fleet) -> None:
    by_cause: dict[str | None, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_cause[finding["cause"]].append(finding)
    for cause in (None, *CAUSES):
        group = sorted(by_cause.get(cause, []), key=lambda finding: finding["target"]["row"])
        if not group:
            continue
        click.echo()
        click.secho(cause or "no error", bold=True)
        for finding in group:
            target = finding["target"]
            codes = ", ".join(diagnosis["code"] for diagnosis in finding["diagnoses"]) or finding["outcome"]
            name = f"{target['host']}:{target['port']}"
            click.echo(f"  {printable(name):<46} {codes}")
            if finding["diagnoses"]:
                click.echo(f"  {'':<6}{printable(_first(finding)['summary'])}")
    for case, reason in fleet.skipped:
        click.echo(f"\nLeft out here: {case.name}: {reason}", err=True)


def _report(path: Path) -> None:
    if not make([str(path / "findings.ndjson")], str(path / "report.html"), force=True).drawn:
        click.echo(f"tlsweep: {MISSING}", err=True)


def _first(finding: Finding) -> DiagnosisRecord:
    """What names the finding: its first error, else the first of all."""
    return next((item for item in finding["diagnoses"] if item["severity"] == "error"), finding["diagnoses"][0])


async def _serve(fleet: Fleet) -> None:
    # listened for before anybody can have read how to end it
    ended = trio.Event()
    with signals.on_signal(partial(trio.lowlevel.current_trio_token().run_sync_soon, ended.set)):
        _tell_how_to_look(fleet)
        await ended.wait()


def _tell_how_to_look(fleet: Fleet) -> None:
    click.echo(f"\nThe servers stay up; their DNS is {fleet.resolver}. Ctrl-C ends them.")
    click.echo("One of them on a page, any row of the inventory in the place of the last word:")
    broken = next((row for row in fleet.rows if row.case.name == "expired"), fleet.rows[0])
    roots, logs = shlex.quote(str(fleet.roots)), shlex.quote(str(fleet.ct_logs))
    options = f"--resolver {fleet.resolver} --trust-store {roots} --public-roots {roots} --ct-logs {logs}"
    click.echo(f"  tlsweep check {options} {broken.host}:{broken.port}")
    click.echo("With another client:")
    for row in fleet.rows:
        command = row.curl(fleet.roots)
        if command:
            click.echo(f"  {command}")
