"""A killed run is resumed without losing or repeating a row."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import orjson
import pytest

from tests.cli.conftest import Call, command, environment, refused
from tests.cli.test_scan import findings, rows

COUNT = 60


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """Closed ports, each on an address of its own; slow enough to be killed in mid-run by --rate."""
    path = tmp_path / "hosts.txt"
    path.write_text("".join(f"127.4.0.{number}:9\n" for number in range(1, COUNT + 1)))
    return path


@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_a_killed_run_is_resumed(words: list[str], inventory: Path, tmp_path: Path, call: Call) -> None:
    output, certificates = tmp_path / "findings.ndjson", tmp_path / "certificates.ndjson"
    scan = ["scan", str(inventory), "-o", str(output), "--certificates", str(certificates), *words]
    with subprocess.Popen(command(*scan, "--rate", "40"), env=environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 20
        while not output.exists() or output.read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    before = output.read_bytes()
    assert before.count(b"\n") < COUNT
    output.write_bytes(before + before[: len(before) // before.count(b"\n") // 2])  # a line torn in the middle

    assert call(*scan, "--resume").status == 0

    assert output.read_bytes().startswith(before)
    assert rows(output) == list(range(1, COUNT + 1))
    assert len({finding["run"] for finding in findings(output)}) == 2

    whole = output.read_bytes()
    shown = call(*scan, "--resume")
    assert shown.status == 0
    assert output.read_bytes() == whole
    assert f"{COUNT} findings" in shown.err  # the table is of the whole output


def test_a_changed_inventory_is_refused(inventory: Path, tmp_path: Path, call: Call) -> None:
    output = tmp_path / "findings.ndjson"
    assert call("scan", inventory, "-o", output).status == 0
    whole = output.read_bytes()
    lines = inventory.read_text().splitlines(keepends=True)
    inventory.write_text("".join([lines[0], "127.4.1.1:9\n", *lines[1:]]))

    assert "row 2 " in refused(call("scan", inventory, "-o", output, "--resume", "--no-progress"))
    assert output.read_bytes() == whole


def test_rows_added_at_the_end_are_scanned(inventory: Path, tmp_path: Path, call: Call) -> None:
    output = tmp_path / "findings.ndjson"
    assert call("scan", inventory, "-o", output).status == 0
    inventory.write_text(inventory.read_text() + "127.4.1.1:9\n")

    assert call("scan", inventory, "-o", output, "--resume").status == 0
    assert rows(output) == list(range(1, COUNT + 2))


def test_resume_without_an_output_starts_one(inventory: Path, tmp_path: Path, call: Call) -> None:
    output = tmp_path / "findings.ndjson"

    assert call("scan", inventory, "-o", output, "--resume").status == 0
    assert rows(output) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_a_signal_ends_the_run_and_keeps_what_was_done(
    stop: signal.Signals, words: list[str], inventory: Path, tmp_path: Path, call: Call
) -> None:
    output = tmp_path / "findings.ndjson"
    scan = ["scan", str(inventory), "-o", str(output), "--no-progress", *words]
    with subprocess.Popen(
        command(*scan, "--rate", "40"), env=environment(), stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 20
        while not output.exists() or output.read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(stop)
        _, shown = process.communicate(timeout=20)

    assert process.returncode == 3
    assert shown.decode().count("\n") == 1, shown
    assert "--resume" in shown.decode()
    done = len(findings(output))
    assert 5 <= done < COUNT
    assert call(*scan, "--resume").status == 0
    assert rows(output) == list(range(1, COUNT + 1))


def test_worker_processes_end_when_their_parent_is_killed(inventory: Path, tmp_path: Path) -> None:
    output = tmp_path / "findings.ndjson"
    with subprocess.Popen(
        command("scan", inventory, "-o", output, "--workers", "2", "--rate", "20"),
        env=environment(), stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        deadline = time.monotonic() + 20
        while not output.exists() or not output.read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
        # the workers hold the other end of standard error until they are gone
        _, shown = process.communicate(timeout=20)

    assert shown == b"" or b"Traceback" not in shown
    assert orjson.loads(output.read_bytes().splitlines()[0])["schema"] == "tlsweep/1"


@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_waiting_for_input_can_be_interrupted(words: list[str]) -> None:
    with subprocess.Popen(
        command("scan", "-", "--no-progress", *words), env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        process.stdin.write(b"127.0.0.1:9\n")
        process.stdin.flush()
        first = process.stdout.readline()  # a row that comes alone is not kept waiting for others
        process.send_signal(signal.SIGINT)
        process.wait(20)
        shown = process.stderr.read()

    assert orjson.loads(first)["target"]["row"] == 1
    assert (process.returncode, shown) == (3, b"tlsweep: interrupted, what was done is kept\n")
