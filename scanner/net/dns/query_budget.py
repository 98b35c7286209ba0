"""What one resolution may spend, and what is noted about its questions on the way."""

from __future__ import annotations


class QueryBudget:
    """The seconds that one resolution may still spend on asking; waiting for its turn is not counted.

    Counting from the call instead would make names time out that no resolver was asked about yet. ``unhurried``: the name is asked
    for a second time, with more patience. ``crowded``: one of its questions failed beside many others. ``mark`` is
    ``Pace.sent`` after the latest question was sent.
    """

    __slots__ = ("crowded", "left", "mark", "unhurried")

    def __init__(self, seconds: float, *, unhurried: bool = False) -> None:
        self.left = seconds
        self.unhurried = unhurried
        self.crowded = False
        self.mark = 0
