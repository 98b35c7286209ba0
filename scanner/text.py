"""Text from outside, made safe for a person's terminal.

A certificate's subject, a banner or a cell of somebody's inventory may hold terminal escapes, line breaks or
bidirectional overrides that make one text look like another. Findings keep such text exactly; wherever a person
reads it, it goes through ``printable`` first.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Long enough for any host name or sensible cell, short enough that a message stays one line of a log.
QUOTE_LIMIT: Final = 80

ELLIPSIS: Final = "…"

# Marks that combine without end climb over neighbouring lines ("zalgo"); no script in use stacks more than a few.
MAX_COMBINING: Final = 4


def printable(text: str) -> str:
    r"""``text`` with everything that acts instead of showing written as an escape (``\x1b``, ``\u202e``).

    Escaped are: control characters (line breaks and tabs included), format characters (bidirectional overrides,
    zero-width ones), lone surrogates, private and unassigned code points, separators other than the space, and
    combining marks beyond ``MAX_COMBINING`` in a row. A backslash stays as it is, so this is for reading, not for
    reversing: the exact text stands in the finding.
    """
    if text.isascii() and text.isprintable():
        return text
    parts: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks <= MAX_COMBINING and character.isprintable():
            parts.append(character)
        else:
            parts.append(_escape(character))
    return "".join(parts)


def _escape(character: str) -> str:
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code <= 0xFF:
        return f"\\x{code:02x}"
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    return f"\\U{code:08x}"


_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shorten(text: str, limit: int) -> str:
    """``text`` cut to at most ``limit`` characters, with an ellipsis as the last one where something is missing."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + ELLIPSIS


def quoted(text: str, limit: int = QUOTE_LIMIT) -> str:
    """``text`` between double quotes, harmless and at most about ``limit`` characters long: for messages."""
    return f'"{shorten(printable(text[: limit + 1]), limit)}"'


def display_width(text: str) -> int:
    """Columns that printable ``text`` takes on a terminal: wide East Asian characters take two, marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def pad(text: str, width: int, *, right: bool = False) -> str:
    """``text`` filled with spaces to ``width`` columns, flush right when ``right``."""
    space = " " * max(width - display_width(text), 0)
    return space + text if right else text + space


def span(seconds: float) -> str:
    """A length of time in the unit that suits a person: "3 days", "12 minutes", "90 seconds"."""
    for name, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length):,} {name}"
    return f"{round(seconds):,} seconds"
