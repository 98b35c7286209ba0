"""``tlsweep demo``: a broken local fleet, scanned."""

from __future__ import annotations

from typing import Any

import click

from scanner.cli import language_option


@click.command(short_help="Start a broken local fleet, scan it, show what is wrong with each.")
@click.argument("directory", required=False, metavar="[DIR]")
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
    from scanner.cli.run_demo import stage

    return stage(given["directory"] or "tlsweep-demo", serve=given["serve"])
