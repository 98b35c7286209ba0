"""One resolver: questions out over a small pool of UDP ports, answers matched to them, TCP where they do not fit.

Forged answers are made hard as RFC 5452 asks: every socket is connected (the kernel checks the sender), source ports
are the kernel's random choice and change after some hundred questions, ids come from the system's randomness, and an
answer counts only if socket, id and question all match. What does not match is dropped and the waiting goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from msgspec import Struct
from trio.lowlevel import ParkingLot

from scanner.model.evidence import DnsStatus
from scanner.net.dns import message_wire
from scanner.net.dns.health import Health, ResolverState, Service
from scanner.net.dns.liveness import LivenessTest
from scanner.net.dns.message_wire import DnsQuestion, DnsResponse
from scanner.net.dns.pace import Pace
from scanner.net.dns.query_budget import QueryBudget
from scanner.net.dns.reply import CLOSED, NoAnswer, Reply
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.tcp_exchange import LastTries, ask_over_stream
from scanner.net.dns.transport import Network
from scanner.net.dns.udp_channel import UdpChannel
from scanner.net.dns.udp_pool import UdpPool
from scanner.net.random_pool import RandomPool

# Response codes of servers that do not know EDNS.
_NO_EDNS: Final = (message_wire.FORMERR, message_wire.NOTIMP, message_wire.BADVERS)
# Exchanges in flight above which a failure may be due to their number: a single person's browser asks as many.
CROWD: Final = 4
# About how many seconds a place in the window stays taken after a refusal that came at once, beside many others. Otherwise the
# places that a resolver has no room for would be those that turn over fastest, and use up every name's tries.
REFUSAL_PAUSE: Final = 0.2
# Failures that passed when the question was asked again, from which on a resolver's refusals are known to be of that kind.
FLAKY_AFTER: Final = 3
_USUAL_QUESTIONS: Final = len(message_wire.ADDRESSES)


class UpstreamStatistics(Struct, frozen=True):
    """Counts of what one resolver was asked so far. ``limit`` is how many exchanges may be in flight now."""

    server: str
    questions: int
    answers: int
    silent: int
    unreachable: int
    malformed: int
    ignored: int  # datagrams that answered nothing that was asked: doubled or forged
    general_codec: int  # answers that needed the general codec
    over_tcp: int
    ports: int
    in_flight: int
    peak_in_flight: int
    limit: int
    lost: int  # failures that were gone when the question was asked again
    service: Service


class Upstream:
    """One resolver. ``timeout`` is seconds for one try; ``nursery`` runs its tasks. :meth:`close` it in the end.

    ``on_state`` gets each :class:`ResolverState`, ``on_change`` is called when the resolver becomes suspect and when it is back.
    """

    def __init__(
        self, server: Server, network: Network, nursery: trio.Nursery, *, timeout: float, tcp_only: bool = False
    ) -> None:
        self.server = server
        self.text = server.text
        self.pace = Pace()
        self.on_state: Callable[[ResolverState], None] | None = None
        self.on_change: Callable[[], None] | None = None
        self.last_tries = LastTries()
        self.passed = 0  # REFUSED or SERVFAIL that was gone when the question was asked again
        self._network = network
        self._nursery = nursery
        # trio.current_time() looks for the clock each time
        self._now = trio.lowlevel.current_clock().current_time
        self.health = Health(self.text, time.time() - self._now())
        self._timeout = timeout
        self._tcp_only = tcp_only
        self._edns = True
        self._random = RandomPool()
        self._pool = UdpPool(server, network, self._random, self._now)
        self._closed = False
        self._queue = ParkingLot()
        self._waiting = 0  # at least as many as are in the queue, and cheaper to ask for
        self._timer = False
        self._released: set[trio.lowlevel.Task] = set()  # released without a turn
        self._liveness = LivenessTest(self.health, self._ask, timeout, self._now)
        self._in_flight = 0
        self._peak = 0
        self._questions = self._answers = self._silent = self._unreachable = self._malformed = 0
        self._general_codec = self._over_tcp = 0

    def statistics(self) -> UpstreamStatistics:
        """Return the counts so far, as an immutable record."""
        state = self.health.state
        return UpstreamStatistics(
            server=self.text,
            questions=self._questions,
            answers=self._answers,
            silent=self._silent,
            unreachable=self._unreachable,
            malformed=self._malformed,
            ignored=self._pool.ignored,
            general_codec=self._general_codec,
            over_tcp=self._over_tcp,
            ports=self._pool.opened,
            in_flight=self._in_flight,
            peak_in_flight=self._peak,
            limit=self.pace.limit,
            lost=self.pace.losses,
            service=Service.ANSWERING if state is None else state.service,
        )

    @property
    def flaky(self) -> bool:
        """True if its refusals and failures were often gone when the question was asked again."""
        return self.passed >= FLAKY_AFTER

    def passed_on_retry(self, status: DnsStatus, mark: int) -> None:
        """Note that a question that failed with ``status``, sent at ``mark``, was answered when it was asked again."""
        self.pace.note_loss(mark)
        if status in (DnsStatus.REFUSED, DnsStatus.SERVFAIL):
            self.passed += 1

    async def exchange(
        self,
        questions: Sequence[DnsQuestion],
        budget: QueryBudget,
        *,
        checking_disabled: bool = False,
        over_tcp: bool = False,
        patience: float = 1.0,
    ) -> list[Reply]:
        """Ask all of ``questions`` at once, one try, and return a reply for each. Raises nothing for what the network does.

        ``patience`` multiplies the seconds of the try. While the resolver is down this waits, and gives up without
        asking when that has lasted long enough.
        """
        pace = self.pace
        started = self._now()
        # A newcomer goes behind those that wait; a slot given up is handed to the first in the queue.
        if (
            self._in_flight >= pace.limit
            or (self._waiting and self._queue)
            or self.health.suspect
            or not pace.take(started, len(questions))
        ):
            if self._closed:
                return [CLOSED] * len(questions)
            if not await self._wait_for_a_turn(questions[0]):
                return [self.health.failure()] * len(questions)
            started = self._now()
        else:
            self._in_flight += 1
            if self._in_flight > self._peak:
                self._peak = self._in_flight
        mark = budget.mark = pace.sent
        beside = self._in_flight
        try:
            seconds = min(self._timeout * patience, max(budget.left, 0.0))
            replies = await self._ask(questions, seconds, over_tcp, checking_disabled)
            now = self._now()
            budget.left -= now - started
            if self._judge(questions, replies, started, now, mark, checking_disabled) and (
                beside > CROWD or self._in_flight > CROWD
            ):
                budget.crowded = True
                if now - started < REFUSAL_PAUSE:
                    await trio.sleep(REFUSAL_PAUSE * random.uniform(0.5, 1.5))
            return replies
        finally:
            self._in_flight -= 1
            if self._waiting:
                self._admit()

    async def _ask(
        self, questions: Sequence[DnsQuestion], seconds: float, over_tcp: bool, checking_disabled: bool = False
    ) -> list[Reply]:
        self._questions += len(questions)
        edns = self._edns
        replies: list[Reply] = []
        if self._tcp_only or over_tcp:
            for question in questions:
                raw = await self._over_stream(question, seconds, edns, checking_disabled)
                replies.append(self._read(raw, question))
            return replies
        found = await self._over_datagrams(questions, self._now() + seconds, edns, checking_disabled)
        for question, raw in zip(questions, found, strict=True):
            reply = self._read(raw, question)
            if isinstance(reply, DnsResponse) and (reply.rcode in _NO_EDNS or reply.flags & message_wire.FLAG_TC):
                reply = await self._ask_otherwise(reply, question, seconds, edns, checking_disabled)
            replies.append(reply)
        return replies

    def _judge(
        self,
        questions: Sequence[DnsQuestion],
        replies: Sequence[Reply],
        started: float,
        now: float,
        mark: int,
        checking_disabled: bool,
    ) -> bool:
        """Update counts, pace and health. Return True if a question failed in a way that may be the resolver's doing or ours."""
        answered = 0
        usable: DnsQuestion | None = None
        failed = False
        for question, reply in zip(questions, replies, strict=True):
            if isinstance(reply, DnsResponse):
                answered += 1
                if reply.rcode == message_wire.REFUSED or reply.rcode == message_wire.SERVFAIL:
                    failed = True
                else:
                    usable = question
            elif reply.status is DnsStatus.MALFORMED:
                self._malformed += 1
                usable = question
            else:
                failed = True
                if reply.status is DnsStatus.TIMEOUT:
                    self._silent += 1
                else:
                    self._unreachable += 1
        self._answers += answered
        if answered:
            self.pace.note_answer(mark, answered, now, good=usable is not None)
        if usable is not None:
            self.health.note_usable(now)
            if not checking_disabled:
                self._liveness.answered.append(usable)
        elif self.health.note_failure(started, now, refused=answered > 0):
            self._liveness.waiting.append(questions[0])
            self._start_test()
        return failed

    # --- turns ---------------------------------------------------------------------------------

    async def _wait_for_a_turn(self, question: DnsQuestion) -> bool:
        """Wait for a place in the window and room in the bucket. Return False where there will be none, and nothing is to be asked."""
        self._liveness.waiting.append(question)
        if self.health.suspect and self.health.patience(self._now()) <= 0.0:
            return False
        self._waiting += 1
        try:
            if self._in_flight < self.pace.limit:
                self._admit(one_more=True)
            else:
                self.pace.note_full()
            await self._queue.park()
        finally:
            self._waiting -= 1
        if self._released and (task := trio.lowlevel.current_task()) in self._released:
            self._released.discard(task)
            return False
        return True

    def _admit(self, *, one_more: bool = False) -> None:
        """Admit those that wait, as far as pace allows. ``one_more``: another one is about to queue up."""
        if self.health.suspect:
            return
        pace = self.pace
        now = self._now()
        while self._queue and self._in_flight < pace.limit:
            # the next one may have another number of questions, but nearly always has two
            if not pace.take(now, _USUAL_QUESTIONS):
                break
            self._in_flight += 1
            self._queue.unpark()
        if self._in_flight > self._peak:
            self._peak = self._in_flight
        if self._queue or one_more:
            if self._in_flight >= pace.limit:
                pace.note_full()
            elif not self._timer:
                if self._closed:
                    self.release()
                    return
                self._timer = True
                self._nursery.start_soon(self._admit_later)

    async def _admit_later(self) -> None:
        """Admit those that wait only for the bucket, when it has leaked enough."""
        try:
            await trio.sleep(self.pace.delay(self._now(), _USUAL_QUESTIONS))
        except trio.Cancelled:
            self.release()
            raise
        finally:
            self._timer = False
        self._admit()

    def close(self) -> None:
        """Close its sockets. Exchanges in flight, and those that wait for their turn, end without an answer."""
        self._closed = True
        self.release()
        self._pool.close()

    def release(self) -> None:
        """Have all that wait for their turn go on without having asked."""
        self._released.update(self._queue.unpark_all())

    def _read(self, raw: bytes | NoAnswer, question: DnsQuestion) -> Reply:
        if isinstance(raw, NoAnswer):
            return raw
        answer = message_wire.read_answer_untrusted(raw, question)
        if answer is not None:
            return answer
        # The general codec takes longer to import than most names take to resolve, and most runs never need it.
        from scanner.net.dns import dnspython_codec

        self._general_codec += 1
        try:
            return dnspython_codec.read_answer_untrusted(raw, question)
        except dnspython_codec.MalformedAnswer as error:
            return NoAnswer(DnsStatus.MALFORMED, str(error))

    async def _ask_otherwise(
        self, reply: DnsResponse, question: DnsQuestion, seconds: float, edns: bool, checking_disabled: bool
    ) -> Reply:
        """Return the reply to the question asked without EDNS, or over TCP, as ``reply`` demands."""
        final: Reply = reply
        if edns and reply.rcode in _NO_EDNS:
            # RFC 6891 section 7: a server that does not know EDNS says so; it is asked once more without.
            [raw] = await self._over_datagrams([question], self._now() + seconds, False, checking_disabled)
            plain = self._read(raw, question)
            if isinstance(plain, DnsResponse) and plain.rcode not in (message_wire.FORMERR, message_wire.NOTIMP):
                self._edns = False
                final = reply = plain
        if reply.truncated:
            final = self._read(await self._over_stream(question, seconds, self._edns, checking_disabled), question)
        return final

    # --- UDP -----------------------------------------------------------------------------------

    def _over_datagrams(
        self, questions: Sequence[DnsQuestion], deadline: float, edns: bool, checking_disabled: bool
    ) -> Awaitable[Sequence[bytes | NoAnswer]]:
        """Return an awaitable for the answers. No coroutine of its own: most often there is a socket, and that is all."""
        drawn = self._random.take(2 * len(questions) + 2)  # the choice of a socket, and the ids
        channel = self._pool.take(drawn)
        envelope = message_wire.ENVELOPES[edns, checking_disabled]
        if isinstance(channel, UdpChannel):
            return channel.ask_untrusted(questions, drawn[2:], envelope, deadline)
        return self._without_socket(channel, questions, drawn[2:], deadline, envelope)

    async def _without_socket(
        self,
        failure: NoAnswer | None,
        questions: Sequence[DnsQuestion],
        ids: bytes,
        deadline: float,
        envelope: tuple[bytes, bytes],
    ) -> Sequence[bytes | NoAnswer]:
        """Wait for a file, and for the answers from then on for as long as there was at first."""
        seconds = deadline - self._now()
        channel = failure or await self._pool.wait_for_one(seconds)
        if isinstance(channel, NoAnswer):
            return [channel] * len(questions)
        return await channel.ask_untrusted(questions, ids, envelope, self._now() + seconds)

    async def _over_stream(
        self, question: DnsQuestion, seconds: float, edns: bool, checking_disabled: bool
    ) -> bytes | NoAnswer:
        self._over_tcp += 1
        message_id = int.from_bytes(self._random.take(2), "big")
        query = message_wire.build_query(message_id, question, edns=edns, checking_disabled=checking_disabled)
        return await ask_over_stream(self._network, self.server, query, question, seconds)

    # --- liveness ----------------------------------------------------------------------------------

    def _start_test(self) -> None:
        """Start to test the resolver, which became suspect."""
        if not self._closed:
            self._nursery.start_soon(self._run_test)
        if self.on_change is not None:
            self.on_change()

    async def _run_test(self) -> None:
        try:
            await self._liveness.wait_until_answering(self._report, self.release)
        except trio.Cancelled:
            self.release()
            raise
        if self.on_change is not None:
            self.on_change()
        self._admit()

    def _report(self, state: ResolverState) -> None:
        if self.on_state is not None:
            self.on_state(state)
