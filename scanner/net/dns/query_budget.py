"""What one resolution may spend, and what is to be known of its questions afterwards."""

from __future__ import annotations


class Budget:
    """The seconds that one resolution may still spend on asking; waiting for its turn is not counted.

    Counting from the call instead would make names time out that nobody was asked about yet. ``crowded`` says that a
    question of it failed beside many others, ``mark`` where the pace of the resolver stood when the last one was sent.
    """

    __slots__ = ("crowded", "left", "mark", "unhurried")

    def __init__(self, seconds: float, *, unhurried: bool = False) -> None:
        self.left = seconds
        self.unhurried = unhurried
        self.crowded = False
        self.mark = 0

    @property
    def spent(self) -> bool:
        """Nothing is left."""
        return self.left <= 0
