"""``tlsweep diagnose``: recorded findings judged again, without the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from scanner.cli import INTERRUPTED, language_option
from scanner.cli import options as opt
from scanner.cli.completion import FILE_NAME
from scanner.cli.output_paths import refuse_overwriting
from scanner.language import current_language
from scanner.text import quoted


@click.command(no_args_is_help=True)
@click.argument("findings", nargs=-1, required=True, type=FILE_NAME)
@opt.output_option
@opt.force_option
@click.option(
    "--certificates",
    multiple=True,
    type=FILE_NAME,
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
    from scanner.cli.user_log import log
    from scanner.output import OutputClosed
    from scanner.rejudge.judging_options import JudgingOptions
    from scanner.rejudge.rewrite import rewrite
    from scanner.run.fail_on import FailOn, parse_fail_on

    fail_on = FailOn(parse_fail_on(given["fail_on"]))
    _refuse_output(findings, given)
    directories = list(dict.fromkeys(os.path.dirname(path) or "." for path in findings if path != "-"))
    options = JudgingOptions(_chosen_values(given), beside=directories, log=log)
    try:
        changes = rewrite(
            findings, options, given["certificates"], given["output"], force=given["force"], on_finding=fail_on.add
        )
    except OutputClosed:  # the reader of our standard output has gone, as after `| head`
        return INTERRUPTED
    for line in changes.lines():
        log(line)
    return 1 if fail_on.matched else 0


def _chosen_values(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, by name, as ``ScanConfig`` and ``RunInputs`` have them.

    Raises a ``TlsweepError`` if a file that they name cannot be used.
    """
    from scanner.cli.option_values import parse_time
    from scanner.rejudge.judging_options import FILE_OPTIONS
    from scanner.run.inputs import RunInputs, make_transparency, make_verifier

    ctx = click.get_current_context()
    default = (click.core.ParameterSource.DEFAULT, None)
    values = {
        "at": None if given["at"] is None else parse_time(given["at"]),
        "expiry_warning": given["expiry_warning"],
        "revocation": given["revocation"],
        "lang": current_language(),
        **{name: given[name] for name in FILE_OPTIONS},
    }
    chosen = {name: value for name, value in values.items() if ctx.get_parameter_source(name) not in default}
    files = {FILE_OPTIONS[name]: value for name, value in chosen.items() if name in FILE_OPTIONS and value}
    if files:  # checked before findings are read for minutes
        make_verifier(RunInputs(**files))
        make_transparency(RunInputs(**files))
    return chosen


def _refuse_output(paths: Sequence[str], given: dict[str, Any]) -> None:
    """Raise a ``TlsweepError`` if the output is read too, or exists already."""
    from scanner.output import OutputExists, check_output
    from scanner.output.draft import exists
    from scanner.rejudge.judging_options import FILE_OPTIONS

    output = given["output"]
    if output in (None, "-"):
        return
    read = [*paths, *given["certificates"]]
    for name in FILE_OPTIONS:
        read += [given[name]] if isinstance(given[name], str) else list(given[name] or ())
    refuse_overwriting("output", output, [(f"{quoted(path, 200)[1:-1]}, which is read", path) for path in read])
    try:
        check_output(output, force=given["force"])
    except OutputExists:
        raise exists(output) from None  # this command has no --resume
