"""How facts of the catalogues are known, in words that anybody can follow."""

from __future__ import annotations

import re
from typing import Final

# Numbers of files in an index of public repositories, which is not public itself
_INDEXED: Final = re.compile(r"stored public code files? \d+((?:, \d+)*)")


def origin(text: str) -> str:
    """Return the source of a fact without numbers that only one index of files knows."""
    return _INDEXED.sub(
        lambda found: (
            f"file{'s' if found[1] else ''} of {'' if found[1] else 'a '}public repositor{'ies' if found[1] else 'y'}"
        ),
        text,
    )
