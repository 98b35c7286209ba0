"""Whatever a process meets from outside (signals, full disks, streams that are gone, few files) ends as documented."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scanner.output import read_findings
from tests.cli.conftest import Call, command, environment

COUNT = 120


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.txt"
    path.write_text("".join(f"127.5.0.{number}:9\n" for number in range(1, COUNT + 1)))
    return path


def rows(path: Path) -> list[int]:
    return sorted(item["target"]["row"] for item in read_findings([str(path)]) if isinstance(item, dict))


def left_behind(group: int) -> bool:
    """Whether a process of the group is still there, after some patience."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_full_disk_loses_nothing(suffix: str, workers: str, inventory: Path, tmp_path: Path, call: Call) -> None:
    output, certificates = tmp_path / f"findings.ndjson{suffix}", tmp_path / f"certificates.ndjson{suffix}"
    scan = ["scan", str(inventory), "-o", str(output), "--certificates", str(certificates), "--workers", workers]
    size = 60_000 if not suffix else 4_000

    for words in (["--rate", "150"], ["--rate", "150", "--resume"]):
        done = subprocess.run(
            command(*scan, *words, "--no-progress"), env=environment(), capture_output=True, timeout=50, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
        )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert b"--resume" in done.stderr
        assert output.stat().st_size <= size
        assert len(rows(output)) < COUNT if output.stat().st_size else True

    assert call(*scan, "--resume", "--no-progress").status == 0
    assert rows(output) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_a_signal_at_any_moment_ends_a_scan_with_3(
    words: list[str], inventory: Path, tmp_path: Path, call: Call
) -> None:
    output = tmp_path / "findings.ndjson"
    scan = ["scan", str(inventory), "-o", str(output), "--no-progress", *words]
    chance = random.Random(7)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        for again in (False, True):
            with subprocess.Popen(
                [*command(*scan, "--rate", "20"), *(["--resume"] if output.exists() else [])],
                env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            ) as process:  # fmt: skip
                time.sleep(chance.uniform(0.4, 1.2))
                process.send_signal(number)
                if again:
                    time.sleep(chance.uniform(0, 0.1))
                    process.send_signal(signal.SIGHUP)
                _, shown = process.communicate(timeout=30)
            assert process.returncode == 3, shown
            assert b"Traceback" not in shown
            assert shown.count(b"\n") == 1, shown
            assert not left_behind(process.pid)
    assert call(*scan, "--resume").status == 0
    assert rows(output) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("name", ["stats", "diff", "report", "load", "diagnose", "demo", "check"])
