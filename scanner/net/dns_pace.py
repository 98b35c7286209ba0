"""How much one resolver is asked at once, and when it is left alone. Pure: time is an argument.

Large inventories ruin small resolvers: a forwarder that serves an office answers the questions that it has room for and
drops or refuses the rest, which would read as a thousand broken names. So the number of exchanges in flight starts
below what common forwarders take, grows while answers come, and halves when many do not.
"""

from __future__ import annotations

from typing import Final

# dnsmasq, the usual small forwarder, refuses above 150 questions in flight; an exchange is at most two questions.
START_LIMIT: Final = 64
# 1,024 questions in flight are what unbound and BIND take on one thread by default.
MAX_LIMIT: Final = 512
# Names whose own servers are dead stay silent through any resolver; an inventory of nothing else must still move.
MIN_LIMIT: Final = 16
# A window in which more than this share failed is taken as overload rather than as dead names.
OVERLOAD_SHARE: Final = 0.25
# Growth per good window in which somebody had to wait: a doubling takes about six windows.
GROWTH: Final = 0.125

# Failures in a row, with no answer in between, after which a resolver is asked last.
DOWN_AFTER: Final = 5
# Seconds it is left alone then; doubled on each further failure up to the second number.
FIRST_PENALTY: Final = 5.0
LONGEST_PENALTY: Final = 60.0


class Pace:
    """A window on the exchanges in flight that follows what share of them got an answer."""

    __slots__ = ("_bad", "_done", "_waited", "limit")

    def __init__(self, limit: int = START_LIMIT) -> None:
        self.limit = limit
        self._done = 0
        self._bad = 0
        self._waited = False

    def waiting(self) -> None:
        """Somebody found no room: only then is more room worth anything."""
        self._waited = True

    def record(self, good: bool) -> None:
        """An exchange ended: ``good`` unless it brought nothing, or a refusal."""
        self._done += 1
        if not good:
            self._bad += 1
        if self._done < self.limit:
            return
        if self._bad == self._done:
            pass  # nobody is there: asking less would not help, and make the run last for ever
        elif self._bad > self._done * OVERLOAD_SHARE:
            self.limit = max(MIN_LIMIT, self.limit // 2)
        elif self._waited:
            self.limit = min(MAX_LIMIT, self.limit + max(1, int(self.limit * GROWTH)))
        self._done = self._bad = 0
        self._waited = False


class Health:
    """Whether a resolver deserves to be asked first, from its last exchanges. ``failures`` are those since it last answered."""

    __slots__ = ("_penalty", "down_until", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self._penalty = FIRST_PENALTY
        self.down_until = float("-inf")

    def down(self, now: float) -> bool:
        """Asked only after the others at this moment."""
        return now < self.down_until

    def answered(self) -> None:
        """Anything readable came back: it lives."""
        if self.failures:
            self.failures = 0
            self._penalty = FIRST_PENALTY
            self.down_until = float("-inf")

    def failed(self, now: float) -> None:
        """Silence, or nobody there."""
        self.failures += 1
        if self.failures >= DOWN_AFTER and now >= self.down_until:
            self.down_until = now + self._penalty
            self._penalty = min(self._penalty * 2, LONGEST_PENALTY)

    def trial(self, now: float, seconds: float) -> None:
        """One exchange is about to find out whether it is back: until that one ends, the others go elsewhere."""
        if self.failures >= DOWN_AFTER and now >= self.down_until:
            self.down_until = now + seconds
