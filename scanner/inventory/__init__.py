"""The inventory: rows in any of its shapes into ``Target`` or ``InvalidRow``, lazily.

``hosts`` knows what a host, a port and an address may look like, ``rows`` makes a target of one row's cells,
``shapes`` tells CSV, NDJSON and plain lines apart, ``reading`` opens and numbers the lines, ``table`` and
``jsonlines`` take them apart.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from scanner.inventory.reading import read_inventory, read_targets
from scanner.inventory.row_parser import MAX_LINE, ProtocolLike
from scanner.inventory.shapes import Columns, InventoryError, shape_of
from scanner.lines import compression_of, decode

__all__ = ["MAX_LINE", "InventoryError", "ProtocolLike", "count_rows_hint", "read_inventory", "read_targets"]

_CHUNK: Final = 1024 * 1024


def count_rows_hint(path: str) -> int | None:
    """About how many rows ``path`` has, for an estimate of the time left: its lines, less a CSV header.

    ``None`` where counting would consume the input (standard input, pipes) or need it decompressed. Reads the
    whole file, at the speed of the disk: call it from a thread.
    """
    if path == "-":
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return None
        with open(path, "rb", buffering=0) as file:
            start = file.read(_CHUNK)
            if compression_of(start) != "none":
                return None
            count = start.count(b"\n")
            last = start
            while chunk := file.read(_CHUNK):
                count += chunk.count(b"\n")
                last = chunk
    except (OSError, ValueError):
        return None
    if last and not last.endswith(b"\n"):
        count += 1
    return max(count - _has_header(start), 0)


def _has_header(start: bytes) -> bool:
    for line in start.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:1000]:
        text = decode(line[:MAX_LINE])
        if text.strip() and not text.lstrip().startswith("#"):
            try:
                return isinstance(shape_of(text), Columns)
            except InventoryError:
                return False
    return False
