"""What ``tlsweep demo`` prints: the findings by cause, and how to look at the fleet."""

from __future__ import annotations

import shlex
from collections import defaultdict

import click

from scanner.demo.fleet import Fleet
from scanner.model.findings import CAUSES, DiagnosisRecord, Finding
from scanner.text import printable


def show_findings(findings: list[Finding], fleet: Fleet) -> None:
    """Print the findings by cause, and the cases that cannot be served on this machine."""
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
                click.echo(f"  {'':<6}{printable(leading_diagnosis(finding)['summary'])}")
    for case, reason in fleet.skipped:
        click.echo(f"\nLeft out here: {case.name}: {reason}", err=True)


def leading_diagnosis(finding: Finding) -> DiagnosisRecord:
    """Return the diagnosis that names the finding: its first error, else the first of all."""
    return next((item for item in finding["diagnoses"] if item["severity"] == "error"), finding["diagnoses"][0])


def show_commands(fleet: Fleet) -> None:
    """Print commands that look at the servers while they stay up."""
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
