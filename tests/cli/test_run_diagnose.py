"""Inputs of ``tlsweep diagnose`` that cannot be read twice."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from scanner.cli.run_diagnose import readable_again


def test_a_file_is_read_where_it_is(tmp_path: Path) -> None:
    with readable_again(str(tmp_path / "file")) as path:
        assert path == str(tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_kept_meanwhile(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"line\n" * 50_000,))
    writer.start()
    with readable_again(str(pipe)) as path:
        assert [Path(path).stat().st_size for _ in range(2)] == [250_000] * 2
    writer.join()
    assert not Path(path).exists()
