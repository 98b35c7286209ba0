"""Tells an outage of our own network from servers that cannot be reached.

The problem. A connection fails because the server is not there, or because our network is down. One target cannot tell; many can: while
the network works, unrelated servers answer all the time. So a failure to reach a target is believed only where the network is known
to have worked before, during and after it:

- *after*: some other target was reached by a connection that began later. ``settle`` waits for that, which takes a moment in a
  run where most servers answer.
- *during*: between the beginning and the end of the failed attempt there was no stretch of ``GAP_SECONDS`` in which no server was
  reached. An outage that ends just before a connect timeout does leaves no other trace: its SYNs were lost all the same.

Where targets that answer are rare, servers that answered earlier in this run are connected to, one every ``TEST_EVERY`` seconds
at most, and then a few more where that one does not let us. If one does, the network works; if none does, this is an
outage. It is reported once, nothing is probed until it is over, and the run probes every target that failed while
it lasted again.

Loopback, IPv4 and IPv6 fail independently and are watched apart. While nothing has worked yet in a run, failures prove nothing
either way: ``is_early`` says so, and the run keeps them until something works (then they are probed again) or
nothing is left to do (then ``network_returns`` says whether this machine had any network at all).

Counting failures alone would not do (a dead network of an inventory looks like an outage), nor would the routing table
(a cable that is pulled two hops away changes nothing in it).

What breaks if this is touched: ``settle`` holds back every failed target until another one was reached, so a wait that nothing ends
stops the run; tests that are too frequent knock at an inventory's living servers because others in it are dead.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio
from msgspec import Struct

from scanner.errors import TlsweepError

# Servers that must have answered before; of fewer it may be that they were all switched off together.
MIN_ANSWERED: Final = 3
# Servers remembered that answered lately, and how many of them are connected to in one test.
REMEMBERED: Final = 64
TESTED: Final = 5
# Failures waiting at which a test begins at once.
MANY_WAITING: Final = 5
# Seconds between two looks at whether a test is due.
LOOK_EVERY: Final = 0.1
# Seconds without an answer after which a test begins, and between two tests that succeed: an inventory's dead network is no
# reason to knock at its living servers more often.
TEST_EVERY: Final = 0.5
# Seconds without any answer in which a failure proves nothing: twice the time between tests and a little. TCP itself survives
# an outage of a second, since it sends a SYN again after a second (RFC 6298).
GAP_SECONDS: Final = 1.2
# Moments of answers remembered, no two closer than so many seconds: some three minutes of a busy run.
MOMENTS: Final = 4096
MOMENT_SECONDS: Final = 0.05
# Seconds that the first server of a test has before further ones are connected to as well.
FIRST_SECONDS: Final = 0.3
# ... and between two tests in an outage.
RETEST_EVERY: Final = 0.5
# Seconds for one test: a SYN is sent again after 1 s (RFC 6298).
TEST_SECONDS: Final = 2.5
# Outages remembered, the latest ones.
MAX_OUTAGES: Final = 64
# Servers that answer again after an outage are let through so many seconds later: routes and neighbour tables come back
# in pieces.
RECOVERY_SECONDS: Final = 0.5

Server = tuple[str, int]  # address and port


class NetworkLost(TlsweepError):
    """This machine's network did not come back within the patience of the run."""

    exit_status = 3  # as after an interrupt: what was done is kept


class Outage(Struct, frozen=True):
    """From ``start`` to ``end`` (trio's clock) none of the servers that had answered could be reached."""

    start: float
    end: float


class Connect(Protocol):
    """Connects to a server and closes again; returns True if it was accepted."""

    def __call__(self, server: Server, seconds: float) -> Awaitable[bool]: ...


