"""``tlsweep check``: one or a few targets, or certificate files, for a person."""

from __future__ import annotations

import time
from typing import Any

import click
import orjson

from scanner.cli import language_option, standard_output
from scanner.cli import options as opt
from scanner.errors import UsageProblem
from scanner.model.findings import Finding


@click.command(no_args_is_help=True, short_help="Diagnose one or a few targets, or certificate files, for a person.")
@click.argument("targets", nargs=-1, metavar="HOST[:PORT]...")
@click.option("--json", "as_json", is_flag=True, help="Print findings, one JSON object a line.")
@click.option(
    "--chain", metavar="FILE", help="Judge certificate files (PEM, DER, PKCS #7) before they are deployed; no network."
)
@click.option("--host", metavar="NAME", help="With --chain: the name that the certificate is for.")
@opt.fail_on_option
@opt.options(opt.NETWORK_OPTIONS, opt.JUDGING_OPTIONS, opt.FETCHING_OPTIONS)
@language_option
@opt.config_option
def check(targets: tuple[str, ...], **given: Any) -> int:
    """Say what happens at each stage of connecting to a target, why it fails, and what to do.

    \b
    Examples:
      tlsweep check www.example.org
      tlsweep check smtp://mail.example.org:587 192.0.2.7:8443 --json
      tlsweep check --chain fullchain.pem --host www.example.org --at 2027-01-01
    """  # fmt: skip
    from scanner.cli.run_check import check_files, check_targets
    from scanner.cli.run_scan import matches_fail_on, parse_fail_on

    fail_on = parse_fail_on(given["fail_on"])
    if given["chain"]:
        if targets:
            raise UsageProblem("--chain judges files without a network: name no targets with it")
        findings = [check_files(given, time.time())]
    else:
        if not targets:
            raise UsageProblem("name at least one HOST[:PORT], or a file with --chain")
        if given["host"]:
            raise UsageProblem("--host goes with --chain")
        findings = check_targets(targets, given)
    _print(findings, as_json=given["as_json"], file=given["chain"])
    return 1 if any(matches_fail_on(finding, fail_on) for finding in findings) else 0


def _print(findings: list[Finding], *, as_json: bool, file: str | None) -> None:
    if as_json:
        for finding in findings:
            standard_output().buffer.write(orjson.dumps(finding, option=orjson.OPT_APPEND_NEWLINE))
        standard_output().buffer.flush()
        return
    from scanner.cli.finding_page import show

    show(findings, standard_output(), file=file)
