"""The faults, and the cases that a seed and a number determine, so that each case can be repeated alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

# Suffixes of the output and numbers of worker processes: consecutive cases alternate, and six cover all combinations.
OUTPUT_FORMATS: Final = ("ndjson", "ndjson.gz", "ndjson.zst")
WORKERS: Final = (1, 2)
DAY: Final = 86_400
# Rows that only end with a timeout make a case long, so only one of so many cases has some.
SLOW_EVERY: Final = 5
DISK_ACTIONS: Final = ("disk full", "file limit")


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault injected into one start of the scanner.

    ``moment`` is the share of an undisturbed run's packets after which it is injected. Below 0 it is minus the seconds
    after the start; from 1 on, it is 1 plus the seconds after the last packet.
    """

    action: str
    moment: float
    seconds: float = 0.0
    amount: float = 0.0

    @property
    def limits_disk(self) -> bool:
        """Whether it limits the space for the output."""
        return self.action in DISK_ACTIONS


@dataclass(frozen=True, slots=True)
class Case:
    """A scan and its faults: each start of the scanner gets the next injection, and further starts get none."""

    fault: str
    number: int
    output_format: str
    workers: int
    slow: bool
    injections: tuple[Injection, ...]
    hostile: bool = False
    # The scanner's resolver: unbound, or a fake one in a mode of ``tests.torture.resolver``
    resolver: str = "unbound"
    options: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the case in one line."""
        scan = (
            f"{self.output_format}, {self.workers} worker{'s' if self.workers > 1 else ''}{', slow rows' * self.slow}"
        )
        injections = "; ".join(
            f"{b.action} at {b.moment:.2f}"
            + (f" for {b.seconds:g} s" if b.seconds else "")
            + (f" by {b.amount:g}" if b.amount else "")
            for b in self.injections
        )
        return f"{self.fault} {self.number}: {scan}: {injections or 'undisturbed'}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault, one line of the table.

    ``injections`` draws the injections of a case; its second argument selects the short form, which takes seconds.
    ``short_number`` is the case that the ordinary tests run, with seed 1: one that has found a bug.
    """

    name: str
    about: str
    injections: Callable[[Random, bool], tuple[Injection, ...]]
    default_times: int
    nightly_times: int
    short_number: int = 0
    hostile: bool = False
    resolver: str = "unbound"

    @property
    def injects(self) -> bool:
        """Whether anything is injected into a running scanner."""
        return self.injections is not _nothing


# By a quarter of the packets many servers have answered. The scanner cannot tell an outage that begins before anything
# has worked from targets that are down.
ANSWERS_BY_THEN: Final = 0.25


def _moment(random: Random, earliest: float = 0.02) -> float:
    """Draw a moment at which the scanner uses the network."""
    return random.uniform(earliest, 0.95)


def _any_moment(random: Random) -> float:
    """Draw a moment during start-up, the scan, or the end."""
    chance = random.random()
    if chance < 0.1:
        return -random.uniform(0.05, 1.2)
    if chance < 0.25:
        return 1 + random.uniform(0.0, 0.5)
    return random.uniform(0.0, 1.0)


def _nothing(_random: Random, _short: bool) -> tuple[Injection, ...]:
    return ()


def _stop(random: Random, short: bool) -> tuple[Injection, ...]:
    action = random.choice(("stop all", "stop all", "stop parent", "stop a worker"))
    return (Injection(action, _moment(random), 6.0 if short else 20.0),)


def _outage(seconds: float, short_seconds: float) -> Callable[[Random, bool], tuple[Injection, ...]]:
    def injections(random: Random, short: bool) -> tuple[Injection, ...]:
        kind = random.choice(("link down", "silence", "no carrier"))
        return (Injection(kind, _moment(random, ANSWERS_BY_THEN), short_seconds if short else seconds),)

    return injections


def _clock(random: Random, _short: bool) -> tuple[Injection, ...]:
    minutes = random.choice((-1, 1)) * random.uniform(2, 90) * 60
    return (
        Injection(
            "clock jump", _moment(random), amount=random.choice((minutes, 400.0 * DAY, -400.0 * DAY, -30.0 * DAY))
        ),
    )


def _kill(random: Random, short: bool) -> tuple[Injection, ...]:
    actions = (
        "SIGKILL all",
        "SIGKILL parent",
        "SIGKILL a worker",
        "SIGTERM parent",
        "SIGINT parent",
        "SIGINT twice",
        "SIGHUP parent",
    )
    chances = (3, 3, 2, 1, 1, 1, 1)
    count = 2 if short else random.choice((2, 3, 4))
    return tuple(Injection(random.choices(actions, chances)[0], _any_moment(random)) for _ in range(count))


def _disk(random: Random, _short: bool) -> tuple[Injection, ...]:
    """Draw disk limits; ``amount`` is the free space as a share of the size of the whole output."""
    return tuple(
        Injection(random.choice(DISK_ACTIONS), 0.0, amount=random.uniform(0.01, 0.95))
        for _ in range(random.choice((1, 2)))
    )


def _resolver(random: Random, short: bool) -> tuple[Injection, ...]:
    action = random.choice(("resolver killed", "resolver silent", "resolver refuses"))
    forever = random.random() < 0.4 and not short
    return (Injection(action, random.uniform(0.02, 0.7), 0.0 if forever else 3.0 if short else random.uniform(3, 15)),)


FAULTS: Final = {
    fault.name: fault
    for fault in (
        Fault("none", "nothing is done: the truth itself is checked", _nothing, 2, 6),
        Fault("stop", "SIGSTOP for 20 s, then SIGCONT, of the parent, a worker or all", _stop, 4, 50),
        Fault("outage-5", "the network is gone for 5 s, by errors at once or by silence", _outage(5, 3), 6, 50, 10),
        Fault("outage-60", "the same for 60 s", _outage(60, 8), 2, 50, 1),
        Fault("clock", "the wall clock jumps by minutes, 30 or 400 days, back or ahead", _clock, 4, 30, 10),
        Fault("kill", "SIGKILL, SIGTERM, SIGINT and SIGHUP of parent and workers, then --resume", _kill, 8, 150, 13),
        Fault("disk", "the disk is full or a file at its limit, then there is room and --resume", _disk, 6, 50, 2),
        Fault("resolver", "the resolver dies, falls silent or refuses, for seconds or for ever", _resolver, 4, 30, 2),
        Fault("servfail", "half of the resolver's answers are SERVFAIL", _nothing, 2, 10, resolver="servfail"),
        Fault("hostile", "servers that mean harm beside healthy ones", _nothing, 2, 10, hostile=True),
    )
}

# Short cases must not wait for the scanner's default timeouts.
_SHORT_OPTIONS: Final = ("--timeout", "6", "--connect-timeout", "2")
# The URLs in hostile certificates lead to the farm, whose addresses are private.
_HOSTILE_OPTIONS: Final = ("--private-urls",)


def make_case(fault: str, number: int, seed: int, *, short: bool = False) -> Case:
    """Return case ``number`` of a fault."""
    random = Random(f"{seed}/{fault}/{number}")
    kind = FAULTS[fault]
    return Case(
        fault=fault,
        number=number,
        output_format=OUTPUT_FORMATS[number % len(OUTPUT_FORMATS)],
        workers=WORKERS[number % len(WORKERS)],
        slow=not short and number % SLOW_EVERY == 2,
        injections=kind.injections(random, short),
        hostile=kind.hostile,
        resolver=kind.resolver,
        options=(*(_SHORT_OPTIONS if short else ()), *(_HOSTILE_OPTIONS if kind.hostile else ())),
    )