class _Family:
    """What is known about one address family (loopback apart)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answered: deque[Server] = deque(maxlen=REMEMBERED)
        self.last_answer = -math.inf  # when the latest connection began that reached a server
        self.moments: deque[float] = deque(maxlen=MOMENTS)  # when such connections began, in order
        self.tested = -math.inf
        self.turn = 0  # which server is tested first
        self.waiting = 0
        self.changed = trio.Event()
        self.down: float | None = None  # since when
        self.outages: deque[Outage] = deque(maxlen=MAX_OUTAGES)

    def wake(self) -> None:
        event, self.changed = self.changed, trio.Event()
        event.set()

    def reached(self, began: float) -> None:
        """Note that a server was reached by a connection that began at ``began``."""
        if began > self.last_answer:
            self.last_answer = began
            if not self.moments or began - self.moments[-1] >= MOMENT_SECONDS:
                self.moments.append(began)
            if self.waiting:
                self.wake()

    def knows_servers(self) -> bool:
        return len(self.answered) >= MIN_ANSWERED and len(set(self.answered)) >= MIN_ANSWERED

    def gap(self, begun: float, ended: float) -> Outage | None:
        """Return a stretch within these times, too long to be chance, in which no server was reached; ``None`` if there is none."""
        later = ended
        for moment in reversed(self.moments):
            if moment >= ended:
                continue
            if later - max(moment, begun) >= GAP_SECONDS:
                return Outage(max(moment, begun), later)
            if moment <= begun:
                return None
            later = moment
        return None

    def overlapping(self, begun: float, ended: float) -> Outage | None:
        for outage in reversed(self.outages):
            if outage.start <= ended and begun <= outage.end:
                return outage
        return None

    def sample(self) -> list[Server]:
        """Return servers to test with, of as many networks as possible, each time with another one first."""
        chosen: dict[str, Server] = {}
        for server in reversed(self.answered):
            chosen.setdefault(_network(server[0]), server)
        servers = list(dict.fromkeys([*chosen.values(), *reversed(self.answered)]))
        self.turn += 1
        at = self.turn % len(servers)
        return (servers[at:] + servers[:at])[:TESTED]


class OutageMonitor:
    """Watches the network of one run. ``watch`` has to run as long as targets are probed.

    ``busy`` returns True while there are connections in flight; ``report`` is called with a line for the person who watches; ``patience``
    is how many seconds an outage may last until ``watch`` raises ``NetworkLost``; ``forget`` is called as an outage ends:
    what was found meanwhile about third parties is void.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        patience: float,
        busy: Callable[[], bool],
        report: Callable[[str], None] | None = None,
        forget: Callable[[], None] | None = None,
    ) -> None:
        self._connect = connect
        self._patience = patience
        self._busy = busy
        self._report = report or (lambda line: None)
        self._forget = forget or (lambda: None)
        self._now = trio.lowlevel.current_clock().current_time
        self._families = {name: _Family(name) for name in ("loopback", "IPv4", "IPv6")}
        self._returning = trio.Lock()
        self._was_away = False
        self.down = 0  # address families in which there is an outage at this moment

    @property
    def has_worked(self) -> bool:
        """True if some server was reached in this run."""
        return any(family.answered for family in self._families.values())

    def answered(self, address: str, port: int, began: float | None) -> None:
        """Note that a server was reached by a connection that began at ``began`` (``None``: some time ago)."""
        family = self._family(address)
        if family.down is None:  # in an outage it is an answer that was on its way: only a test ends one
            family.answered.append((address, port))
            if began is not None:
                family.reached(began)

    def is_early(self, address: str) -> bool:
        """Return True if nothing is known yet about the network by which ``address`` is reached."""
        family = self._family(address)
        return family.down is None and not family.knows_servers()

    @property
    def knows_servers(self) -> bool:
        """True if enough servers answered to tell later failures from an outage."""
        return any(family.knows_servers() for family in self._families.values())

    async def network_returns(self, has_network: Callable[[], bool]) -> bool:
        """Wait for a network if there is none. Return True if there was none. Raises ``NetworkLost`` where none comes."""
        async with self._returning:
            if has_network():
                return self._was_away
            self._was_away = True
            self._report(
                f"THIS MACHINE HAS NO NETWORK: no route leads anywhere. The run waits, up to {self._patience:.0f} s"
            )
            begun = self._now()
            while not has_network():
                if self._now() - begun > self._patience:
                    raise NetworkLost(f"this machine had no network for {self._patience:.0f} s")
                await trio.sleep(RETEST_EVERY)
            await trio.sleep(RECOVERY_SECONDS)
            away = self._now() - begun
            self._report(f"this machine has a network again after {away:.0f} s; what it hit is probed again")
            return True

    async def settle(self, address: str, begun: float) -> Outage | None:
        """Wait until it is known whether an outage failed the probe of ``address`` since ``begun``; return it or ``None``."""
        family, ended = self._family(address), self._now()
        if family.down is None and not family.knows_servers():
            return family.overlapping(begun, ended)
        family.waiting += 1
        try:
            while family.down is not None or family.last_answer <= ended:
                await family.changed.wait()
        finally:
            family.waiting -= 1
        return family.overlapping(begun, ended) or family.gap(begun, ended)

    def outage_since(self, begun: float) -> Outage | None:
        """Return the latest outage that lasted beyond ``begun``, of any family; ``None`` if there was none."""
        now = self._now()
        for family in self._families.values():
            outage = family.overlapping(begun, now)
            if outage is not None:
                return outage
        return None

    async def ready(self) -> None:
        """Wait while there is an outage."""
        while (family := next((each for each in self._families.values() if each.down is not None), None)) is not None:
            await family.changed.wait()

    async def watch(self) -> None:
        """Test the network whenever connections are in flight and no server has answered lately. Raises ``NetworkLost``."""
        async with trio.open_nursery() as nursery:
            for family in self._families.values():
                nursery.start_soon(self._watch, family)

    async def _watch(self, family: _Family) -> None:
        while True:
            await trio.sleep(LOOK_EVERY)
            if self._due(family):
                await self._test(family)

    def _due(self, family: _Family) -> bool:
        if not (family.waiting or self._busy()) or not family.knows_servers():
            return False
        now = self._now()
        if now - family.tested < TEST_EVERY:
            return False
        return family.waiting >= MANY_WAITING or now - family.last_answer >= TEST_EVERY

    async def _test(self, family: _Family) -> None:
        """Connect to servers that answered; where none accepts, wait until one does."""
        since, begun = family.last_answer, self._now()
        family.tested = begun
        if await self._reaches_any(family):
            family.reached(begun)
            return
        if family.last_answer > since:  # a target was reached meanwhile
            return
        family.down = since
        self.down += 1
        servers = len(set(family.answered))
        self._report(
            f"THE NETWORK OF THIS MACHINE SEEMS TO BE DOWN ({family.name}): none of {min(servers, TESTED)} servers that"
            f" answered before can be reached. The run waits, up to {self._patience:.0f} s; nothing is concluded meanwhile"
        )
        while not await self._reaches_any(family):
            if self._now() - begun > self._patience:
                raise NetworkLost(
                    f"the network of this machine ({family.name}) did not come back within {self._patience:.0f} s"
                )
            await trio.sleep(RETEST_EVERY)
        await trio.sleep(RECOVERY_SECONDS)
        now = self._now()
        self._report(f"the network ({family.name}) is back after {now - since:.0f} s; what it hit is probed again")
        family.outages.append(Outage(since, now))
        family.tested = now
        family.down = None
        self.down -= 1
        self._forget()
        family.reached(now)
        family.wake()

    async def _reaches_any(self, family: _Family) -> bool:
        reached = False
        first, *others = family.sample()
        async with trio.open_nursery() as nursery:

            async def one(server: Server, failed: trio.Event) -> None:
                nonlocal reached
                if await self._connect(server, TEST_SECONDS):
                    reached = True
                    nursery.cancel_scope.cancel()
                failed.set()

            failed = trio.Event()
            nursery.start_soon(one, first, failed)
            with trio.move_on_after(FIRST_SECONDS):
                await failed.wait()
            for server in others:
                nursery.start_soon(one, server, trio.Event())
        return reached

    def _family(self, address: str) -> _Family:
        if ":" in address:
            return self._families["loopback" if address == "::1" else "IPv6"]
        return self._families["loopback" if address.startswith("127.") else "IPv4"]


def _network(address: str) -> str:
    """Return the network that an address probably fails with: a /24, or the first three groups of IPv6."""
    if ":" in address:
        return ":".join(address.split(":")[:3])
    return address.rpartition(".")[0]
