"""A resolver is asked as fast as it reads and as much as it answers."""

from __future__ import annotations

import collections

from scanner.net.dns.pace import BURST, MIN_LIMIT, START_LIMIT, STEP, Pace

# What Linux takes into a receive buffer of the default size of questions with the longest names (see the module).
BUFFER = 166


class Resolver:
    """Reads in order from a buffer that drops; answers ``latency`` seconds after reading, at most ``capacity`` at once."""

    def __init__(self, *, interval: float, latency: float = 0.0, capacity: int = 10**9) -> None:
        self.interval, self.latency, self.capacity = interval, latency, capacity
        self.buffer: collections.deque[int] = collections.deque()
        self.working: list[tuple[float, int]] = []
        self.dropped = 0
        self.credit = 0.0

    def arrive(self, mark: int) -> None:
        for _ in range(2):
            if len(self.buffer) < BUFFER:
                self.buffer.append(mark)
            else:
                self.dropped += 1

    def tick(self, now: float, seconds: float) -> list[int]:
        """Marks of exchanges whose first question is answered now."""
        self.credit += seconds / self.interval
        while self.buffer and self.credit >= 1:
            self.credit -= 1
            mark = self.buffer.popleft()
            if len(self.working) < self.capacity:
                self.working.append((now + self.latency, mark))
            else:
                self.dropped += 1
        self.credit = min(self.credit, 1.0) if not self.buffer else self.credit
        done = [mark for at, mark in self.working if at <= now]
        self.working = [(at, mark) for at, mark in self.working if at > now]
        return list(dict.fromkeys(done))


def run(
    resolver: Resolver, pace: Pace, *, seconds: float, tick: float = 0.001, stall: tuple[float, float] = (0, 0)
) -> int:
    """Ask without end; our process does nothing within ``stall``. Returns the exchanges answered."""
    in_flight: set[int] = set()
    waiting_answers: list[int] = []
    answered = 0
    now = 0.0
    while now < seconds:
        now += tick
        waiting_answers += resolver.tick(now, tick)
        if stall[0] <= now < stall[1]:
            continue
        for mark in waiting_answers:
            if mark in in_flight:
                in_flight.discard(mark)
                answered += 1
                pace.note_answer(mark, 2, now, good=True)
        waiting_answers.clear()
        while len(in_flight) < pace.limit and pace.take(now, 2):
            in_flight.add(pace.sent)
            resolver.arrive(pace.sent)
        if len(in_flight) >= pace.limit:
            pace.note_full()
    return answered


def test_the_start_is_no_burst_that_fills_a_receive_buffer() -> None:
    pace = Pace()
    let_through = 0
    while pace.take(0.0, 2):
        let_through += 2
    assert let_through == BURST and 2 * let_through <= BUFFER
    assert START_LIMIT * 2 < 150


def test_without_answers_questions_leave_evenly() -> None:
    pace = Pace()
    while pace.take(0.0, 2):
        pass
    delay = pace.delay(0.0, 2)
    assert delay > 0 and not pace.take(delay * 0.9, 2) and pace.take(delay * 1.01, 2)
    assert not pace.take(delay * 1.01, 2), "one exchange, not all that wait"


def test_an_answer_proves_that_what_was_sent_before_it_was_read() -> None:
    pace = Pace()
    marks = []
    while pace.take(0.0, 2):
        marks.append(pace.sent)
    pace.note_answer(marks[-2], 2, 0.0, good=True)
    freed = 0
    while pace.take(0.0, 2):
        freed += 2
    assert freed == BURST - 2, "all but the one that was sent after it"


def test_no_burst_follows_a_stall_of_ours() -> None:
    resolver = Resolver(interval=0.0005, latency=0.05)
    pace = Pace()
    run(resolver, pace, seconds=10, stall=(3, 5))
    assert resolver.dropped == 0 and len(resolver.buffer) <= BURST


def test_a_slow_resolver_is_not_given_a_window_that_fills_its_buffer() -> None:
    resolver = Resolver(interval=0.002)
    pace = Pace()
    assert run(resolver, pace, seconds=30) > 30 * 500 / 2 * 0.9
    assert resolver.dropped == 0
    assert pace.limit <= START_LIMIT * STEP


def test_window_of_a_distant_resolver_grows_to_use_it() -> None:
    pace = Pace()
    rate = run(Resolver(interval=0.00001, latency=0.3), pace, seconds=30) / 30
    assert rate > 800 and pace.limit > 300


def test_the_first_loss_halves_the_window_and_its_companions_do_not_again() -> None:
    pace = Pace(64)
    marks = []
    for _ in range(30):
        assert pace.take(0.0, 2)
        marks.append(pace.sent)
    pace.note_loss(marks[0])
    assert pace.limit == 32
    for mark in marks:
        pace.note_loss(mark)
    assert pace.limit == 32 and pace.losses == 31, "one event of the time before the window was halved"
    assert pace.take(0.0, 2)
    pace.note_loss(pace.sent)
    assert pace.limit == 16
    for _ in range(10):
        pace.take(100.0, 2)
        pace.note_loss(pace.sent)
    assert pace.limit == MIN_LIMIT


def test_after_a_loss_the_window_comes_back_slowly() -> None:
    pace = Pace(64)
    pace.take(0.0, 2)
    pace.note_loss(pace.sent)
    resolver = Resolver(interval=0.00001, latency=0.05)
    run(resolver, pace, seconds=1.0)
    assert 32 < pace.limit <= 56
    run(resolver, pace, seconds=10)
    assert pace.limit < 72


def test_names_that_fail_do_not_narrow_the_window() -> None:
    """Silence brings nothing to :meth:`answered`, and only a confirmed loss narrows."""
    pace = Pace()
    for number in range(1000):
        if pace.take(number * 1.0, 2) and number % 10 == 0:
            pace.note_answer(pace.sent, 2, number * 1.0, good=True)
    assert pace.limit >= START_LIMIT


def test_the_window_grows_only_where_somebody_waits() -> None:
    pace = Pace()
    for number in range(5000):
        assert pace.take(number * 0.01, 2)
        pace.note_answer(pace.sent, 2, number * 0.01, good=True)
    assert pace.limit == START_LIMIT
