"""Temporary directories are removed after use, and after a process was killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scanner.warehouse.scratch import LOCK, scratch

HELD = """
import os, signal, sys
from scanner.warehouse.scratch import scratch
with scratch(sys.argv[1], "x-") as directory:
    (directory / "file").write_text("left")
    print(directory, flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_directory_is_removed_after_the_block(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch(str(tmp_path), "x-") as directory:
        (directory / "file").touch()
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_only_directories_of_killed_processes_are_removed(tmp_path: Path) -> None:
    others = [tmp_path / "y-other", tmp_path / "x-without-lock"]
    for other in others:
        other.mkdir()
    (tmp_path / "x-file").touch()
    (tmp_path / "x-link").symlink_to(others[0])
    (others[0] / LOCK).touch()
    seen: list[Path] = []
    with subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        left = Path(process.stdout.readline().strip())
        with scratch(str(tmp_path), "x-", seen.append):
            assert left.is_dir()  # its process is alive
        process.stdin.close()
        process.wait()
    assert seen == [] and left.is_dir()
    with scratch(str(tmp_path), "x-", seen.append):
        assert seen == [left] and not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-file", "x-link", "x-without-lock", "y-other"]


def test_a_missing_parent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), scratch(str(tmp_path / "nowhere"), "x-"):
        pass
