"""``tlsweep diff``: what is new, fixed, changed and still broken between runs."""

from __future__ import annotations

from collections.abc import Callable

import click

from scanner.cli import standard_output
from scanner.cli.completion import FILE_NAME
from scanner.cli.options import format_option
from scanner.errors import UsageProblem


@click.command(no_args_is_help=True)
@click.argument("findings", nargs=-1, required=True, type=FILE_NAME, metavar="OLD NEW...")
@format_option("How to print it.")
@click.option(
    "--fail-on",
    metavar="WHAT,...",
    help="Exit with 1 when a target is among these: new, changed, still_broken, worse, vanished, flapping, ...",
)
@click.option(
    "--webhook",
    metavar="URL",
    envvar="TLSWEEP_WEBHOOK",
    help="Post a summary (JSON) there: always, or with --fail-on where that matches. TLSWEEP_WEBHOOK in the environment "
    "does the same and is seen by nobody else.",
)
def diff(findings: tuple[str, ...], form: str, fail_on: str | None, webhook: str | None) -> int:
    """Compare two or more files of findings, the oldest first, target by target; '-' is standard input.

    Targets are joined by host, port, protocol, SNI, address and id, in whatever order the files have them. With more than
    two files, what changed is told between the first and the last, and which targets fail by turns.

    A temporary table is kept where TMPDIR says. A webhook is tried six times where its host is busy or not reached, and
    no redirect to another host is followed; where it does not take the message, the exit status is 2.

    \b
    Examples:
      tlsweep diff monday.ndjson tuesday.ndjson
      tlsweep diff last-good.ndjson.zst new.ndjson --fail-on new
      tlsweep diff week/*.ndjson --format json
      tlsweep diff old.ndjson new.ndjson --fail-on new --webhook https://alerts.example/hook
    """
    from scanner.fleet.diff.comparison import Diff
    from scanner.fleet.diff.diff_tables import FORMATS
    from scanner.fleet.diff.target_states import CATEGORIES

    words = {word.strip().replace("-", "_") for word in (fail_on or "").split(",") if word.strip()}
    for word in words:
        if word not in CATEGORIES:
            raise UsageProblem(f"--fail-on: {word!r} is none of {', '.join(CATEGORIES)}")
    send = _sender(webhook)
    with Diff(findings) as compared:
        out = standard_output()
        for part in FORMATS[form](compared):
            out.write(part)
        counts = compared.summary().counts
        matched = sorted(word for word in words if counts[word])
        if send is not None and (matched or not words):
            from scanner.fleet.diff.message import message

            out.flush()
            send(message(compared, matched))
    return 1 if matched else 0


def _sender(webhook: str | None) -> Callable[[bytes], object] | None:
    """Return what posts a message to the webhook, if there is one. Raises ``UsageProblem`` if the URL cannot be used."""
    if not webhook:
        return None
    from scanner.net.http.webhook import WebhookError, deliver, read_hook
    from scanner.run.stopping import run_until_signal

    try:
        hook = read_hook(webhook)
    except WebhookError as error:
        raise UsageProblem(f"--webhook: {error}") from None
    return lambda body: run_until_signal(deliver, hook, body)
