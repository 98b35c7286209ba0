"""Inputs that can be read more than once."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from scanner.lines import close_binary, open_binary
from scanner.output.reader import NotFindings


@contextmanager
def rereadable(path: str) -> Iterator[str]:
    """Yield a path that can be read several times: that of a temporary copy for standard input and pipes.

    Raises ``NotFindings`` if the input cannot be read or copied.
    """
    if path != "-" and not _is_pipe(path):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="tlsweep-") as copy:
        try:
            source = open_binary(path)
        except (OSError, ValueError) as error:
            raise NotFindings(f"cannot read {'standard input' if path == '-' else path}: {error}") from error
        try:
            shutil.copyfileobj(source, copy)
            copy.flush()
        except OSError as error:
            shown = "standard input" if path == "-" else path
            place = os.path.dirname(copy.name)
            raise NotFindings(f"cannot keep {shown} in {place} to read it twice: {error.strerror or error}") from error
        finally:
            close_binary(source)
        yield copy.name


def _is_pipe(path: str) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False  # the error is reported when the file is opened
