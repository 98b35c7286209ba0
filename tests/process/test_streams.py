"""Standard streams that are closed or full."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = (
    "import os, sys\nfrom scanner.process import streams\nstreams.prepare()\n"
    "number = os.open(os.devnull, os.O_RDONLY)\n"
    "print('said', file=sys.stderr)\nsys.stderr.write('x' * 100_000)\nsys.stderr.flush()\n"
    "sys.exit(10 + number)"
)


@pytest.mark.parametrize("redirection", ["", "2>/dev/full", "2>&-", "2>&- 1>&- 0<&-", "0<&-"])
def test_standard_error_never_fails_and_its_descriptor_is_not_reused(redirection: str) -> None:
    line = f'exec "$0" -c "$1" {redirection}'
    done = subprocess.run(["sh", "-c", line, sys.executable, PROGRAM], capture_output=True, timeout=30, check=False)

    assert done.returncode >= 13, done
    assert done.stderr == (b"" if "2>" in redirection else b"said\n" + b"x" * 100_000)


def test_lone_surrogates_are_written_as_escapes() -> None:
    program = "import sys\nfrom scanner.process import streams\nstreams.prepare()\nprint('\\udcff', file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=True)
    assert done.stderr == b"\\udcff\n"
