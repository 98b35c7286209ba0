"""How an inventory is understood, for its user: format, encoding, what each column means, and what may be a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from scanner.inventory.header_names import EMPTY_CELLS
from scanner.inventory.hosts import Unusable, parse_address, parse_name
from scanner.starttls.services import PORTS, protocol_named
from scanner.text import folded, quoted, shorten

# Rows at the start by whose cells a column is recognised: what people look at to understand a table.
SAMPLE_ROWS: Final = 50
# Cells of a column that are shown.
EXAMPLES: Final = 3
# Columns that are named in one line; an export of a CMDB may have hundreds.
MAX_NAMED: Final = 12
# Bytes of a cell that are looked at.
_LONGEST_CELL: Final = 300

_NOUNS: Final = {
    "host": "host",
    "address": "address",
    "port": "port",
    "protocol": "protocol",
    "sni": "server name to send",
    "id": "row's id",
}
_DELIMITERS: Final = {",": "commas", ";": "semicolons", "\t": "tabs"}
# Protocols whose names are also ordinary words of an inventory say nothing about a column.
_PLAIN_WORDS: Final = frozenset({"any", "ip", "web", "website", "gc", "pop", "news", "mx", "mta", "msa", "pg", "h2"})


class TableLayout(Struct):
    """How one inventory is understood. ``used`` maps meanings to headers, ``unused`` headers to what they look like."""

    shape: str = "a plain list"
    delimiter: str = ""
    used: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    # lines above the header that were passed over
    titles: list[tuple[int, str]] = field(default_factory=list)
    # columns that share their name with an earlier one: as they are written, and as their tags are called
    renamed: list[tuple[str, str]] = field(default_factory=list)
    # the first cells of each column that are not empty
    examples: dict[str, list[str]] = field(default_factory=dict)

    def look_at(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Take examples from the first rows, and add to ``unused`` what these show. Their columns are called by their headers."""
        for row in rows:
            for name, cell in row.items():
                kept = self.examples.setdefault(name, [])
                if len(kept) < EXAMPLES and (text := cell.strip()) and text not in kept:
                    kept.append(shorten(text, _LONGEST_CELL))
        known = {*self.used.values(), *self.unused}
        for name, looks in unused_by_content(rows, self.used).items():
            if name and name not in known:
                self.unused[name] = looks

    def remarks(self, *, brief: bool = False) -> list[str]:
        """Return what its user should know, a line each; without ``warnings``. ``brief`` leaves out what goes without saying."""
        lines = []
        interpreted = any(folded(name) != meaning for meaning, name in self.used.items())
        if self.used and (interpreted or not brief):
            by = f" ({_DELIMITERS[self.delimiter]})" if self.delimiter in _DELIMITERS else ""
            columns = [
                f"{quoted(self.used[meaning])} is the {noun}"
                for meaning, noun in _NOUNS.items()
                if meaning in self.used
            ]
            lines.append(f"the inventory is {self.shape}{by}: {', '.join(columns)}{self._tags()}")
        if self.titles:
            number, text = self.titles[0]
            above = f"line {number}" if len(self.titles) == 1 else f"{len(self.titles)} lines"
            lines.append(f"{above} above its header passed over: {quoted(text)}")
        for name, tag in self.renamed:
            lines.append(f"the column {quoted(name)} is there twice: the further one becomes the tag {quoted(tag)}")
        return lines

    def _tags(self) -> str:
        if not self.tags:
            return ""
        shown = ", ".join(quoted(name, 40) for name in self.tags[:MAX_NAMED])
        more = len(self.tags) - MAX_NAMED
        return f"; carried along as tags: {shown}" + (f" and {more} more" if more > 0 else "")

    def warnings(self) -> list[str]:
        """Return what may be a mistake: columns that look as if they said what to scan, and are not used."""
        lines = []
        for meaning in _NOUNS:
            names = [name for name, looks in self.unused.items() if looks == meaning]
            if not names:
                continue
            shown = ", ".join(quoted(name) for name in names[:MAX_NAMED])
            one = len(names) == 1
            subject = f"the column {shown} looks" if one else f"the columns {shown} look"
            used = self.used.get(meaning)
            instead = f"; {quoted(used)} is" if used is not None else ""
            lines.append(
                f"{subject} like {_ARTICLES[meaning]} and {'is' if one else 'are'} not used{instead}"
                f" (--column {meaning}={quoted(names[0])} uses {'it' if one else 'the first'})"
            )
        return lines


_ARTICLES: Final = {"host": "a host", "address": "an address", "port": "a port", "protocol": "a protocol"}


def unused_by_content(rows: Sequence[Mapping[str, str]], used: Mapping[str, str]) -> dict[str, str]:
    """Return the columns whose cells are all hosts, addresses, ports or protocols, where no column has that meaning (``used``)."""
    found: dict[str, str] = {}
    names = dict.fromkeys(name for row in rows for name in row)
    for name in names:
        cells = [cell for row in rows if (cell := row.get(name, "").strip()) and cell not in EMPTY_CELLS]
        if not cells or 2 * len(cells) < len(rows):
            continue
        for meaning, fits in _FITS.items():
            if meaning not in used and all(len(cell) <= _LONGEST_CELL and fits(cell) for cell in cells):
                found[name] = meaning
                break
    return found


def _is_address(cell: str) -> bool:
    try:
        parse_address(cell)
    except Unusable:
        return False
    return True


def _is_host(cell: str) -> bool:
    """Return whether a cell is a name of several labels, or a URL."""
    if "://" in cell:
        return True
    name, _, port = cell.partition(":")
    try:
        labels = parse_name(name).split(".")
    except Unusable:
        return False
    return len(labels) > 1 and len(labels[-1]) > 1 and not labels[-1][0].isdigit() and (not port or port.isdigit())


def _is_port(cell: str) -> bool:
    """Return whether a cell is a port on which TLS is usual; any number could be one."""
    return cell.isdigit() and len(cell) <= 5 and int(cell) in PORTS


def _is_protocol(cell: str) -> bool:
    name = cell.lower()
    return name not in _PLAIN_WORDS and protocol_named(name, frozenset(PORTS.values()) | {"https"}) is not None


_FITS: Final = {"address": _is_address, "port": _is_port, "protocol": _is_protocol, "host": _is_host}
