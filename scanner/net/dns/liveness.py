"""Tests whether a suspect resolver answers: by one question now and then, instead of the thousand that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from scanner.net.dns import message_wire
from scanner.net.dns.health import (
    FIRST_PROBE_PAUSE,
    LONGEST_PROBE_PAUSE,
    PROBE_SECONDS,
    Health,
    ResolverState,
    Service,
    is_usable,
    service_seen,
)
from scanner.net.dns.message_wire import DnsQuestion
from scanner.net.dns.reply import Reply

# Questions, seconds and whether over TCP, to a reply for each question.
Ask = Callable[[Sequence[DnsQuestion], float, bool], Awaitable[list[Reply]]]
# Questions that were answered lately and serve as test questions: the name of one may have gone meanwhile.
KNOWN: Final = 3
# How often it is tested before it is reported as down, and seconds between two refusals.
TRIES: Final = 3
TRY_PAUSE: Final = 1.0
# Asked of a resolver that has not answered anything yet: RFC 6761 section 6.3 has resolvers answer it themselves.
_LOCALHOST: Final = message_wire.questions_for("localhost", (message_wire.A,))[0]


class LivenessTest:
    """The tests of one resolver, with questions that it ``answered`` lately, and those ``waiting`` since it became suspect."""

    def __init__(self, health: Health, ask: Ask, seconds: float, now: Callable[[], float]) -> None:
        self._health = health
        self._ask = ask
        self._seconds = min(seconds, PROBE_SECONDS)
        self._now = now
        self.answered: deque[DnsQuestion] = deque(maxlen=KNOWN)
        self.waiting: deque[DnsQuestion] = deque(maxlen=KNOWN)

    async def wait_until_answering(self, report: Callable[[ResolverState], None], give_up: Callable[[], None]) -> None:
        """Test until something usable comes. ``report`` is called once when nothing does and once when it is over,
        ``give_up`` when names have waited long enough."""
        health = self._health
        pause = FIRST_PROBE_PAUSE
        while True:
            service, detail = await self._test(thorough=health.state is None)
            now = self._now()
            if service is Service.ANSWERING:
                over = health.mark_answering(now)
                if over is not None:
                    report(over)
                return
            if health.state is None:
                report(health.mark_down(service, now, detail))
            left = health.patience(now)
            if left <= 0.0:
                give_up()
            await trio.sleep(pause if left <= 0.0 else min(pause, left))
            pause = min(2 * pause, LONGEST_PROBE_PAUSE)

    async def _test(self, *, thorough: bool) -> tuple[Service, str | None]:
        """Return what the resolver does with some questions; ``thorough`` asks several times, silence over TCP at last."""
        known = list(self.answered) or [_LOCALHOST]
        questions = list({question.wire: question for question in (*known, *self.waiting)}.values())
        service, detail = Service.SILENT, None
        for number in range(TRIES if thorough else 1):
            if number and service is not Service.SILENT:
                await trio.sleep(TRY_PAUSE)  # an overload that refuses at once passes
            over_tcp = number == TRIES - 1 and service is Service.SILENT
            service, detail = service_seen(await self._first_usable(questions, over_tcp))
            if service is Service.ANSWERING:
                break
        return service, detail

    async def _first_usable(self, questions: Sequence[DnsQuestion], over_tcp: bool) -> list[Reply]:
        """Return all replies, or those until a usable one has come: the others may be about names that are dead."""
        replies: list[Reply] = []
        async with trio.open_nursery() as nursery:

            async def one(question: DnsQuestion) -> None:
                replies.extend(await self._ask([question], self._seconds, over_tcp))
                if is_usable(replies[-1]):
                    nursery.cancel_scope.cancel()

            for question in questions:
                nursery.start_soon(one, question)
        return replies
