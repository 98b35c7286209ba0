"""The progress line: on a terminal only, and gone at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from scanner.cli.progress import postfix
from scanner.net.pacing import PacingStatistics
from scanner.run.scan import ScanStatistics
from tests.cli.conftest import command, environment


def at_a_terminal(*line: object, keys: bytes = b"", wait_for: bytes = b"in flight") -> tuple[int, str]:
    """(exit status, everything shown) of a command whose standard error is a terminal of 100 columns.

    ``keys`` are pressed once ``wait_for`` was shown.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    shown = b""

    def become_its_session() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    with subprocess.Popen(
        command(*line), stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, env=environment(),
        preexec_fn=become_its_session,
    ) as process:  # fmt: skip
        os.close(theirs)
        while select.select([ours], [], [], 30)[0]:
            try:
                more = os.read(ours, 65536)
            except OSError:  # Linux says EIO where the other end is gone
                break
            if not more:
                break
            shown += more
            if keys and wait_for in shown:
                os.write(ours, keys)
                keys = b""
        status = process.wait(20)
    os.close(ours)
    return status, shown.decode()


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.txt"
    path.write_text("".join(f"127.5.0.{number}:9\n" for number in range(1, 51)))
    return path


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_the_progress_line_is_removed_at_the_end(options: list[str], inventory: Path, tmp_path: Path) -> None:
    status, shown = at_a_terminal("scan", inventory, "-o", tmp_path / "out.ndjson", "--rate", 50, *options)

    assert status == 0
    lines = shown.split("\r")
    assert any("/50 [" in line and "targets/s" in line and "fail " in line for line in lines), shown
    assert max(len(line.strip("\n")) for line in lines) <= 100
    assert "50 findings: 0 ok" in shown
    assert shown.rindex("in flight") < shown.index("50 findings")


def test_no_progress_prints_nothing(inventory: Path, tmp_path: Path) -> None:
    assert at_a_terminal("scan", inventory, "-o", tmp_path / "out.ndjson", "--no-progress") == (0, "")


@pytest.mark.parametrize("options", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_control_c_removes_the_progress_line(options: list[str], inventory: Path, tmp_path: Path) -> None:
    status, shown = at_a_terminal(
        "scan", inventory, "-o", tmp_path / "out.ndjson", "--rate", 20, *options, keys=b"\x03", wait_for=b"fail "
    )

    assert status == 3
    assert "--resume" in shown
    assert "Traceback" not in shown
    assert "worker process" not in shown


def test_postfix_has_what_is_not_zero() -> None:
    def now(held: int = 0, **outcomes: int) -> ScanStatistics:
        return ScanStatistics(0, 0, held, outcomes, PacingStatistics(7, 7, 7, 0, 0, 0), False)

    assert postfix(now()) == "in flight 7"
    assert postfix(now(2, fail=3, ok=1)) == "in flight 7, held 2, ok 1, fail 3"
