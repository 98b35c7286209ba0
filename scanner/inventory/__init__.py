"""Reads an inventory (CSV, NDJSON or plain lines) lazily and yields a ``Target`` or an ``InvalidRow`` for each row.

``hosts`` parses host names, addresses and ports, ``row_parser`` turns the cells of one row into a target, ``shapes``
detects the format, ``reading`` opens the file and numbers its lines, ``table`` and ``jsonlines`` parse them.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from scanner.inventory.reading import Inventory, open_inventory, parse_targets, read_inventory
from scanner.inventory.row_parser import MAX_LINE, ProtocolLike
from scanner.inventory.shapes import CsvColumns, InventoryError, shape_of
from scanner.lines import compression_of, decode

__all__ = [
    "MAX_LINE",
    "Inventory",
    "InventoryError",
    "ProtocolLike",
    "count_rows_hint",
    "open_inventory",
    "read_inventory",
    "parse_targets",
]

_CHUNK: Final = 1024 * 1024


def count_rows_hint(path: str) -> int | None:
    """Return roughly how many rows ``path`` has (its lines, less a CSV header), to estimate the time left.

    Returns ``None`` if counting would consume the input (standard input, pipes) or require decompression. Reads the
    whole file, so call it from a thread.
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
                return isinstance(shape_of(text), CsvColumns)
            except InventoryError:
                return False
    return False
