"""One resolver: questions out over a small pool of UDP ports, answers matched to them, TCP where they do not fit.

Forged answers are made hard as RFC 5452 asks: every socket is connected (the kernel checks the sender), source ports
are the kernel's random choice and change after some hundred questions, ids come from the system's randomness, and an
answer counts only if socket, id and question all match. What does not match is dropped and the waiting goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final

import trio
from trio.lowlevel import ParkingLot

from scanner.evidence import DnsStatus
from scanner.net import dns_wire
from scanner.net.dns_config import Server
from scanner.net.dns_pace import Health, Pace
from scanner.net.dns_pool import NO_FILES, NO_FILES_PAUSE, Pool
from scanner.net.dns_port import Failure, Port, RandomNumbers, words
from scanner.net.dns_transport import Network
from scanner.net.dns_wire import Answer, Question
from scanner.records import dataclass

Reply = Answer | Failure

# What a server says that does not know EDNS.
_NO_EDNS: Final = (dns_wire.FORMERR, dns_wire.NOTIMP, dns_wire.BADVERS)


@dataclass(frozen=True, slots=True)
class UpstreamStatistics:
    """What one resolver was asked so far. ``limit`` is how many exchanges may be in flight now."""

    server: str
    questions: int
    answers: int
    silent: int
    unreachable: int
    malformed: int
    ignored: int  # datagrams that answered nothing that was asked: doubled or forged
    long_way: int  # answers that needed the general codec
    over_tcp: int
    ports: int
    in_flight: int
    peak_in_flight: int
    limit: int
    down: bool


class Budget:
    """The seconds that one resolution may still spend on asking; waiting for its turn is not counted.

    Counting from the call instead would make names time out that nobody was asked about yet.
    """

    __slots__ = ("left",)

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    @property
    def spent(self) -> bool:
        """Nothing is left."""
        return self.left <= 0


class Upstream:
    """One resolver. ``timeout`` is seconds for one try. Sockets live in ``nursery`` until it is cancelled."""

    def __init__(
        self, server: Server, network: Network, nursery: trio.Nursery, *, timeout: float, tcp_only: bool = False
    ) -> None:
        self.server = server
        self.text = server.text
        self.health = Health()
        self._pace = Pace()
        self._network = network
        # trio.current_time() looks for the clock each time
        self._now = trio.lowlevel.current_clock().current_time
        self._timeout = timeout
        self._tcp_only = tcp_only
        self._edns = True
        self._numbers = RandomNumbers()
        self._pool = Pool(server, network, nursery, self._numbers, self._now)
        self._queue = ParkingLot()
        self._waiting = 0  # at least as many as are in the queue: whether there are any is asked for each name
        self._in_flight = 0
        self._peak = 0
        self._questions = self._answers = self._silent = self._unreachable = self._malformed = 0
        self._long_way = self._over_tcp = 0

    def statistics(self, now: float) -> UpstreamStatistics:
        """Counters up to now, as an immutable record."""
        return UpstreamStatistics(
            server=self.text,
            questions=self._questions,
            answers=self._answers,
            silent=self._silent,
            unreachable=self._unreachable,
            malformed=self._malformed,
            ignored=self._pool.ignored,
            long_way=self._long_way,
            over_tcp=self._over_tcp,
            ports=self._pool.opened,
            in_flight=self._in_flight,
            peak_in_flight=self._peak,
            limit=self._pace.limit,
            down=self.health.down(now),
        )

    async def exchange(
        self, questions: Sequence[Question], budget: Budget, *, checking_disabled: bool = False
    ) -> list[Reply]:
        """Ask all of ``questions`` at once, one try; a reply for each, in order. Raises nothing for what the network does."""
        # Whoever comes while others wait goes behind them; a slot given up is handed to the first in the queue.
        if self._in_flight >= self._pace.limit or (self._waiting and self._queue):
            await self._wait_for_a_turn()
        else:
            self._in_flight += 1
            if self._in_flight > self._peak:
                self._peak = self._in_flight
        good = False
        try:
            started = self._now()
            seconds = min(self._timeout, max(budget.left, 0.0))
            if self.health.failures:
                self.health.trial(started, self._timeout)
            self._questions += len(questions)
            edns = self._edns
            replies: list[Reply] = []
            if self._tcp_only:
                for question in questions:
                    raw = await self._over_stream(question, seconds, edns, checking_disabled)
                    replies.append(self._read(raw, question))
            else:
                found = await self._over_datagrams(questions, started + seconds, edns, checking_disabled)
                for question, raw in zip(questions, found, strict=True):
                    reply: Reply | None = None
                    if isinstance(raw, bytes):
                        reply = dns_wire.read_answer_untrusted(raw, question)
                    if reply is None:
                        reply = self._read(raw, question)
                    if isinstance(reply, Answer) and (reply.rcode in _NO_EDNS or reply.flags & dns_wire.FLAG_TC):
                        reply = await self._ask_otherwise(reply, question, seconds, edns, checking_disabled)
                    replies.append(reply)
            now = self._now()
            budget.left -= now - started
            good = self._judge(replies, now)
            return replies
        finally:
            self._leave(good)

    def _judge(self, replies: Sequence[Reply], now: float) -> bool:
        """Keep count and health; whether the exchange says that the resolver has room for more."""
        alive = good = False
        for reply in replies:
            if isinstance(reply, Answer):
                self._answers += 1
                alive = True
                good = good or reply.rcode != dns_wire.REFUSED
            elif reply.status is DnsStatus.TIMEOUT:
                self._silent += 1
            elif reply.status is DnsStatus.UNREACHABLE:
                self._unreachable += 1
            else:
                self._malformed += 1
                alive = good = True
        if not alive:
            self.health.failed(now)
        elif self.health.failures:
            self.health.answered()
        return good

    async def _wait_for_a_turn(self) -> None:
        self._pace.waiting()
        self._waiting += 1
        try:
            await self._queue.park()
        finally:
            self._waiting -= 1

    def _leave(self, good: bool) -> None:
        self._pace.record(good)
        self._in_flight -= 1
        while self._waiting and self._queue and self._in_flight < self._pace.limit:
            self._in_flight += 1
            self._queue.unpark()
        if self._in_flight > self._peak:
            self._peak = self._in_flight

    def _read(self, raw: bytes | Failure, question: Question) -> Reply:
        if isinstance(raw, Failure):
            return raw
        answer = dns_wire.read_answer_untrusted(raw, question)
        if answer is not None:
            return answer
        # The general codec takes longer to import than most names take to resolve, and most runs never need it.
        from scanner.net import dns_codec

        self._long_way += 1
        try:
            return dns_codec.read_answer_untrusted(raw, question)
        except dns_codec.MalformedAnswer as error:
            return Failure(DnsStatus.MALFORMED, str(error))

    async def _ask_otherwise(
        self, reply: Answer, question: Question, seconds: float, edns: bool, checking_disabled: bool
    ) -> Reply:
        """``reply`` says that the question has to be asked without EDNS, or over TCP."""
        final: Reply = reply
        if edns and reply.rcode in _NO_EDNS:
            # RFC 6891 section 7: a server that does not know EDNS says so; it is asked once more without.
            [raw] = await self._over_datagrams([question], self._now() + seconds, False, checking_disabled)
            plain = self._read(raw, question)
            if isinstance(plain, Answer) and plain.rcode not in (dns_wire.FORMERR, dns_wire.NOTIMP):
                self._edns = False
                final = reply = plain
        if reply.truncated:
            final = self._read(await self._over_stream(question, seconds, self._edns, checking_disabled), question)
        return final

    # --- UDP -----------------------------------------------------------------------------------

    def _over_datagrams(
        self, questions: Sequence[Question], deadline: float, edns: bool, checking_disabled: bool
    ) -> Awaitable[Sequence[bytes | Failure]]:
        """To be awaited at once. No coroutine of its own: most often there is a port, and that is all."""
        drawn = self._numbers.octets(2 * len(questions) + 2)  # a port and the ids
        port = self._pool.take(deadline, drawn)
        envelope = dns_wire.ENVELOPES[edns, checking_disabled]
        if isinstance(port, Port):
            return port.ask_untrusted(questions, drawn[2:], envelope)
        return self._without_a_port(port, questions, drawn[2:], deadline, envelope)

    async def _without_a_port(
        self,
        failure: Failure | None,
        questions: Sequence[Question],
        ids: bytes,
        deadline: float,
        envelope: tuple[bytes, bytes],
    ) -> Sequence[bytes | Failure]:
        port = failure or await self._pool.wait_for_one(deadline - self._now())
        if isinstance(port, Failure):
            return [port] * len(questions)
        return await port.ask_untrusted(questions, ids, envelope)

    # --- TCP -----------------------------------------------------------------------------------

    async def _over_stream(
        self, question: Question, seconds: float, edns: bool, checking_disabled: bool
    ) -> bytes | Failure:
        self._over_tcp += 1
        message_id = int.from_bytes(self._numbers.octets(2), "big")
        query = dns_wire.build_query(message_id, question, edns=edns, checking_disabled=checking_disabled)
        with trio.move_on_after(seconds):
            try:
                stream = await self._connect()
                try:
                    await stream.send_all(len(query).to_bytes(2, "big") + query)
                    data = await _receive_message_untrusted(stream)
                finally:
                    await trio.aclose_forcefully(stream)
            except OSError as error:
                return Failure(DnsStatus.UNREACHABLE, f"over TCP: {words(error)}")
            except trio.BrokenResourceError:
                return Failure(DnsStatus.UNREACHABLE, "over TCP: the connection broke")
            if data is None:
                return Failure(DnsStatus.MALFORMED, "over TCP: the connection was closed within the answer")
            if data[:2] != query[:2] or not dns_wire.answers_question(data, question):
                return Failure(DnsStatus.MALFORMED, "over TCP: the answer is for another question")
            if data[2] & 0x02:
                return Failure(DnsStatus.MALFORMED, "over TCP: the answer says that it is truncated")
            return data
        return Failure(DnsStatus.TIMEOUT, "over TCP")

    async def _connect(self) -> trio.abc.Stream:
        while True:  # ended by the caller's deadline
            try:
                return await self._network.open_stream(self.server)
            except OSError as error:
                if error.errno not in NO_FILES:
                    raise
                await trio.sleep(NO_FILES_PAUSE)


def in_order(upstreams: Sequence[Upstream], now: float) -> Sequence[Upstream]:
    """Those that answer lately, as they stand; then the others, longest quiet first."""
    down = [upstream for upstream in upstreams if upstream.health.down(now)]
    if not down:
        return upstreams
    down.sort(key=lambda upstream: upstream.health.down_until)
    return [upstream for upstream in upstreams if upstream not in down] + down


async def _receive_message_untrusted(stream: trio.abc.Stream) -> bytes | None:
    """One message with its two octets of length (RFC 7766 section 8); ``None`` where the stream ends before."""
    buffer = bytearray()
    while len(buffer) < 2 or len(buffer) - 2 < int.from_bytes(buffer[:2], "big"):
        chunk = await stream.receive_some()
        if not chunk:
            return None
        buffer += chunk
    return bytes(buffer[2 : 2 + int.from_bytes(buffer[:2], "big")])
