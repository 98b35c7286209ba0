"""Write docs/cli.md, the reference of the command line, from each command's own help.

python -m scripts.build_cli            # writes docs/cli.md
python -m scripts.build_cli --check    # exit 1 if the file is stale
"""

from __future__ import annotations

from pathlib import Path

import click

from scanner.cli import tlsweep
from scripts.generated import write_or_check

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

# Exit status of every command.
STATUSES = {
    0: "done",
    1: "done, and a target, or a row, is one that `--fail-on` names",
    2: "the command, its files or its output cannot be used (a full disk too), or a webhook failed; one line on standard error says why",
    3: "interrupted (Ctrl-C, SIGTERM, SIGHUP, no reader of the output or no network any more); what was done is kept, see `scan --resume`",
    70: "a fault of tlsweep itself; the lines on standard error are worth a report",
}
TABLE = "".join(f"| {status} | {meaning} |\n" for status, meaning in STATUSES.items())
HEAD = f"""# The command line

This page is made from the commands' own `--help` by `scripts/build_cli.py`; so are the manual pages in `contrib/man/`.

`tlsweep` and `python -m scanner` are the same command. Exit status of every command:

| status | meaning |
| --- | --- |
{TABLE}
An existing output is never overwritten without `--force`, and nothing is touched before everything else was found in order.
"""
# Wide enough that an option and its explanation share a line.
WIDTH = 110


def build() -> str:
    """Return the page."""
    group = click.Context(tlsweep, info_name="tlsweep", max_content_width=WIDTH, terminal_width=WIDTH)
    parts = [HEAD, _block("tlsweep", tlsweep.get_help(group))]
    for name in tlsweep.list_commands(group):
        command = tlsweep.get_command(group, name)
        assert command is not None
        context = click.Context(
            command, info_name=name, parent=group, max_content_width=WIDTH, terminal_width=WIDTH,
            help_option_names=["-h", "--help"],
        )  # fmt: skip
        parts.append(_block(f"tlsweep {name}", command.get_help(context)))
    return "".join(parts)


def _block(title: str, text: str) -> str:
    lines = "\n".join(line.rstrip() for line in text.splitlines())
    return f"\n## {title}\n\n```\n{lines}\n```\n"


if __name__ == "__main__":
    write_or_check(__doc__, [(TARGET, build())])
