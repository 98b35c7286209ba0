"""The command line: parse, call, print; no logic. Each command's module is imported when it is called."""

from __future__ import annotations

import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Final, TextIO, cast

import click

from scanner.cli.completion import VARIABLE
from scanner.errors import UsageProblem, reported_error
from scanner.language import LANGUAGES, locale_language, set_language
from scanner.process import signals
from scanner.process.limits import GC_THRESHOLD

# Command, which is a function in the module of its name -> what it does
COMMANDS: Final = {
    "scan": "Probe a whole inventory, one finding per target.",
    "inventory": "Say how an inventory would be read, before it is scanned.",
    "check": "Diagnose one or a few targets, or certificate files, for a person.",
    "stats": "Fleet-wide statistics per cause, from findings.",
    "diff": "What is new, fixed, changed and still broken between runs.",
    "report": "One self-contained page that explains a run.",
    "load": "Load findings into DuckDB, Parquet files or PostgreSQL.",
    "diagnose": "Judge recorded findings again, without the network.",
    "demo": "Start a broken local fleet, scan it, show what is wrong with each.",
    "schema": "Print the output's schema, machine-readable.",
    "explain": "What a cause, a code or a client's error means, and how to fix it.",
}

USAGE_ERROR: Final = 2
INTERRUPTED: Final = signals.INTERRUPTED
OWN_FAULT: Final = 70  # EX_SOFTWARE of sysexits.h, which no script takes for another status


def _set_language(_ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        set_language(value)


language_option = click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    expose_value=False,
    callback=_set_language,
    help="Language of the words for people. Default: the locale's (LC_ALL, LC_MESSAGES, LANG), else English.",
)


def standard_output() -> TextIO:
    """Return standard output. Raises ``UsageProblem`` if the process was started without one."""
    stream = cast("TextIO | None", sys.stdout)
    if stream is None:
        raise UsageProblem("cannot write standard output: it is closed")
    return stream


class _CommandGroup(click.Group):
    """Lists commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"scanner.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:  # click would print an empty line before ours
            raise click.Abort from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tlsweep", message="%(prog)s %(version)s", help="Print the version.")
def tlsweep() -> None:
    """Find out why TLS fails, on which hosts, and what to do: one finding per target of an inventory.

    \b
      tlsweep demo                              a broken local fleet, diagnosed
      tlsweep check expired.example             one host, for a person
      tlsweep scan hosts.csv -o findings.ndjson the whole inventory
      tlsweep stats findings.ndjson --by owner  which causes, whose hosts
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 ``--fail-on`` matched, 2 unusable, 3 interrupted, 70 a bug."""
    with signals.installed():
        return _main(argv)


def _main(argv: Sequence[str] | None) -> int:
    # loading modules makes ten thousands of objects and hardly any cycles: collecting them took a tenth of the start
    gc.set_threshold(GC_THRESHOLD)
    set_language(locale_language(os.environ))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # characters that the terminal's encoding lacks are shown as escapes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = tlsweep.main(list(sys.argv[1:] if argv is None else argv), prog_name="tlsweep", standalone_mode=False)
        if cast("TextIO | None", sys.stdout) is not None:
            sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help(), err=True)
        return USAGE_ERROR
    except click.ClickException as error:
        return _report(error.format_message(), USAGE_ERROR)
    except (click.Abort, KeyboardInterrupt):
        return _report("interrupted", INTERRUPTED)
    except SystemExit as stop:
        if VARIABLE in os.environ:  # click has printed completions for a shell
            return stop.code if isinstance(stop.code, int) else 0
        _discard_output()  # as click ends the process where the reader of our standard output has gone
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our standard output has gone, so there is nobody to report to
        _discard_output()
        return INTERRUPTED
    except OSError as error:
        _discard_output()
        return _report(str(error), USAGE_ERROR)
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is None:
            return _report("interrupted", INTERRUPTED)
        if group.split(BrokenPipeError)[1] is None:
            _discard_output()
            return INTERRUPTED
        return _report_failure(group)
    except Exception as error:  # noqa: BLE001 - Python would end with 1, which scripts take for --fail-on
        return _report_failure(error)
    return status if isinstance(status, int) else 0


def _report_failure(error: BaseException) -> int:
    """Report what a person can mend in one line, and a bug with all that is needed to find it."""
    problem = reported_error(error)
    if problem is not None:
        return _report(str(problem), problem.exit_status)
    if signals.came():
        return _report("interrupted", INTERRUPTED)
    import traceback

    traceback.print_exception(error)
    return _report("this is a fault of tlsweep itself; please report it with the lines above", OWN_FAULT)


def _report(text: str, status: int) -> int:
    """Print one harmless line on standard error and return ``status``; after a signal, errors are its consequences."""
    from scanner.text import printable

    if signals.came():
        text, status = "interrupted", INTERRUPTED
    # one line, whatever the message holds
    click.echo(f"tlsweep: {printable(' '.join(text.split()))}", err=True)
    return status


def _discard_output() -> None:
    """Discard what could not be written, so that the interpreter does not try again when it ends."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # a standard output that was replaced
