"""The faults, and the case that a seed and a number give: always the same, so that one can be repeated alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

# Suffixes of the output and numbers of processes: neighbouring numbers have different ones, six have all.
FORMS: Final = ("ndjson", "ndjson.gz", "ndjson.zst")
WORKERS: Final = (1, 2)
DAY: Final = 86_400
# Rows that take as long as our patience make a case long: every so many has some.
SLOW_EVERY: Final = 5
DISK_ACTIONS: Final = ("disk full", "file limit")


@dataclass(frozen=True, slots=True)
class Blow:
    """One fault done to one start of the scanner.

    ``moment`` is the share of an undisturbed run's packets after which it is done; below 0 it is minus the seconds after
    the start, from 1 on the seconds after the last packet, plus 1.
    """

    action: str
    moment: float
    seconds: float = 0.0
    amount: float = 0.0

    @property
    def is_of_disk(self) -> bool:
        """Whether it takes the room for the output."""
        return self.action in DISK_ACTIONS


@dataclass(frozen=True, slots=True)
class Case:
    """A scan and what is done to it: each start of the scanner gets the next blow, the starts after them none."""

    fault: str
    number: int
    form: str
    workers: int
    slow: bool
    blows: tuple[Blow, ...]
    hostile: bool = False
    # The resolver that the scanner is given: unbound, or a fake one in a mode of ``tests.torture.resolver``
    resolver: str = "unbound"
    options: tuple[str, ...] = ()

    def describe(self) -> str:
        """The case in one line."""
        scan = f"{self.form}, {self.workers} worker{'s' if self.workers > 1 else ''}{', slow rows' * self.slow}"
        blows = "; ".join(
            f"{b.action} at {b.moment:.2f}"
            + (f" for {b.seconds:g} s" if b.seconds else "")
            + (f" by {b.amount:g}" if b.amount else "")
            for b in self.blows
        )
        return f"{self.fault} {self.number}: {scan}: {blows or 'undisturbed'}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table. ``blows`` draws what is done in one case, its second argument asks for the form that takes seconds.

    ``short_number`` is the case that the ordinary tests play, with seed 1: one that has hurt.
    """

    name: str
    about: str
    blows: Callable[[Random, bool], tuple[Blow, ...]]
    default_times: int
    nightly_times: int
    short_number: int = 0
    hostile: bool = False
    resolver: str = "unbound"

    @property
    def injects(self) -> bool:
        """Whether something is done to a running scanner."""
        return self.blows is not _nothing


# Before a quarter of the packets few servers have answered, and a run in which nothing has worked yet proves nothing.
WORKED: Final = 0.25


def _moment(random: Random, earliest: float = 0.02) -> float:
    """Some moment while the network is used."""
    return random.uniform(earliest, 0.95)


def _any_moment(random: Random) -> float:
    """As ``_moment``, and also while the scanner starts and while it finishes."""
    chance = random.random()
    if chance < 0.1:
        return -random.uniform(0.05, 1.2)
    if chance < 0.25:
        return 1 + random.uniform(0.0, 0.5)
    return random.uniform(0.0, 1.0)


def _nothing(_random: Random, _short: bool) -> tuple[Blow, ...]:
    return ()


def _stop(random: Random, short: bool) -> tuple[Blow, ...]:
    action = random.choice(("stop all", "stop all", "stop parent", "stop a worker"))
    return (Blow(action, _moment(random), 6.0 if short else 20.0),)


def _outage(seconds: float, short_seconds: float) -> Callable[[Random, bool], tuple[Blow, ...]]:
    def blows(random: Random, short: bool) -> tuple[Blow, ...]:
        kind = random.choice(("link down", "silence", "no carrier"))
        return (Blow(kind, _moment(random, WORKED), short_seconds if short else seconds),)

    return blows


def _clock(random: Random, _short: bool) -> tuple[Blow, ...]:
    minutes = random.choice((-1, 1)) * random.uniform(2, 90) * 60
    return (
        Blow("clock jump", _moment(random), amount=random.choice((minutes, 400.0 * DAY, -400.0 * DAY, -30.0 * DAY))),
    )


def _kill(random: Random, short: bool) -> tuple[Blow, ...]:
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
    return tuple(Blow(random.choices(actions, chances)[0], _any_moment(random)) for _ in range(count))


def _disk(random: Random, _short: bool) -> tuple[Blow, ...]:
    """``amount`` is the room on the disk as a share of what the whole output takes."""
    return tuple(
        Blow(random.choice(DISK_ACTIONS), 0.0, amount=random.uniform(0.01, 0.95)) for _ in range(random.choice((1, 2)))
    )


def _resolver(random: Random, short: bool) -> tuple[Blow, ...]:
    action = random.choice(("resolver killed", "resolver silent", "resolver refuses"))
    forever = random.random() < 0.4 and not short
    return (Blow(action, random.uniform(0.02, 0.7), 0.0 if forever else 3.0 if short else random.uniform(3, 15)),)


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

# Short cases must not take as long as a scanner's patience.
_SHORT_OPTIONS: Final = ("--timeout", "6", "--connect-timeout", "2")
# What hostile certificates name is in the farm, whose addresses are private.
_HOSTILE_OPTIONS: Final = ("--private-urls",)


def make_case(fault: str, number: int, seed: int, *, short: bool = False) -> Case:
    """The case ``number`` of a fault."""
    random = Random(f"{seed}/{fault}/{number}")
    kind = FAULTS[fault]
    return Case(
        fault=fault,
        number=number,
        form=FORMS[number % len(FORMS)],
        workers=WORKERS[number % len(WORKERS)],
        slow=not short and number % SLOW_EVERY == 2,
        blows=kind.blows(random, short),
        hostile=kind.hostile,
        resolver=kind.resolver,
        options=(*(_SHORT_OPTIONS if short else ()), *(_HOSTILE_OPTIONS if kind.hostile else ())),
    )
