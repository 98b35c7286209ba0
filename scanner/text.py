"""Text from outside, made safe for a terminal.

A certificate's subject, a banner or a cell of an inventory may contain terminal escapes, line breaks or bidirectional overrides
that make one text look like another. Findings keep such text exactly; what is printed for people goes through ``printable``.
"""

from __future__ import annotations

import unicodedata
from typing import Final

# Long enough for any host name or sensible cell, short enough for one line of a log.
QUOTE_LIMIT: Final = 80

ELLIPSIS: Final = "…"

# Stacks of combining marks climb over neighbouring lines ("zalgo"); scripts in use stack a few at most.
MAX_COMBINING: Final = 4


def printable(text: str) -> str:
    r"""Return ``text`` with every character that is not plainly visible as an escape (``\x1b``, ``\u202e``).

    These are: control characters (line breaks and tabs included), format characters (bidirectional overrides, zero-width ones),
    lone surrogates, private and unassigned code points, separators other than the space, and combining marks beyond
    ``MAX_COMBINING`` in a row. A backslash is not escaped, so the text cannot be restored: the finding has it exactly.
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
            parts.append(character.encode("unicode_escape").decode())
    return "".join(parts)


def folded(text: str) -> str:
    """Return ``text`` as names that people write are compared: letters and digits in one case. ``Port No.`` is ``portno``."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def shorten(text: str, limit: int) -> str:
    """Return ``text`` cut to at most ``limit`` characters, the last of which is an ellipsis if something was cut."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + ELLIPSIS


def quoted(text: str, limit: int = QUOTE_LIMIT) -> str:
    """Return ``text`` for a message: printable, between double quotes, at most about ``limit`` characters long."""
    return f'"{shorten(printable(text[: limit + 1]), limit)}"'


def display_width(text: str) -> int:
    """Return the columns that printable ``text`` takes on a terminal: two for wide East Asian characters, none for marks."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` padded with spaces to ``width`` columns, flush right if ``right``."""
    space = " " * max(width - display_width(text), 0)
    return space + text if right else text + space


def span(seconds: float) -> str:
    """Return a length of time in the largest suitable unit: "3 days", "12 minutes", "90 seconds"."""
    for name, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length):,} {name}"
    return f"{round(seconds):,} seconds"