def test_a_signal_while_modules_are_loaded_or_files_read_ends_a_command_with_3(name: str, tmp_path: Path) -> None:
    place = tmp_path / "findings"
    os.mkfifo(place)  # nobody writes to it, so whoever reads waits
    more: dict[str, list[object]] = {
        "diff": [place], "load": ["--to", f"duckdb:{tmp_path}/x"], "report": ["-o", tmp_path / "r.html"],
        "diagnose": ["-o", tmp_path / "d"],
    }  # fmt: skip
    words: dict[str, list[object]] = {
        "demo": [tmp_path / "demo"],
        "check": ["127.0.0.1:9", "--resolver", "127.0.0.1:9", "--rate", "0.01"],
    }
    # Python closes a module's file, and the demo its sockets, at the end of the process if a signal comes while they are opened
    warnings = {"PYTHONWARNINGS": "error,ignore:unclosed:ResourceWarning"}
    for moment, number in ((0.4, signal.SIGTERM), (1.0, signal.SIGHUP)):
        with subprocess.Popen(
            command(name, *words.get(name, [place]), *more.get(name, [])),
            env={**environment(), **warnings}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        ) as process:  # fmt: skip
            time.sleep(moment)
            process.send_signal(number)
            _, shown = process.communicate(timeout=30)
        assert process.returncode == 3 or (name == "check" and process.returncode == 0), (name, shown)
        assert b"Traceback" not in shown
        assert not left_behind(process.pid)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_closed_pipe_ends_a_scan_with_3(workers: str, inventory: Path) -> None:
    with subprocess.Popen(
        command("scan", inventory, "--workers", workers, "--no-progress", "--rate", "20"),
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"{")
        process.stdout.close()
        assert process.stderr is not None
        shown = process.stderr.read()
        assert process.wait(timeout=30) == 3
    assert shown.count(b"\n") == 1, shown
    assert not left_behind(process.pid)


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_standard_error_never_changes_the_status(redirection: str, inventory: Path, tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson"
    for words, status in (
        (["scan", str(inventory), "-o", str(output)], 0),
        (["scan", str(inventory), "-o", str(output), "--force", "--fail-on", "any", "--workers", "2"], 1),
        (["stats", str(output)], 0),
        (["stats", str(tmp_path / "nowhere")], 2),
        (["report", str(output), "-o", str(tmp_path / "r.html")], 0),
        (["nonsense"], 2),
    ):
        line = f'exec "$0" "$@" {redirection}'
        done = subprocess.run(
            ["sh", "-c", line, *command(*words)], env=environment(), capture_output=True, timeout=50, check=False
        )
        assert done.returncode == status, (words, done)
    assert rows(output) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_low_file_limit_causes_no_findings(workers: str, tmp_path: Path) -> None:
    """Names at a resolver that says nothing hold a socket each; addresses one too."""
    hosts, output = tmp_path / "hosts.txt", tmp_path / "findings.ndjson"
    hosts.write_text("".join(f"127.6.0.{number}:9\nname{number}.example\n" for number in range(1, 100)))
    done = subprocess.run(
        command("scan", hosts, "-o", output, "--workers", workers, "--no-progress", "--resolver", "127.0.0.1:9"),
        env=environment(), capture_output=True, timeout=50, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    findings = [item for item in read_findings([str(output)]) if isinstance(item, dict)]
    assert len(findings) == 198
    # an error may only be about the resolver, which answers nothing
    assert all("resolver 127.0.0.1:9" in item.get("error", "resolver 127.0.0.1:9") for item in findings)
    assert not any("file" in str(diagnosis) for item in findings for diagnosis in item["diagnoses"])


@pytest.mark.parametrize("count", [3, 40, COUNT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_reader_that_goes_away_early_ends_a_scan_with_3(count: int, workers: str, tmp_path: Path) -> None:
    path = tmp_path / "hosts.txt"
    path.write_text("".join(f"127.5.0.{number}:9\n" for number in range(1, count + 1)))
    words = command("scan", path, "-o", "-", "--no-progress", "--fail-on", "any", "--workers", workers)
    for taken in (0, 1, 2):
        reading, writing = os.pipe()
        with subprocess.Popen(words, env=environment(), stdout=writing, stderr=subprocess.PIPE) as process:
            os.close(writing)
            while taken and os.read(reading, 1) != b"\n":
                pass
            os.close(reading)
            assert process.stderr is not None
            told = process.stderr.read()
        assert process.returncode == 3, told
        assert told.count(b"\n") == 1 and b"kept" in told


def test_a_signal_while_modules_are_loaded_ends_in_one_line(inventory: Path) -> None:
    """From the moment at which the first line of our own has run. Before, it is the interpreter's own start that is interrupted."""
    program = (
        "import scanner.__main__ as start, os, signal, sys; os.kill(os.getpid(), signal.{}); sys.exit(start.run())"
    )
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        done = subprocess.run(
            [sys.executable, "-c", program.format(name), "scan", str(inventory)],
            env=environment(), capture_output=True, timeout=50, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"tlsweep: interrupted\n")


def test_signals_reach_what_the_program_starts(tmp_path: Path) -> None:
    """They are only held back until there is a handler."""
    program = (
        "import signal, scanner.__main__ as start\n"
        "from scanner import cli\n"
        "cli.main = lambda: print(signal.pthread_sigmask(signal.SIG_BLOCK, ())) or 0\n"
        "start.run()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, timeout=50, check=True
    )
    assert done.stdout == b"set()\n"
