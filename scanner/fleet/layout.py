"""Tables of untrusted text: plain for a terminal, or in GitHub's Markdown. Whatever would act in a cell is escaped.

By hand and not by rich, which ``check`` uses: it takes 40 ms to load, and every scan prints a table at its end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from scanner.text import display_width, pad, printable, shorten

# Columns that a value may take in a table.
MAX_CELL: Final = 40
# Width that the list in the last column may take; it goes on below. A table then fits into 120 columns.
LAST_COLUMN: Final = 64


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a table for the terminal, whatever the cells hold; columns of ``right`` are numbers, the last one may fold."""
    last = len(header) - 1
    shown = [
        [printable(cell) if index == last else shorten(printable(cell), MAX_CELL) for index, cell in enumerate(row)]
        for row in (header, *rows)
    ]
    widths = [max(display_width(row[index]) for row in shown) for index in range(len(header))]
    lines = []
    for row in shown:
        first, *rest = _folded(row[last])
        cells = [pad(cell, widths[index], right=index in right) for index, cell in enumerate((*row[:last], first))]
        lines.append("  ".join(cells).rstrip())
        lines += [" " * (sum(widths[:last]) + 2 * last) + line for line in rest]
    lines.insert(1, "  ".join("-" * width for width in widths[:-1]) + "  " + "-" * len(header[-1]))
    return "\n".join(lines)


def _folded(text: str) -> list[str]:
    """Return a list of words as lines, broken after commas."""
    lines = [""]
    for part in text.split(", "):
        joined = f"{lines[-1]}, {part}" if lines[-1] else part
        if lines[-1] and display_width(joined) > LAST_COLUMN:
            lines[-1] += ","
            lines.append(part)
        else:
            lines[-1] = joined
    return lines


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """Return a table in GitHub's Markdown, whatever the cells hold; columns of ``right`` are numbers."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(markdown_text(cell) for cell in cells) + " |"

    rule = "| " + " | ".join("---:" if index in right else "---" for index in range(len(header))) + " |"
    return "\n".join([line(header), rule, *map(line, rows)])


_MARKDOWN_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;", ":": "&#58;", ".": "."}
_MARKDOWN_MARKS: Final = re.compile(r"[\\`*_{}\[\]()#+!|~$]")


def markdown_text(text: str) -> str:
    """Return text that shows as itself in a Markdown table cell: no markup, HTML, link, mention or line break."""
    escaped = _MARKDOWN_MARKS.sub(r"\\\g<0>", printable(text))
    return "".join(_MARKDOWN_ENTITIES.get(character, character) for character in escaped)
