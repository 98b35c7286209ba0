"""Probes one connection: connects, opens with STARTTLS where the protocol asks for it, says hello, reads the server's flight, closes.

The only loop that feeds ``tls`` and ``starttls`` from a socket. Sockets are plain non-blocking ones, waited for through ``readiness``:
that is most of what ``trio.SocketStream`` does, without what a probe of one round trip does not need.
Every wait has an absolute deadline, so no server can stretch it by sending a byte at a time.
"""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from scanner.errors import describe_caught
from scanner.model.evidence import Failure, Probe, Stage
from scanner.net.large_flights import LONG, LargeFlights
from scanner.net.proxy_header import proxy_header
from scanner.net.random_pool import RandomPool
from scanner.net.readiness import DeadlinePassed, Readiness, current_readiness
from scanner.net.sockets import (
    CONNECT_ERRORS,
    EXHAUSTED,
    READ_SIZE,
    RESET,
    STILL_CONNECTING,
    OutOfResources,
    has_route,
    open_socket,
    send,
)
from scanner.starttls import Closed, Dialogue, Malformed, NotOffered, Ready, Refused, SessionRefused
from scanner.tls import events
from scanner.tls import handshake as hs
from scanner.tls.hello import HelloTemplate
from scanner.tls.key_share import KeyMaterial
from scanner.tls.offers import Offer
from scanner.tls.plaintext import recognise

# Templates of hellos that are kept: some twenty offers, each with ALPN and without.
TEMPLATES_KEPT: Final = 64
# The farewell travels with the end of the connection, in one packet where the platform can do that.
WITH_WHAT_FOLLOWS: Final = getattr(socket, "MSG_MORE", 0)
# Bytes kept of an answer that is not TLS: enough for a status line and the start of a page.
PLAINTEXT_KEPT: Final = 512
# Seconds that the rest of such an answer is waited for; it is one packet as a rule.
PLAINTEXT_WAIT: Final = 0.5


class Timing(Struct, frozen=True):
    """Seconds that connecting and the handshake may take, and the whole connection."""

    connect: float
    handshake: float
    total: float


class Prober:
    """Makes the probes of a run, which share key material and the templates of hellos made from it.

    ``public_key_of`` returns the leaf's public key from its DER, or ``None``; ``random`` returns unpredictable bytes; ``large``
    limits how many long flights are read at once.
    """

    def __init__(
        self,
        public_key_of: Callable[[bytes], Any],
        random: Callable[[int], bytes] | None = None,
        large: LargeFlights | None = None,
    ) -> None:
        self._large = large or LargeFlights()
        random = random or RandomPool().take
        self._keys = KeyMaterial(random)
        self._random = random
        self._public_key_of = public_key_of
        self._templates: dict[tuple[Offer, tuple[bytes, ...]], HelloTemplate] = {}

    def handshake(self, offer: Offer, sni: str | None, alpn: tuple[bytes, ...]) -> hs.ClientHandshake:
        """Return a handshake that is about to begin."""
        template = self._templates.get((offer, alpn))
        if template is None:
            template = HelloTemplate(offer, self._keys, alpn if offer.alpn else ())
            # offers derived for one target (enumeration) are many: only the named ones are worth keeping
            if len(self._templates) < TEMPLATES_KEPT:
                self._templates[offer, alpn] = template
        return hs.ClientHandshake(
            template, self._keys, sni=sni, random=self._random(64), public_key_of=self._public_key_of
        )

    async def probe(
        self,
        address: str,
        port: int,
        *,
        offer: Offer,
        sni: str | None,
        alpn: tuple[bytes, ...],
        dialogue: Dialogue | None,
        timing: Timing,
        proxy: int = 0,
    ) -> Probe:
        """Probe ``address`` on one connection; all faults are in the result. Raises ``OutOfResources`` only.

        ``proxy`` is the version of the PROXY protocol whose header is sent before anything else; 0: none.
        """
        ready = current_readiness()
        connection = Connection(offer, sni, ready, self._large)
        conn = self.handshake(offer, sni, alpn)
        sock = open_socket(address)
        if sock is None:
            connection.connected(errno.EAFNOSUPPORT)
            return connection.result()
        try:
            end = connection.begun + timing.total
            connection.deadline = min(connection.begun + timing.connect, end)
            first = conn.data_to_send() if dialogue is None and not proxy else b""
            rest = await connection.connect(sock, address, port, first)
            if connection.failure is None:
                connection.deadline = min(connection.begun + timing.handshake, end)
                if proxy:
                    await connection.proxy_header(sock, proxy)
                    rest = conn.data_to_send() if dialogue is None else b""
                if dialogue is not None:
                    await connection.starttls(sock, dialogue)
                if connection.failure is None:
                    await connection.handshake(sock, conn, dialogue, rest)
        except DeadlinePassed:
            connection.timed_out()
        except OutOfResources:
            raise
        except BaseException as error:  # noqa: BLE001 - our own bug: what was read before it is kept
            connection.timed_out(describe_caught("probe", error))
        finally:
            ready.close(sock)
            if connection.has_slot:
                self._large.leave(connection)
        return connection.result()


