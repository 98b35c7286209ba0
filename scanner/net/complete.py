"""Completes handshakes with OpenSSL and asks the application one question, where the server's first flight leaves something open.

Whether a client certificate is demanded shows only when the client's own flight is answered (in TLS 1.3 by what is read
first after the handshake), and what an application makes of its absence only when it is spoken to. Nothing is verified here:
that is the verifier's work, and what is wrong with a certificate must not hide what the server asks of ours.
Old and weak servers are met as far as this machine's OpenSSL goes; where it does not, that is the result.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final, Protocol

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.model.evidence import Completion, Failure, ServerFlight, Stage
from scanner.net.application import ApplicationExchange, ReplyProgress, exchange_for
from scanner.net.http.response import HttpAnswer, NotHttp, read_answer_untrusted
from scanner.net.openssl import Tls, alert_of
from scanner.net.probe import Connection, Timing
from scanner.net.readiness import current_readiness
from scanner.net.sockets import RESET, open_socket
from scanner.starttls import Dialogue
from scanner.tls.offers import MODERN, TLS13

# What is kept of an answer: the page on which a server says what it wants begins within it, and a person reads no more.
MOST_REPLY: Final = 2_048
# The most that is read of an application, head of an answer included.
MOST_READ: Final = 65_536
# After the head of an answer has come: how long the start of its text is waited for, in seconds. It is in the same packet
# as a rule.
BODY_WAIT: Final = 1.0
# Where nothing can be asked: how long a TLS 1.3 server's refusal is waited for, in seconds, after one or two round trips; and as many
# times as long as the connection has taken until then, since a busy server or a long way delays the refusal as well.
QUIET_WAIT: Final = 1.0
QUIET_TIMES: Final = 3.0

WEB: Final = frozenset({"tls", "https"})
# Not a protocol: nothing is said
_UNSPOKEN: Final = ""
_HTTP1: Final = b"http/1.1"
# Connection preface of HTTP/2 (RFC 9113 section 3.4) with an empty SETTINGS frame: a server answers it with its own.
_H2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
_NO_APPLICATION_PROTOCOL: Final = 120

# After the handshake of TLS 1.3 these say that it is the client's certificate, or its absence, that is refused
# (RFC 8446 section 6.2); handshake_failure and access_denied are sent by servers of older habits.
CERTIFICATE_ALERTS: Final = frozenset({40, 41, 42, 43, 44, 45, 46, 48, 49, 51, 116})


class TargetService(Struct, frozen=True):
    """A target's service: the name it goes by, port and protocol, the ALPN names, and what returns the dialogue before TLS."""

    host: str
    port: int
    protocol: str
    alpn: tuple[bytes, ...]
    open_dialogue: Callable[[], Dialogue | None]


class CompletionRequest(Protocol):
    """The handshake to complete. ``complete`` is the flight of the server's answer to the first hello; our certificate is shown
    if ``present``; with ``quiet`` the server has the first word after the handshake."""

    @property
    def sni(self) -> str | None: ...
    @property
    def complete(self) -> ServerFlight | None: ...
    @property
    def present(self) -> bool: ...
    @property
    def quiet(self) -> bool: ...


