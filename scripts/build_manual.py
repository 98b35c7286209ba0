"""Write what is installed beside the command, from the command itself: manual pages, and completion for three shells.

python -m scripts.build_manual            # writes contrib/man/ and contrib/completions/
python -m scripts.build_manual --check    # exit 1 if a file is stale
"""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

from scanner.cli import COMMANDS, tlsweep
from scanner.cli.completion import VARIABLE
from scripts.build_cli import STATUSES
from scripts.generated import write_or_check

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ROOT / "contrib" / "man"
COMPLETIONS: Final = ROOT / "contrib" / "completions"
# Shell -> the name of its file.
SHELLS: Final = {"bash": "tlsweep.bash", "zsh": "_tlsweep", "fish": "tlsweep.fish"}
ENVIRONMENT: Final = {
    "LC_ALL, LC_MESSAGES, LANG": "Language of the words for people: English, or Chinese where the first that is set begins with zh.",
    "NO_COLOR": "No colours on the terminal, whatever its value.",
    "TLSWEEP_WEBHOOK": "The address that tlsweep diff posts its summary to, as --webhook does.",
    "TMPDIR": "Where findings wait, and tables of a comparison or a load are made.",
    "XDG_CACHE_HOME": "What was fetched about certificates is kept in tlsweep below it; default: ~/.cache.",
}
FISH_SPLIT: Final = "string split"
SEE_ALSO: Final = {"openssl": "1", "curl": "1", "tlsweep": "1"}


def escaped(text: str) -> str:
    """Return text for a roff page: hyphens that can be copied, backslashes, and no line that looks like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"(?m)^(?=[.'])", r"\\&", text)


def paragraphs(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text as roff; one that begins with backspace (click's mark) keeps its lines."""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        if block.startswith("\b\n"):
            first, *rest = block[2:].splitlines()
            if first.endswith(":") and not first.startswith(" "):
                yield f".PP\n{escaped(first)}\n"
            else:
                rest = [first, *rest]
            lines = "\n".join(line.removeprefix("  ") for line in rest)
            yield f".PP\n.nf\n.RS 4\n{escaped(lines)}\n.RE\n.fi\n"
        else:
            yield f".PP\n{escaped(' '.join(block.split()))}\n"


def entries(pairs: dict[str, str]) -> str:
    """Return a list of terms with their explanations."""
    return "".join(f".TP\n.B {escaped(term)}\n{escaped(text)}\n" for term, text in pairs.items())


def page(name: str, command: click.Command, context: click.Context, summary: str, version: str) -> str:
    """Return the manual page of one command."""
    title = name.replace(" ", "-")
    usage = command.collect_usage_pieces(context)
    options = {
        left: " ".join(text.split())
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)) is not None
        for left, text in (record,)
    }
    parts = [
        f'.\\" Made by scripts/build_manual.py\n.TH "{title.upper()}" "1" "" "tlsweep {version}" "tlsweep"\n',
        f".SH NAME\n{escaped(title)} \\- {escaped(summary[0].lower() + summary[1:].rstrip('.'))}\n",
        f".SH SYNOPSIS\n.B {escaped(name)}\n{escaped(' '.join(usage))}\n",
        ".SH DESCRIPTION\n",
        *paragraphs(command.help or ""),
        f".SH OPTIONS\n{entries(options)}",
    ]
    if isinstance(command, click.Group):
        listed = {f"tlsweep-{one}(1)": text for one, text in COMMANDS.items()}
        parts.append(f".SH COMMANDS\n{entries(listed)}")
    parts.append(
        f".SH EXIT STATUS\n{entries({str(status): text.replace('`', '') for status, text in STATUSES.items()})}"
    )
    parts.append(f".SH ENVIRONMENT\n{entries(ENVIRONMENT)}")
    others = ", ".join(f"\\fB{one}\\fR({section})" for one, section in SEE_ALSO.items() if one != title)
    parts.append(f".SH SEE ALSO\n{others}\n")
    return "".join(parts)


def manual() -> Iterator[tuple[Path, str]]:
    """Yield each page with its path: of the command, and of each of its commands."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    group = click.Context(tlsweep, info_name="tlsweep", **settings)
    summary = inspect.cleandoc(tlsweep.help or "").split("\n\n")[0].replace("\n", " ").partition(":")[0]
    yield PAGES / "tlsweep.1", page("tlsweep", tlsweep, group, summary, version)
    for name, text in COMMANDS.items():
        command = tlsweep.get_command(group, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=group, **settings)
        yield PAGES / f"tlsweep-{name}.1", page(f"tlsweep {name}", command, context, text, version)


def completions() -> Iterator[tuple[Path, str]]:
    """Yield each shell's completion with its path, as click writes it."""
    for shell, name in SHELLS.items():
        made = get_completion_class(shell)
        assert made is not None
        source = made(tlsweep, {}, "tlsweep", VARIABLE).source().strip()
        if shell == "fish":
            # what is offered may have commas of its own, as --fail-on has
            assert FISH_SPLIT in source
            source = source.replace(FISH_SPLIT, f"{FISH_SPLIT} --max 1")
        yield COMPLETIONS / name, source + "\n"


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    COMPLETIONS.mkdir(exist_ok=True)
    write_or_check(__doc__, [*manual(), *completions()])
