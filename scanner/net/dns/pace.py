"""How fast one resolver is asked: a bucket for what it may not have read yet, and under it a window on what is in flight.

The problem. A resolver reads from one UDP socket, and what does not fit into that socket's receive buffer is dropped by the
kernel without notice. Linux charges each datagram with the memory that it occupies, not with its length: measured
on loopback, a buffer of the default size (``net.core.rmem_default``, 212,992) takes 256 questions of up to 90 octets, 166 of
300 octets, and not one more. A window alone does not keep below that. Five hundred names in flight are a thousand
datagrams, and our process sends them in bursts: all of them at its start, all of them again when it was stopped for a
moment, and all that were lost once more when their timeouts end together. So a healthy resolver drops what we sent, and the
names look dead. Small forwarders limit the number in flight instead (dnsmasq and systemd-resolved at 150 questions) and
refuse or drop what is above.

The design has three parts. All of them count what was proved, none of them guesses at the resolver's configuration.

- The bucket. A socket is read in order, so an answer proves that every question sent before it was read. What was sent after
  the latest question that has an answer may be unread; that is the bucket's level, and it never exceeds ``BURST``. With a
  near resolver each answer empties it, and it costs nothing. With a far one it leaks by time, a little faster than answers
  came lately, so that questions leave evenly. Nothing leaves without passing it: neither first questions nor repeated ones.
- The window grows by half a round (slow start) as long as growing brings answers faster, is taken back where it did not, and
  then tries again after a pause that doubles. Without that rule it always grows to the maximum beside a
  near resolver, where more in flight is only a longer queue in the resolver's buffer.
- Loss. A question that failed (silence, REFUSED or SERVFAIL) and was answered when it was asked again was lost; the first
  one counts. The window is halved, once for all that was sent before the halving, and is then widened by one a round up to
  near the size at which it happened. A name that fails again is a name that fails, which says nothing of the resolver: an
  inventory of dead names does not make the window collapse.

Measured on two cores with other work on them, 10,000 names through one unbound (one thread, default buffer), ``scan`` with
1,000 in flight: without the bucket and with a window of up to 512, 56 to 195 of 4,000 names got no answer; with them,
see ``benchmarks/README.md``, part ``crowd``.

What breaks if this is touched: a ``BURST`` above half of 166 lets two worker processes overflow the buffer together; a
leak without the measured rate starves a resolver 300 ms away; growth without the rule of the rate fills the buffer
whenever the resolver is not scheduled for some milliseconds; a loss that counts without having been confirmed makes an
inventory of dead names crawl. Pure: time is an argument, in seconds.
"""

from __future__ import annotations

from typing import Final

# Exchanges (names, of up to two questions) in flight at the start: less than half of what dnsmasq and systemd-resolved take.
START_LIMIT: Final = 32
# 1,024 questions in flight are what unbound and BIND take on one thread by default.
MAX_LIMIT: Final = 512
# Below this a lossy path would stop the run without helping the resolver.
MIN_LIMIT: Final = 8
# Questions that may be unread at once: two processes of ours fit into a default receive buffer with the longest names (166).
BURST: Final = 80
# Questions a second that leak from the bucket where no answer has been seen yet.
MIN_LEAK: Final = 400.0
# How much faster than answers came in the last round the bucket leaks, so that the rate can grow.
LEAK_GAIN: Final = 1.25
# The shortest sleep in seconds: the event loop's timer is not finer, and rounding would make it spin.
SHORTEST_DELAY: Final = 0.001
# Slow start: the factor of one step, and what share of it the rate of answers must gain for the step to stay.
STEP: Final = 1.5
GAIN_NEEDED: Final = 1.2
# What the best rate so far still counts when growing is tried anew: the resolver or the path may have become slower.
FADING: Final = 0.95
# Seconds until growing is tried again after it brought nothing; doubled each time up to the second number.
FIRST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 16.0
# After a loss: up to this share of the size at which it happened the window grows by one a round, then by one each
# so many seconds.
CAUTION: Final = 0.875
CAUTIOUS_STEP: Final = 2.0


