"""One resolver: questions out over a small pool of UDP ports, answers matched to them, TCP where they do not fit.

Forged answers are made hard as RFC 5452 asks: every socket is connected (the kernel checks the sender), source ports
are the kernel's random choice and change after some hundred questions, ids come from the system's randomness, and an
answer counts only if socket, id and question all match. What does not match is dropped and the waiting goes on.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

import trio
from trio.lowlevel import ParkingLot

from scanner.evidence import DnsStatus
from scanner.net import dns_wire
from scanner.net.dns_config import Server
from scanner.net.dns_pace import Health, Pace
from scanner.net.dns_port import Failure, Port, RandomNumbers, Waiter, words
from scanner.net.dns_transport import Network
from scanner.net.dns_wire import Answer, Question
from scanner.records import dataclass

# Ports in use at once. Each wake-up reads one socket, so more ports cost more CPU for each answer; 16 ports times the ids
# leave an attacker who cannot see the traffic about a billion combinations, most of them changed before he is through.
POOL_SIZE: Final = 16
# Exchanges after which a port is given up, and how many more at most by chance: nobody can count when it changes.
PORT_LIFETIME: Final = 256
PORT_LIFETIME_SPREAD: Final = 256
# Where no file can be opened, others of this process will close some soon: seconds until the next look.
NO_FILES_PAUSE: Final = 0.05
_NO_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Reply = Answer | Failure

_SILENT: Final = Failure(DnsStatus.TIMEOUT)


@dataclass(frozen=True, slots=True)
class UpstreamStatistics:
    """What one resolver was asked so far. ``limit`` is how many exchanges may be in flight now."""

    server: str
    questions: int
    answers: int
    silent: int
    unreachable: int
    malformed: int
    ignored: int  # datagrams that answered nothing that was asked: late, doubled or forged
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
        self._nursery = nursery
        self._timeout = timeout
        self._tcp_only = tcp_only
        self._edns = True
        self._ports: list[Port] = []
        self._random = RandomNumbers()
        self._queue = ParkingLot()
        self._in_flight = 0
        self._peak = 0
        self._questions = self._answers = self._silent = self._unreachable = self._malformed = 0
        self._ignored = self._long_way = self._over_tcp = self._opened = 0

    def statistics(self, now: float) -> UpstreamStatistics:
        """Counters up to now, as an immutable record."""
        return UpstreamStatistics(
            server=self.text,
            questions=self._questions,
            answers=self._answers,
            silent=self._silent,
            unreachable=self._unreachable,
            malformed=self._malformed,
            ignored=self._ignored + sum(port.ignored for port in self._ports),
            long_way=self._long_way,
            over_tcp=self._over_tcp,
            ports=self._opened,
            in_flight=self._in_flight,
            peak_in_flight=self._peak,
            limit=self._pace.limit,
            down=self.health.down(now),
        )

    async def exchange(
        self, questions: Sequence[Question], budget: Budget, *, checking_disabled: bool = False
    ) -> list[Reply]:
        """Ask all of ``questions`` at once, one try; a reply for each, in order. Raises nothing for what the network does."""
        await self._enter()
        good = False
        try:
            started = trio.current_time()
            self.health.trial(started, self._timeout)
            replies = await self._ask(questions, budget, checking_disabled)
            now = trio.current_time()
            budget.left -= now - started
            good = self._judge(replies, now)
            return replies
        finally:
            self._leave(good)

    def _judge(self, replies: list[Reply], now: float) -> bool:
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
        if alive:
            self.health.answered()
        else:
            self.health.failed(now)
        return good

    async def _enter(self) -> None:
        # Whoever comes while others wait goes behind them; a slot given up is handed to the first in the queue.
        if self._in_flight >= self._pace.limit or self._queue:
            self._pace.waiting()
            await self._queue.park()
        else:
            self._in_flight += 1
            if self._in_flight > self._peak:
                self._peak = self._in_flight

    def _leave(self, good: bool) -> None:
        self._pace.record(good)
        self._in_flight -= 1
        while self._queue and self._in_flight < self._pace.limit:
            self._in_flight += 1
            self._queue.unpark()
        if self._in_flight > self._peak:
            self._peak = self._in_flight

    async def _ask(self, questions: Sequence[Question], budget: Budget, checking_disabled: bool) -> list[Reply]:
        edns = self._edns
        seconds = min(self._timeout, max(budget.left, 0.0))
        self._questions += len(questions)
        if self._tcp_only:
            return [
                self._read(await self._over_stream(question, seconds, edns, checking_disabled), question)
                for question in questions
            ]
        found = await self._over_datagrams(questions, seconds, edns, checking_disabled)
        replies = [self._read(raw, question) for raw, question in zip(found, questions, strict=True)]
        for index, reply in enumerate(replies):
            if not isinstance(reply, Answer):
                continue
            if edns and reply.rcode in (dns_wire.FORMERR, dns_wire.NOTIMP, dns_wire.BADVERS):
                # RFC 6891 section 7: a server that does not know EDNS says so; it is asked once more without.
                [raw] = await self._over_datagrams([questions[index]], seconds, False, checking_disabled)
                plain = self._read(raw, questions[index])
                if isinstance(plain, Answer) and plain.rcode not in (dns_wire.FORMERR, dns_wire.NOTIMP):
                    self._edns = False
                    replies[index] = reply = plain
            if reply.truncated:
                raw_stream = await self._over_stream(questions[index], seconds, self._edns, checking_disabled)
                replies[index] = self._read(raw_stream, questions[index])
        return replies

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

    # --- UDP -----------------------------------------------------------------------------------

    async def _over_datagrams(
        self, questions: Sequence[Question], seconds: float, edns: bool, checking_disabled: bool
    ) -> list[bytes | Failure]:
        port = await self._open_port(seconds)
        if isinstance(port, Failure):
            return [port] * len(questions)
        waiter = Waiter(len(questions))
        ids: list[int] = []
        try:
            with trio.move_on_after(seconds):
                for index, question in enumerate(questions):
                    message_id = self._random.uint16()
                    while message_id in port.pending:
                        message_id = self._random.uint16()
                    port.pending[message_id] = (waiter, index, question)
                    ids.append(message_id)
                    query = dns_wire.build_query(message_id, question, edns=edns, checking_disabled=checking_disabled)
                    await port.send(query)
                await waiter.wait()
        finally:
            if waiter.missing:
                port.forget(waiter, ids)
            port.close_if_done()
        return [_SILENT if reply is None else reply for reply in waiter.replies]

    async def _open_port(self, seconds: float) -> Port | Failure:
        """A socket to ask through: a new one while the pool is small or one has served its time, else any."""
        waited = 0.0
        while True:
            ports = self._ports
            if len(ports) >= POOL_SIZE:
                port = ports[self._random.uint16() % len(ports)]
                port.life -= 1
                if port.life > 0 and not port.retired:
                    return port
                ports.remove(port)
                self._ignored += port.ignored
                port.retire()
            if self._nursery.cancel_scope.cancel_called:
                return Failure(DnsStatus.UNREACHABLE, "the resolver is closed")
            try:
                datagram = self._network.open_datagram(self.server)
            except OSError as error:
                if error.errno not in _NO_FILES:
                    return Failure(DnsStatus.UNREACHABLE, words(error))
                usable = [port for port in ports if not port.retired]
                if usable:
                    return usable[self._random.uint16() % len(usable)]
                if waited >= seconds:
                    return Failure(DnsStatus.UNREACHABLE, "no file descriptor was free")
                await trio.sleep(NO_FILES_PAUSE)
                waited += NO_FILES_PAUSE
                continue
            port = Port(datagram, PORT_LIFETIME + self._random.uint16() % PORT_LIFETIME_SPREAD)
            ports.append(port)
            self._opened += 1
            self._nursery.start_soon(port.read)
            return port

    # --- TCP -----------------------------------------------------------------------------------

    async def _over_stream(
        self, question: Question, seconds: float, edns: bool, checking_disabled: bool
    ) -> bytes | Failure:
        self._over_tcp += 1
        message_id = self._random.uint16()
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
                if error.errno not in _NO_FILES:
                    raise
                await trio.sleep(NO_FILES_PAUSE)


async def _receive_message_untrusted(stream: trio.abc.Stream) -> bytes | None:
    """One message with its two octets of length (RFC 7766 section 8); ``None`` where the stream ends before."""
    buffer = bytearray()
    while len(buffer) < 2 or len(buffer) - 2 < int.from_bytes(buffer[:2], "big"):
        chunk = await stream.receive_some()
        if not chunk:
            return None
        buffer += chunk
    return bytes(buffer[2 : 2 + int.from_bytes(buffer[:2], "big")])
