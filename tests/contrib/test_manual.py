"""The manual pages and the completion of the shells, by the programs that read them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import click
import pytest

from scanner.cli import COMMANDS, tlsweep
from scanner.cli.completion import VARIABLE
from tests.contrib.test_nightly import CONTRIB, PATIENCE, ROOT, tool

PAGES: Final = sorted((CONTRIB / "man").iterdir())
COMPLETIONS: Final = CONTRIB / "completions"


def output(words: list[str], **environment: str) -> str:
    done = subprocess.run(
        words,
        env={**os.environ, "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


def test_every_command_has_its_page() -> None:
    assert [page.name for page in PAGES] == sorted(["tlsweep.1", *(f"tlsweep-{name}.1" for name in COMMANDS)])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_man_shows_a_page_without_a_warning(page: Path) -> None:
    shown = output(
        [tool("man"), "--warnings", "--no-hyphenation", "--no-justification", "-l", str(page)],
        MANWIDTH="100",
        MANPAGER="cat",
    )
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"):
        assert f"\n{heading}\n" in shown, heading
    assert f"{page.stem} - " in shown
    name = page.stem.removeprefix("tlsweep").removeprefix("-")
    group = click.Context(tlsweep, info_name="tlsweep")
    command = tlsweep.get_command(group, name) if name else tlsweep
    assert command is not None
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert any(line.strip().startswith(option.opts[0]) for line in shown.splitlines()), option.opts
    for line in (command.help or "").splitlines():
        if line.strip().startswith("tlsweep "):  # an example
            assert line.strip() in shown
    assert max(map(len, shown.splitlines())) <= 140


# --- completion: each shell asks the command, which is this checkout's ------------------------------


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH in which tlsweep is the one of this checkout."""
    command = tmp_path / "bin" / "tlsweep"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m scanner "$@"\n')
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


# Words on the line, the last of which is being written -> some of what must be offered, some of what must not.
LINES: Final = [
    (["sc"], {"scan", "schema"}, {"stats"}),
    (["scan", "--re"], {"--resume", "--retries", "--resolver", "--revocation"}, {"--rate"}),
    (["scan", "--revocation", ""], {"off", "staple", "online"}, {"scan"}),
    (["scan", "--fail-on", "dns,any"], {"dns,any"}, {"any", "dns"}),
    (["explain", "certificate-exp"], {"certificate-expired"}, {"dns"}),
]


def check_offered(offered: set[str], wanted: set[str], unwanted: set[str]) -> None:
    assert wanted <= offered and not unwanted & offered, offered


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"), LINES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bash_completes(line: list[str], wanted: set[str], unwanted: set[str], path: str) -> None:
    script = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); complete -p tlsweep >/dev/null\n'
        'compopt() { :; }; _tlsweep_completion tlsweep; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    words = [tool("bash"), "--norc", "-c", script, "bash", str(COMPLETIONS / "tlsweep.bash"), "tlsweep", *line]
    check_offered(set(output(words, PATH=path).split()), wanted, unwanted)


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"), LINES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_zsh_completes(line: list[str], wanted: set[str], unwanted: set[str], path: str) -> None:
    """With functions of ours in place of the completion system's, which print what they are given."""
    script = (
        "compdef() { :; }\n"
        "_describe() { local -a offered; offered=(${(P)3}); print -rl -- ${offered%%:*}; }\n"
        "compadd() { print -rl -- ${(P)@[-1]}; }\n"
        'source "$1"; shift; words=("$@"); CURRENT=$#; _tlsweep_completion'
    )
    words = [tool("zsh"), "-f", "-c", script, "zsh", str(COMPLETIONS / "_tlsweep"), "tlsweep", *line]
    check_offered(set(output(words, PATH=path).split()), wanted, unwanted)


@pytest.mark.parametrize(
    ("line", "wanted", "unwanted"), LINES, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_fish_completes(line: list[str], wanted: set[str], unwanted: set[str], path: str, tmp_path: Path) -> None:
    script = f"source {COMPLETIONS / 'tlsweep.fish'}; complete -C '{' '.join(['tlsweep', *line])}'"
    words = [tool("fish"), "--no-config", "-c", script]
    offered = {one.partition("\t")[0] for one in output(words, PATH=path, HOME=str(tmp_path)).splitlines()}
    check_offered(offered, wanted, unwanted)


@pytest.mark.parametrize(
    "line",
    [
        "scan inv",
        "scan hosts.csv -o inv",
        "stats inv",
        "diff inv",
        "report inv",
        "check --chain inv",
        "load inv",
        "diagnose inv",
    ],
)
def test_files_are_offered_where_a_file_is_wanted(line: str, path: str) -> None:
    words = ["tlsweep", *line.split()]
    shown = output(
        ["tlsweep"],
        PATH=path,
        COMP_WORDS=" ".join(words),
        COMP_CWORD=str(len(words) - 1),
        **{VARIABLE: "bash_complete"},
    )
    assert shown == "file,inv\n"