class Connection:
    """One connection: how far it has come, and what it has shown. No wait goes beyond ``deadline``."""

    __slots__ = (
        "_alert", "_awaited", "_conn", "_detail", "_first_bytes", "_large", "_ready", "_received", "_recognised", "begun",
        "connect_seconds", "deadline", "failure", "handshake_seconds", "has_slot", "offer", "sni", "stage", "starttls_seconds",
    )  # fmt: skip

    def __init__(self, offer: Offer, sni: str | None, ready: Readiness, large: LargeFlights | None = None) -> None:
        self._ready = ready
        self._large = large
        self.has_slot = False  # has a slot of those that read long flights
        self.offer = offer
        self.sni = sni
        self.stage = Stage.CONNECT
        self.failure: Failure | None = None
        self._detail: str | None = None
        self._recognised: str | None = None
        self._first_bytes: bytes | None = None
        self._alert: tuple[int, int] | None = None
        self._conn: hs.ClientHandshake | None = None
        self._awaited: str | None = None
        self._received = 0
        self.begun = ready.now()
        self.deadline = math.inf
        self.connect_seconds: float | None = None
        self.starttls_seconds: float | None = None
        self.handshake_seconds: float | None = None

    def _lap(self) -> float:
        """Return the seconds since the last lap."""
        now = self._ready.now()
        passed = now - self.begun
        self.begun = now
        return passed

    def timed_out(self, bug: str | None = None) -> None:
        """Note that the deadline passed at this stage, or that ``bug``, an exception of our own, ended it."""
        passed = self._lap()
        if self.stage is Stage.CONNECT:
            self.connect_seconds = passed
        elif self.stage is Stage.STARTTLS:
            self.starttls_seconds = passed
        else:
            self.handshake_seconds = passed
        if bug is not None:
            self.failure, self._detail = Failure.BUG, bug
        elif self.failure is None:
            self.failure = Failure.CONNECT_TIMEOUT if self.stage is Stage.CONNECT else Failure.SILENT

    async def connect(self, sock: socket.socket, address: str, port: int, first: bytes) -> bytes:
        """Connect, and send ``first`` as soon as that is done. Return what of it is still to be sent.

        Sending is tried before anything is waited for: where the peer is near, the connection is there already, and if
        not, the kernel says so at once.
        """
        try:
            number = sock.connect_ex((address, port))
        except socket.gaierror:  # a literal needs no look-up but for its scope id, which is not there
            number = errno.ENODEV
        except (OSError, OverflowError) as error:
            number = getattr(error, "errno", None) or errno.EINVAL
        if number == errno.EINPROGRESS:
            number = 0
            try:
                if first:
                    first = first[sock.send(first) :]
                else:
                    await self._ready.writable(sock, self.deadline)
                    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except OSError as error:
                if error.errno in STILL_CONNECTING:
                    await self._ready.writable(sock, self.deadline)
                    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                elif error.errno in RESET:  # it was there, and is gone already
                    self.connect_seconds = self._lap()
                    self.stage = Stage.HELLO
                    self._lost(error)
                    return b""
                else:
                    number = error.errno or errno.EIO
        if number in EXHAUSTED and (number != errno.EADDRNOTAVAIL or has_route(address, port)):
            raise OutOfResources(number)
        self.connected(number)
        return first

    def connected(self, number: int) -> None:
        """Note that connecting has ended with this error, or with none (0)."""
        self.connect_seconds = self._lap()
        if number:
            self.failure = CONNECT_ERRORS.get(number, Failure.CONNECT_ERROR)
            self._detail = errno.errorcode.get(number, str(number))
        else:
            self.stage = Stage.HELLO

    async def _receive(self, sock: socket.socket, deadline: float) -> bytes:
        """Return what arrives next, at most ``READ_SIZE``; ``b""`` at the end. Raises ``DeadlinePassed`` and ``OSError``."""
        # waited for first: nothing has come yet as a rule, and a peer that sends without end keeps no other task waiting
        if self._received > LONG and self._large is not None and not self.has_slot:
            waited = await self._large.enter(self)
            self.has_slot = True
            self.begun += waited  # that wait is not the server's
            self.deadline += waited
            deadline += waited
        while True:
            await self._ready.readable(sock, deadline)
            try:
                data = sock.recv(READ_SIZE)
            except BlockingIOError:
                continue
            self._received += len(data)
            return data

    async def proxy_header(self, sock: socket.socket, version: int) -> None:
        """Send a PROXY header with the two true ends of this connection."""
        try:
            header = proxy_header(version, sock.getsockname()[:2], sock.getpeername()[:2])
            await send(self._ready, sock, header, self.deadline)
        except OSError as error:
            self._lost(error)

    async def starttls(self, sock: socket.socket, dialogue: Dialogue) -> None:
        self.stage = Stage.STARTTLS
        try:
            while True:
                self._awaited = dialogue.awaited
                await send(self._ready, sock, dialogue.data_to_send(), self.deadline)
                answer = dialogue.outcome
                if isinstance(answer, Ready):
                    self.stage = Stage.HELLO
                    self._awaited = None
                    break
                if isinstance(answer, NotOffered | Refused | SessionRefused | Closed | Malformed):
                    self._unready(answer, dialogue)
                    break
                dialogue.receive_data(await self._receive(sock, self.deadline))
        except OSError as error:
            self._lost(error)
        finally:  # the time of the whole probe may end first
            if self.stage is Stage.STARTTLS:
                self._first_bytes = dialogue.first_bytes[:PLAINTEXT_KEPT] or None
        self.starttls_seconds = self._lap()

    def _unready(self, answer: NotOffered | Refused | SessionRefused | Closed | Malformed, dialogue: Dialogue) -> None:
        self._detail = answer.text
        if isinstance(answer, NotOffered):
            self.failure = Failure.STARTTLS_NOT_OFFERED
        elif isinstance(answer, Refused):
            self.failure = Failure.STARTTLS_REFUSED
        elif isinstance(answer, SessionRefused):
            self.failure = Failure.SESSION_REFUSED
        elif isinstance(answer, Malformed) and self._received:
            self.failure = Failure.STARTTLS_MALFORMED
            self._recognised = answer.recognised or recognise(dialogue.first_bytes)
        else:
            self.failure = Failure.CLOSED  # between two messages, or without having sent anything

    def _lost(self, error: OSError) -> None:
        self.failure = Failure.RESET if error.errno in RESET else Failure.CLOSED
        self._detail = errno.errorcode.get(error.errno or 0, str(error.errno))

    async def handshake(
        self, sock: socket.socket, conn: hs.ClientHandshake, dialogue: Dialogue | None, rest: bytes
    ) -> None:
        """Send what is left of the hello and read the flight; after a ``dialogue`` maybe in packets of its protocol."""
        self._conn = conn
        early = b""
        if dialogue is not None:
            early = dialogue.unwrap(dialogue.leftover)
            self._received = len(early)
        try:
            if rest:
                await send(self._ready, sock, rest, self.deadline)
            elif dialogue is not None:
                await send(self._ready, sock, dialogue.wrap(conn.data_to_send()), self.deadline)
            while not conn.ended:
                data = early or await self._receive(sock, self.deadline)
                if dialogue is not None and not early and data and not (data := dialogue.unwrap(data)):
                    continue  # part of a packet, or an empty one
                early = b""
                for event in conn.receive_data(data):
                    self._event(event)
                if outgoing := conn.data_to_send():  # to a HelloRetryRequest
                    data = outgoing if dialogue is None else dialogue.wrap(outgoing)
                    await send(self._ready, sock, data, self.deadline)
            if self.failure is Failure.PLAINTEXT:
                await self._plaintext(sock, conn, dialogue)
            elif self.failure is None or self.failure is Failure.MALFORMED:
                self._leave(sock, conn, dialogue)
        except OSError as error:
            self._lost(error)
        self.handshake_seconds = self._lap()

    def _event(self, event: events.Event) -> None:
        if isinstance(event, events.FlightComplete):
            self.stage = Stage.DONE
        elif isinstance(event, events.AlertReceived):
            ended = self._conn is not None and self._conn.state is events.State.FAILED
            if self._alert is None or ended:  # of several warnings the first, unless an alert ends the handshake
                self._alert = (event.level, event.description)
            if ended:
                self.failure = Failure.ALERT
        elif isinstance(event, events.NotTls):
            self.failure = Failure.PLAINTEXT
        elif isinstance(event, events.Broken):
            self.failure, self._detail = Failure.MALFORMED, event.detail
        elif isinstance(event, events.PeerClosed):
            # a warning, then the end: the warning was meant to be the reason
            self.failure = Failure.CLOSED if self._alert is None else Failure.ALERT

    @staticmethod
    def _leave(sock: socket.socket, conn: hs.ClientHandshake, dialogue: Dialogue | None) -> None:
        farewell = conn.close_notify()
        try:
            sock.send(farewell if dialogue is None else dialogue.wrap(farewell), WITH_WHAT_FOLLOWS)
        except OSError:
            pass  # the peer has closed first

    async def _plaintext(self, sock: socket.socket, conn: hs.ClientHandshake, dialogue: Dialogue | None) -> None:
        try:
            deadline = min(self._ready.now() + PLAINTEXT_WAIT, self.deadline)
            while len(conn.plaintext) < PLAINTEXT_KEPT and (data := await self._receive(sock, deadline)):
                conn.receive_data(data)
        except (OSError, DeadlinePassed):
            pass  # what came before is evidence enough
        finally:  # the time of the whole probe may end first
            self._first_bytes = conn.plaintext[:PLAINTEXT_KEPT]
            self._recognised = recognise(self._first_bytes)
            if self._recognised is None and dialogue is not None:
                # one byte of a banner may have passed for the yes of the opening: look at all of it
                self._recognised = recognise((dialogue.first_bytes + self._first_bytes)[:PLAINTEXT_KEPT])

    def result(self) -> Probe:
        conn = self._conn
        stage = self.stage
        flight = None
        if conn is not None:
            flight = conn.flight()
            if stage is Stage.HELLO and flight is not None and flight.certificates:
                stage = Stage.CERTIFICATE
        return Probe(
            offer=self.offer.name,
            sni=self.sni,
            stage=stage,
            failure=self.failure,
            alert=self._alert,
            detail=self._detail,
            recognised=self._recognised,
            first_bytes=self._first_bytes,
            bytes_received=self._received,
            flight=flight,
            connect_seconds=self.connect_seconds,
            starttls_seconds=self.starttls_seconds,
            handshake_seconds=self.handshake_seconds,
            awaited=self._awaited,
        )
