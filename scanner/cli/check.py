"""``tlsweep check``: one or a few targets, or certificate files, for a person."""

from __future__ import annotations

import time
from typing import Any

import click
import orjson

from scanner.cli import language_option, standard_output
from scanner.cli import options as opt
from scanner.cli.completion import FILE_NAME
from scanner.errors import UsageProblem
from scanner.model.findings import Finding


@click.command(no_args_is_help=True)
@click.argument("targets", nargs=-1, metavar="HOST[:PORT]...")
@click.option("--json", "as_json", is_flag=True, help="Print findings, one JSON object a line.")
@click.option(
    "--chain",
    type=FILE_NAME,
    metavar="FILE",
    help="Judge certificate files (PEM, DER, PKCS #7) before they are deployed; no network.",
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
    from scanner.cli.option_values import run_inputs, scan_config
    from scanner.cli.user_log import log
    from scanner.run.check import check_certificates, check_targets
    from scanner.run.fail_on import FailOn, parse_fail_on
    from scanner.run.stopping import run_until_signal

    fail_on = FailOn(parse_fail_on(given["fail_on"]))
    chain = given["chain"]
    if chain and targets:
        raise UsageProblem("--chain judges files without a network: name no targets with it")
    if not chain and not targets:
        raise UsageProblem("name at least one HOST[:PORT], or a file with --chain")
    if not chain and given["host"]:
        raise UsageProblem("--host goes with --chain")
    config, inputs = scan_config(given), run_inputs(given)
    if chain:
        findings = [check_certificates(chain, given["host"], config, inputs, time.time(), log)]
    else:
        findings = run_until_signal(check_targets, targets, config, inputs, log)
    _print(findings, as_json=given["as_json"], file=chain)
    for finding in findings:
        fail_on.add(finding)
    return 1 if fail_on.matched else 0


def _print(findings: list[Finding], *, as_json: bool, file: str | None) -> None:
    if as_json:
        for finding in findings:
            standard_output().buffer.write(orjson.dumps(finding, option=orjson.OPT_APPEND_NEWLINE))
        standard_output().buffer.flush()
        return
    from scanner.cli.finding_page import show

    show(findings, standard_output(), file=file)
