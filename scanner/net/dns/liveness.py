"""Finding out whether a suspect resolver answers anybody: one question now and then, not the thousand that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from scanner.net.dns import health as dns_health
from scanner.net.dns import message_wire
from scanner.net.dns.health import Health, ResolverState, Service
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.reply import Reply

# Questions, seconds and whether over TCP, to a reply for each question.
Ask = Callable[[Sequence[DnsQuestion], float, bool], Awaitable[list[Reply]]]
# Questions that were answered lately and are asked to see life: the name of one may have died meanwhile.
KNOWN: Final = 3
# How often it is asked before it is said to answer nobody, and seconds between two refusals.
TRIES: Final = 3
TRY_PAUSE: Final = 1.0
# Asked of a resolver that has not answered anything yet: RFC 6761 section 6.3 has resolvers answer it themselves.
_LOCALHOST: Final = message_wire.questions_for("localhost", (message_wire.A,))[0]


class LifeWatch:
    """One resolver's. ``answered`` has questions that it answered lately, ``waiting`` those that made it suspect or came since."""

    __slots__ = ("_ask", "_health", "_now", "_seconds", "answered", "waiting")

    def __init__(self, health: Health, ask: Ask, seconds: float, now: Callable[[], float]) -> None:
        self._health = health
        self._ask = ask
        self._seconds = min(seconds, dns_health.PROBE_SECONDS)
        self._now = now
        self.answered: deque[DnsQuestion] = deque(maxlen=KNOWN)
        self.waiting: deque[DnsQuestion] = deque(maxlen=KNOWN)

    async def until_it_lives(self, report: Callable[[ResolverState], None], give_up: Callable[[], None]) -> None:
        """Ask until something usable comes. ``report`` is called once when nothing does and once when it is over,
        ``give_up`` when names have waited long enough."""
        health = self._health
        pause = dns_health.FIRST_PROBE_PAUSE
        while True:
            service, detail = await self._probe(thorough=health.state is None)
            now = self._now()
            if service is Service.ANSWERING:
                over = health.lives(now)
                if over is not None:
                    report(over)
                return
            if health.state is None:
                report(health.declare(service, now, detail))
            left = health.patience(now)
            if left <= 0.0:
                give_up()
            await trio.sleep(pause if left <= 0.0 else min(pause, left))
            pause = min(2 * pause, dns_health.LONGEST_PROBE_PAUSE)

    async def _probe(self, *, thorough: bool) -> tuple[Service, str | None]:
        """What it does for questions that it has answered before and for some that wait; ``thorough`` asks
        several times, the last time over TCP where there was silence."""
        known = list(self.answered) or [_LOCALHOST]
        questions = list({question.wire: question for question in (*known, *self.waiting)}.values())
        service, detail = Service.SILENT, None
        for number in range(TRIES if thorough else 1):
            if number and service is not Service.SILENT:
                await trio.sleep(TRY_PAUSE)  # an overload that refuses at once passes
            over_tcp = number == TRIES - 1 and service is Service.SILENT
            service, detail = dns_health.service_seen(await self._first_usable(questions, over_tcp))
            if service is Service.ANSWERING:
                break
        return service, detail

    async def _first_usable(self, questions: Sequence[DnsQuestion], over_tcp: bool) -> list[Reply]:
        """All replies, or those until a usable one has come: others may be to names that are dead."""
        replies: list[Reply] = []
        async with trio.open_nursery() as nursery:

            async def one(question: DnsQuestion) -> None:
                replies.extend(await self._ask([question], self._seconds, over_tcp))
                if dns_health.is_usable(replies[-1]):
                    nursery.cancel_scope.cancel()

            for question in questions:
                nursery.start_soon(one, question)
        return replies
