"""Generated files are current: ``make schema`` was run after the last change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "script",
    [
        "build_schema.py",
        "build_catalogue.py",
        "build_causes.py",
        "build_docs.py",
        "build_cli.py",
        "build_manual.py",
        "build_matrix.py",
    ],
)
def test_generated_file_is_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"run `make schema`\n{done.stdout}{done.stderr}"
