from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scanner.shipped import shipped

PACKAGE = Path(__file__).resolve().parent.parent / "scanner"


def test_files_are_read_from_a_directory() -> None:
    assert shipped("onecrl.bin") == (PACKAGE / "data" / "onecrl.bin").read_bytes()
    with pytest.raises(FileNotFoundError):
        shipped("nothing")


def test_files_are_read_from_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "tlsweep.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("__init__.py", "shipped.py", "data/causes.toml"):
            file.write(PACKAGE / name, f"scanner/{name}")
    program = "import sys; sys.path.insert(0, sys.argv[1]); from scanner.shipped import shipped; print(len(shipped('causes.toml')))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(archive)], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) == (PACKAGE / "data" / "causes.toml").stat().st_size