class Completer:
    """Completes handshakes for a run, with the client certificate of the run where there is one.

    ``clock`` returns seconds since the epoch. The files must be usable (``scanner.x509.client_certificate`` says whether
    they are); ``check`` raises ``OSError`` otherwise.
    """

    def __init__(
        self,
        certificate: str | None = None,
        key: str | None = None,
        *,
        presented: tuple[bytes, ...] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._files = (certificate, key)
        self._presented = presented
        self._clock = clock
        self._contexts: dict[tuple[bool, tuple[bytes, ...]], ssl.SSLContext] = {}

    def check(self) -> None:
        """Load the client certificate now. Raises ``OSError`` where OpenSSL cannot use it."""
        self._context((), present=True)

    def _context(self, alpn: tuple[bytes, ...], present: bool) -> ssl.SSLContext:
        context = self._contexts.get((present, alpn))
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            # whatever the machine's policy refuses is met here all the same: nothing of worth is sent
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")
            context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
            if alpn:
                context.set_alpn_protocols([name.decode("ascii") for name in alpn])
            certificate, key = self._files
            if present and certificate is not None:
                context.load_cert_chain(certificate, key)
                # a server may ask when it knows what is requested (RFC 8446 section 4.6.2)
                context.post_handshake_auth = True
            self._contexts[present, alpn] = context
        return context

    async def complete(
        self, address: str, service: TargetService, request: CompletionRequest, timing: Timing
    ) -> Completion:
        """Complete a handshake on one connection to ``address``, or more where ALPN is refused. Raises ``OutOfResources`` only."""
        present = request.present and self._files[0] is not None
        begun = trio.current_time()
        offers = list(_offers(service.alpn))
        while True:
            connection = _CompletedConnection(service, request, self._clock)
            result = await connection.run(address, self._context(offers.pop(0), present), timing)
            if not offers or result.alert != _NO_APPLICATION_PROTOCOL:
                break
        return replace(
            result, presented=present, offered=self._presented if present else (), seconds=trio.current_time() - begun
        )


def _offers(alpn: tuple[bytes, ...]) -> tuple[tuple[bytes, ...], ...]:
    """Return the ALPN lists to offer in turn: HTTP/1.1, which is spoken here; and all, for servers that have HTTP/2 alone and refuse it."""
    return ((_HTTP1,), alpn) if _HTTP1 in alpn and len(alpn) > 1 else (alpn,)


class _CompletedConnection:
    """One connection: how far it has come, and what it has shown."""

    def __init__(self, service: TargetService, request: CompletionRequest, clock: Callable[[], float]) -> None:
        flight = request.complete
        self._service = service
        self._sni = request.sni
        self._protocol = _UNSPOKEN if request.quiet else service.protocol
        self._asked = flight is not None and flight.negotiation.client_auth is not None
        self._expected = None if flight is None else flight.negotiation.version
        self._clock = clock
        self._stage = Stage.CONNECT
        self._failure: Failure | None = None
        self._alert: int | None = None
        self._detail: str | None = None
        self._version: int | None = None
        self._heard = b""
        self._http: HttpAnswer | None = None
        self._local_time: float | None = None
        self._begun = 0.0
        self._waited: float | None = None
        self._done = False
        self._tls: Tls | None = None
        self._renegotiated = False

    async def run(self, address: str, context: ssl.SSLContext, timing: Timing) -> Completion:
        dialogue = self._service.open_dialogue()
        ready = current_readiness()
        connection = Connection(MODERN, self._sni, ready)
        sock = open_socket(address)
        if sock is None:
            connection.connected(errno.EAFNOSUPPORT)
            return self._not_begun(connection)
        try:
            # what is said after the handshake must not wait for the acknowledgement of its last message
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._begun = begun = trio.current_time()
            end = begun + timing.total
            with trio.CancelScope(deadline=min(begun + timing.connect, end)) as scope:
                await connection.connect(sock, address, self._service.port, b"")
                if connection.failure is None:
                    scope.deadline = min(trio.current_time() + timing.handshake, end)
                    if dialogue is not None:
                        await connection.starttls(sock, dialogue)
                    if connection.failure is None:
                        self._stage = Stage.HELLO
                        await self._over_tls(sock, context, dialogue, scope)
            if scope.cancelled_caught:
                if self._stage is Stage.CONNECT:
                    connection.timed_out()
                elif not self._done:
                    self._failure = Failure.SILENT
            if connection.failure is not None:
                return self._not_begun(connection)
        finally:
            ready.close(sock)
        return self._result()

    def _not_begun(self, connection: Connection) -> Completion:
        probe = connection.result()
        return Completion(stage=probe.stage, failure=probe.failure, detail=probe.detail)

    async def _over_tls(
        self, sock: socket.socket, context: ssl.SSLContext, dialogue: Dialogue | None, scope: trio.CancelScope
    ) -> None:
        try:
            self._tls = tls = Tls(sock, context, self._sni, dialogue)
        except ValueError as error:  # a name that OpenSSL does not send
            self._failure, self._detail = Failure.MALFORMED, str(error)
            return
        try:
            await tls.handshake()
            self._expected = self._version = tls.version
            self._stage = Stage.APPLICATION
            await self._application(tls, scope)
        except ssl.SSLError as error:
            self._refused(error, tls)
        except OSError as error:
            self._lost(Failure.RESET if error.errno in RESET else Failure.CLOSED, tls)
            self._detail = errno.errorcode.get(error.errno or 0, str(error.errno))
        if self._done:
            tls.close_notify()

    def _refused(self, error: ssl.SSLError, tls: Tls) -> None:
        alert = alert_of(error)
        if alert is not None:
            self._alert = alert
            self._lost(Failure.ALERT, tls)
        elif isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or "EOF" in (error.reason or ""):
            self._lost(Failure.CLOSED, tls)
        else:
            # it is our side that gave up
            self._failure, self._detail = Failure.MALFORMED, error.reason or str(error)

    def _lost(self, failure: Failure, tls: Tls) -> None:
        """Note that the server ended the connection, and whether it had our answer to its request for a certificate by then."""
        if self._done:
            return
        self._failure = failure
        if not self._asked:
            return
        if self._stage is Stage.HELLO:
            # below TLS 1.3 our second flight holds the certificate, or says that there is none (RFC 5246 section 7.4.6)
            if self._has_answered(tls):
                self._stage = Stage.CLIENT_AUTH
                self._version = self._expected
        elif not self._heard and self._alert in CERTIFICATE_ALERTS:
            self._stage = Stage.CLIENT_AUTH

    def _has_answered(self, tls: Tls) -> bool:
        """Return whether our second flight was sent, below TLS 1.3; ``ssl`` knows the version of completed handshakes only."""
        return tls.flights > 1 and self._expected is not None and self._expected < TLS13

    # --- what is behind it -------------------------------------------------------------------------

    async def _application(self, tls: Tls, scope: trio.CancelScope) -> None:
        if self._protocol in WEB:
            if tls.alpn == "h2":
                await self._ask(tls, ApplicationExchange(_H2_PREFACE, classify=lambda data: ReplyProgress.FINE), scope)
            else:
                await self._ask_http(tls, scope)
        else:
            await self._ask(tls, exchange_for(self._protocol, self._service.host), scope)

    async def _ask_http(self, tls: Tls, scope: trio.CancelScope) -> None:
        host = f"[{self._service.host}]" if ":" in self._service.host else self._service.host
        if self._service.port != 443:
            host = f"{host}:{self._service.port}"
        await tls.write(
            f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: tlsweep\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()
        )
        sent = tls.flights
        while len(self._heard) < MOST_READ:
            try:
                data = await tls.read()
            finally:  # nothing is sent while reading but in a handshake, or for a new key in TLS 1.3
                self._renegotiated = tls.flights > sent and self._version != TLS13
            if not data:
                break
            self._heard += data
            if self._http is None:
                try:
                    self._http = read_answer_untrusted(self._heard)
                except NotHttp:
                    break
                if self._http is None:
                    continue
                self._local_time = self._clock()
                self._done = True
                scope.deadline = min(scope.deadline, trio.current_time() + BODY_WAIT)
            if len(self._heard) - self._http.body_at >= min(MOST_REPLY, self._http.length or MOST_REPLY):
                break
        if self._heard:
            self._done = True  # what talks to us has not refused us, whatever it speaks
        else:
            self._failure = Failure.CLOSED

    async def _ask(self, tls: Tls, exchange: ApplicationExchange, scope: trio.CancelScope) -> None:
        if exchange.classify is None:
            # below TLS 1.3 the end of the handshake is the server's consent to a client without a certificate
            self._done = not self._asked or (self._version != TLS13 and self._protocol != _UNSPOKEN)
            if not self._done:
                self._waited = max(QUIET_WAIT, QUIET_TIMES * (trio.current_time() - self._begun))
                with trio.move_on_after(self._waited) as quiet:
                    if not await tls.read():
                        self._failure = Failure.CLOSED
                self._done = self._failure is None or quiet.cancelled_caught
            return
        await tls.write(exchange.question)
        while len(self._heard) < MOST_READ:
            data = await tls.read()
            if not data:
                self._failure = Failure.CLOSED
                return
            self._heard += data
            answer = exchange.classify(self._heard)
            if answer is ReplyProgress.FINE:
                self._done = True
                break
            if answer is ReplyProgress.REFUSED:
                self._detail = "refused"
                break
        else:
            self._done = True
        if exchange.farewell:
            await tls.write_last(exchange.farewell)

    def _result(self) -> Completion:
        http = self._http
        return Completion(
            stage=Stage.DONE if self._done else self._stage,
            failure=None if self._done else self._failure,
            alert=self._alert,
            detail=self._detail,
            version=self._version,
            status=None if http is None else http.status,
            server=None if http is None else http.server,
            location=None if http is None else http.location,
            challenge=None if http is None else http.challenge,
            date=None if http is None else http.date,
            local_time=self._local_time,
            answered=not self._done
            and self._stage is Stage.HELLO
            and self._tls is not None
            and self._has_answered(self._tls),
            renegotiated=self._renegotiated,
            waited=self._waited,
            reply=self._heard[0 if http is None else http.body_at :][:MOST_REPLY],
        )
