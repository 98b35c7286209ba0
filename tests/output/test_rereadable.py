"""Inputs that cannot be read twice are copied."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from scanner.output.rereadable import rereadable


def test_a_file_is_not_copied(tmp_path: Path) -> None:
    with rereadable(str(tmp_path / "file")) as path:
        assert path == str(tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_copied_to_a_temporary_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"line\n" * 50_000,))
    writer.start()
    with rereadable(str(pipe)) as path:
        assert [Path(path).stat().st_size for _ in range(2)] == [250_000] * 2
    writer.join()
    assert not Path(path).exists()
