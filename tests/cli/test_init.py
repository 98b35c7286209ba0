"""Help, version and usage errors of every command."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Final

import click
import pytest

from scanner.cli import COMMANDS, OWN_FAULT, tlsweep
from scanner.errors import UsageProblem
from scanner.fleet.diff.comparison import Diff
from scanner.net.outage import NetworkLost
from tests.cli.conftest import Call, Outcome, command, environment, refused, run_process

# Options that scripts rely on, as promised.
SCAN_AND_CHECK: Final = (
    "--output", "--concurrency", "--rate", "--rate-per-address", "--concurrency-per-address", "--timeout",
    "--connect-timeout", "--retries", "--workers", "--resolver", "--trust-store", "--public-roots", "--ct-logs",
    "--revocation", "--all-addresses", "--ipv4", "--ipv6", "--client-cert", "--client-key", "--expiry-warning", "--enumerate",
    "--protocol", "--port", "--resume", "--fail-on", "--certificates", "--exclude", "--private-urls", "--config",
    "--no-progress", "--at",
)  # fmt: skip
# They make no sense for one or a few targets, whose findings go to the terminal.
ONLY_SCAN: Final = frozenset({"--output", "--workers", "--resume", "--certificates", "--no-progress"})
OTHERS: Final = {
    "check": ("--json", "--chain", "--host", "--at"),
    "scan": ("-o", "--force"),
    "stats": ("--by", "--format"),
    "demo": ("--serve",),
}


def commands() -> dict[str, click.Command]:
    context = click.Context(tlsweep)
    found = {}
    for name in tlsweep.list_commands(context):
        command = tlsweep.get_command(context, name)
        assert command is not None
        found[name] = command
    return found


def options_of(command: click.Command) -> set[str]:
    return {word for param in command.params if isinstance(param, click.Option) for word in param.opts}


@pytest.mark.parametrize("option", SCAN_AND_CHECK)
def test_promised_options_exist(option: str) -> None:
    assert option in options_of(commands()["scan"])
    assert (option in options_of(commands()["check"])) == (option not in ONLY_SCAN)


@pytest.mark.parametrize(("command", "options"), OTHERS.items())
def test_promised_options_of_one_command_exist(command: str, options: tuple[str, ...]) -> None:
    assert set(options) <= options_of(commands()[command])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, call: Call) -> None:
    shown = call(name, "--help")

    assert shown.status == 0
    assert f"  tlsweep {name}" in shown.out
    assert "Example" in shown.out
    assert "Traceback" not in shown.err
    assert call(name, "-h").out == shown.out
    for line in shown.out.splitlines():
        assert len(line) <= 100, line


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_help(name: str) -> None:
    for param in commands()[name].params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, f"{name} {param.opts[0]}"


def test_the_list_of_commands_matches_the_commands(call: Call) -> None:
    shown = call("--help").out

    for name, each in commands().items():
        assert each.name == name
        assert f"  {name}  " in shown


def test_version_is_printed(call: Call) -> None:
    assert call("--version").out.startswith("tlsweep 0.")


def test_without_arguments_help_is_printed_with_status_2(call: Call) -> None:
    shown = call()

    assert (shown.status, shown.out) == (2, "")
    assert "tlsweep scan" in shown.err


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["nonsense"], "nonsense"),
        (["--nonsense"], "--nonsense"),
        (["scan", "hosts.csv", "--nonsense"], "--nonsense"),
        (["scan", "hosts.csv", "more.csv"], "more.csv"),
        (["stats", "findings.ndjson", "--format", "pdf"], "pdf"),
        (["scan", "hosts.csv", "--concurrency", "none"], "none"),
        (["scan", "hosts.csv", "--timeout", "nan"], "nan"),
        (["scan", "hosts.csv", "--rate", "-1"], "-1"),
        (["check"], ""),
        (["schema", "all"], "all"),
        (["diff", "a", "b"], "cannot read a"),
        (["scan\x1b[31m"], "scan\\x1b[31m"),
    ],
)
def test_usage_errors_are_one_line(words: list[str], names: str, call: Call) -> None:
    shown = call(*words)

    assert shown.status == 2
    assert names in shown.err
    assert "\x1b" not in shown.err
    if words != ["check"]:
        refused(shown)


WORDS: Final = (
    "scan", "check", "stats", "schema", "finding", "-", "--", "", " ", "-o", "--output", "--resume", "--force", "--by", "owner",
    "--workers", "0", "auto", "-1", "1e309", "nan", "--at", "99999999999999", "--trust-store", "/", "--resolver", "256.1.1.1",
    "--fail-on", ",,", "--protocol", "gopher", "--port", "70000", "--config", ".", "--chain", "--host", "a..b", "\udcff",
    "\x00", "\x1b]0;x\x07", "--exclude", "/dev/null", "--format", "json", "--ipv4", "--rate", "--help-me", "=", "--json", "--certificates",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(150))
def test_random_arguments_are_refused_in_one_line(
    seed: int, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)

    name = chance.choice(["scan", "check", "stats", "schema"])
    # what could be a target gets to no network: the resolver is none
    safe = [] if name in ("stats", "schema") else ["--resolver", "nowhere"]
    words = [name, *safe, *chance.choices(WORDS, k=chance.randint(1, 6))]
    shown = call(*words)

    assert shown.status == 2, (words, shown)
    assert "Traceback" not in shown.err
    assert "\x1b" not in shown.err + shown.out
    assert shown.err.count("\n") == 1 or shown.err.startswith("Usage"), shown.err
    assert list(tmp_path.iterdir()) == []


def test_python_m_scanner_is_the_same_command() -> None:
    done = run_process("--version")

    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"tlsweep ")


def shell(line: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    (directory / "hosts.txt").write_text("127.0.0.1:9\n")
    return subprocess.run(
        ["sh", "-c", line.replace("tlsweep", " ".join(command()))], cwd=directory, env={**environment(), **variables},
        capture_output=True, timeout=50, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "scan - <&-",
        "stats - <&-",
        "scan hosts.txt >&-",
        "check 127.0.0.1:9 >&-",
        "check --json 127.0.0.1:9 >&-",
        "schema finding >&-",
    ],
)
def test_a_closed_stream_that_is_needed_is_an_error(line: str, tmp_path: Path) -> None:
    done = shell(f"tlsweep {line}", tmp_path)

    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1, done.stderr


def test_a_closed_stream_that_is_not_needed_is_ignored(tmp_path: Path) -> None:
    assert shell("tlsweep scan hosts.txt -o out.ndjson <&- >&-", tmp_path).returncode == 0
    done = shell("tlsweep scan hosts.txt 2>&-", tmp_path)
    assert (done.returncode, done.stdout.count(b"\n")) == (0, 1)


def test_characters_that_the_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    done = shell("tlsweep check 'bücher… x'", tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="1")

    assert (done.returncode, done.stderr) == (0, b"")
    assert b"INVALID" in done.stdout


def test_a_bug_has_its_own_exit_status(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> int:
        raise RuntimeError("injected")

    monkeypatch.setattr("scanner.fleet.diff.comparison.Diff.__enter__", broken)

    outcome = call("diff", "one", "two")
    assert outcome.status == OWN_FAULT
    assert "RuntimeError: injected" in outcome.err
    assert outcome.err.splitlines()[-1].startswith("tlsweep: this is a fault of tlsweep itself")


@pytest.mark.parametrize(
    ("error", "status", "shown"),
    [
        (UsageProblem("no such thing"), 2, "tlsweep: no such thing\n"),
        (ExceptionGroup("nursery", [UsageProblem("no such\nthing\x1b")]), 2, "tlsweep: no such thing\\x1b\n"),
        (ExceptionGroup("nursery", [NetworkLost("no network for 300 s")]), 3, "tlsweep: no network for 300 s\n"),
        (ExceptionGroup("nursery", [BrokenPipeError()]), 3, ""),
        (OSError(28, "No space left on device"), 2, "tlsweep: [Errno 28] No space left on device\n"),
        (BaseExceptionGroup("nursery", [KeyboardInterrupt()]), 3, "tlsweep: interrupted\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reported_errors_are_one_line_with_their_exit_status(
    error: BaseException, status: int, shown: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(Diff, "__enter__", raising)
    assert call("diff", "one", "two") == Outcome(status, "", shown)
