"""The command line of the scripts that generate files: write them or, with ``--check``, test whether they are current."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn


def write_or_check(documentation: str | None, files: Iterable[tuple[Path, str]]) -> NoReturn:
    """Write ``files``, (path, text) pairs. With ``--check`` write nothing, and exit with status 1 if one is stale."""
    parser = argparse.ArgumentParser(description=(documentation or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale")
    check = parser.parse_args().check
    stale = False
    for path, text in files:
        if not check:
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            print(f"{path} is stale", file=sys.stderr)
            stale = True
    sys.exit(int(stale))
