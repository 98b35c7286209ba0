"""The rows of an inventory that already have a finding in a file, in about four bytes per row."""

from __future__ import annotations

import os
import zlib
from array import array
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from scanner.model.evidence import InvalidRow, Target
from scanner.output.reader import NotFindings, Unreadable, read_findings
from scanner.output.repair import refuse_other_files

# Rows per page. A page is a dict until it has more than _SPARSE rows, then an array.
_PAGE: Final = 1 << 16
_SPARSE: Final = 1024

# No inventory has more rows; a larger number comes from a damaged file.
MAX_ROW: Final = 1 << 40

Status = Literal["done", "todo", "changed"]


class Completed:
    """Rows that have a finding, each with a short hash of the target that was probed."""

    def __init__(self) -> None:
        self._pages: dict[int, dict[int, int] | array[int]] = {}
        self.unreadable = 0

    def __len__(self) -> int:
        """Return the number of distinct rows that are done."""
        return sum(len(page) if isinstance(page, dict) else _PAGE - page.count(0) for page in self._pages.values())

    def add(self, finding: Mapping[str, Any]) -> None:
        """Add a finding that was read from the file."""
        target = finding["target"]
        row = target.get("row")
        if not isinstance(row, int) or not 0 <= row < MAX_ROW:
            self.unreadable += 1
            return
        protocol = "auto" if target.get("auto") is True else target.get("protocol")
        identity = _identity(target.get("host"), target.get("port"), protocol, *map(target.get, ("sni", "address")))
        number, slot = divmod(row, _PAGE)
        page = self._pages.setdefault(number, {})
        page[slot] = identity
        if isinstance(page, dict) and len(page) > _SPARSE:
            dense = array("I", bytes(4 * _PAGE))
            for known, value in page.items():
                dense[known] = value
            self._pages[number] = dense

    def status(self, row: Target | InvalidRow) -> Status:
        """Return whether this row of the inventory is done; ``changed`` means that its finding is about another target."""
        number, slot = divmod(row.row, _PAGE)
        page = self._pages.get(number)
        if page is None:
            return "todo"
        known = page.get(slot, 0) if isinstance(page, dict) else page[slot]
        if known == 0:
            return "todo"
        if isinstance(row, Target):
            identity = _identity(row.host, row.port, row.asked_protocol, row.sni, row.address)
        else:
            identity = _identity(row.host, row.port, row.protocol, None, None)
        return "done" if known == identity else "changed"


def _identity(*parts: object) -> int:
    """Return a hash of the target, never 0, which means no finding. It guards against mistakes, not attacks."""
    text = "\0".join(repr(part) for part in parts)
    return zlib.crc32(text.encode("utf-8", "surrogatepass")) or 1


def completed(path: str, each: Callable[[dict[str, Any]], None] | None = None) -> Completed:
    """Return the rows with a finding in the file at ``path``, which may be absent, empty, or only have a torn line.

    ``each`` is called with every finding. Raises ``NotFindings`` if the file is something else.
    """
    done = Completed()
    try:
        if os.stat(path).st_size == 0:
            return done
    except FileNotFoundError:
        return done
    except OSError as error:
        raise NotFindings(f"cannot read {path}: {error.strerror}") from error
    try:
        for item in read_findings([path]):
            if isinstance(item, Unreadable):
                done.unreadable += 1
            else:
                done.add(item)
                if each is not None:
                    each(item)
    except NotFindings:
        if done.unreadable > 1:
            raise
        refuse_other_files(path)
    return done