class Pace:
    """Bucket and window of one resolver. ``limit`` is in exchanges, ``sent`` counts the questions let through."""

    def __init__(self, limit: int = START_LIMIT) -> None:
        self.limit = limit
        self.sent = 0
        self.losses = 0  # failures that were confirmed as loss
        self.leak = MIN_LEAK
        self._level = 0.0
        self._last = float("-inf")  # when the level was right
        self._done = 0
        self._answered = 0
        self._round_began: float | None = None
        self._waited = False
        self._best = 0.0
        self._grown_from: int | None = None
        self._next_growth = float("-inf")
        self._retry = FIRST_RETRY
        self._ceiling: float | None = None  # the window in which something was lost
        self._recovery = -1  # losses of what was sent before are known already

    def take(self, now: float, questions: int) -> bool:
        """Let ``questions`` through and return True, or return False where they would overfill the bucket."""
        level = self._level - (now - self._last) * self.leak
        self._last = now
        if level <= 0.0:
            level = 0.0
        elif level + questions > BURST:
            self._level = level
            return False
        self._level = level + questions
        self.sent += questions
        return True

    def delay(self, now: float, questions: int) -> float:
        """Return the seconds until :meth:`take` has room for ``questions`` if no answer comes before."""
        level = self._level - (now - self._last) * self.leak
        return max(SHORTEST_DELAY, (level + questions - BURST) / self.leak)

    def note_full(self) -> None:
        """Note that a name found the window full: only then is a larger one of use."""
        self._waited = True

    def note_answer(self, mark: int, questions: int, now: float, *, good: bool) -> None:
        """Note that an exchange got an answer. ``mark`` is :attr:`sent` right after the exchange was let through."""
        unread = self.sent - mark
        if unread < self._level:
            self._level = float(unread)
        if not good:
            return
        self._done += 1
        self._answered += questions
        if self._done >= self.limit:
            self._end_round(now)

    def note_loss(self, mark: int) -> None:
        """Note that a question let through at ``mark`` failed, and was answered when it was asked again."""
        self.losses += 1
        if mark <= self._recovery:
            return
        self._recovery = self.sent
        self._ceiling = float(self.limit)
        self._grown_from = None
        self.limit = max(MIN_LIMIT, self.limit // 2)

    def _end_round(self, now: float) -> None:
        """Adapt leak and window to the rate of a round, in which as many exchanges were answered as fit into the window."""
        began, answered, waited = self._round_began, self._answered, self._waited
        self._round_began = now
        self._done = self._answered = 0
        self._waited = False
        if began is None or now <= began:
            return
        rate = answered / (now - began)
        self.leak = max(MIN_LEAK, LEAK_GAIN * rate)
        if not waited:
            return
        if self._ceiling is not None:
            self._grow_carefully(now, self._ceiling)
        elif self._grown_from is None:
            if now >= self._next_growth and self.limit < MAX_LIMIT:
                # not this round's alone: a stall of ours would make it slow, and everything after it look like a gain
                self._best = max(rate, self._best * FADING)
                self._grow()
        elif rate >= self._best * GAIN_NEEDED:
            self._best = rate
            self._retry = FIRST_RETRY
            self._grow()
        else:
            self.limit, self._grown_from = self._grown_from, None
            self._next_growth = now + self._retry
            self._retry = min(2 * self._retry, LONGEST_RETRY)

    def _grow(self) -> None:
        self._grown_from = self.limit
        self.limit = min(MAX_LIMIT, int(self.limit * STEP))
        # the next round begins with questions that were sent in the smaller window: it is not measured
        self._round_began = None

    def _grow_carefully(self, now: float, ceiling: float) -> None:
        if self.limit >= MAX_LIMIT:
            return
        if self.limit + 1 > ceiling * CAUTION:
            if now < self._next_growth:
                return
            self._next_growth = now + CAUTIOUS_STEP
            self._ceiling = max(ceiling, self.limit + 1)
        self.limit += 1
