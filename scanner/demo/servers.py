"""Connection handlers of the demo's servers, one function per kind of behaviour.

Handlers do not handle peers that go away: ``run_handler`` does so for all of them. A server that is done sends FIN and
waits for the peer (``close_gracefully``): closing a socket with unread data would send RST, and the peer might lose an
alert.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from functools import partial
from typing import Final, TypeVar

import trio

from scanner.demo import server_messages
from scanner.demo.client_hello import ClientHello, HelloError, complete_hello_untrusted, parse_hello_untrusted
from scanner.demo.pki import Credential

_T = TypeVar("_T")
Handler = Callable[[trio.SocketStream], Awaitable[None]]

# Bounds how long a client that never closes holds a socket.
CONNECTION_SECONDS: Final = 60.0
# How long a server waits for the peer to close: longer than any answer takes on loopback.
CLOSE_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 5.0
MAX_REQUEST: Final = 16384
PROXY_V1: Final = b"PROXY "
MAX_LINE: Final = 2048
# A bit less than one Ethernet segment: some middleboxes drop larger hellos.
ONE_PACKET: Final = 1400


async def run_handler(handler: Handler, stream: trio.SocketStream) -> None:
    """Run the handler of one connection; a peer that disappears, refuses or sends garbage ends it without an error."""
    with trio.move_on_after(CONNECTION_SECONDS):
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError, HelloError):
            pass


# --- small steps ---------------------------------------------------------------------------------


async def read_hello(stream: trio.SocketStream) -> tuple[ClientHello, bytes]:
    """Return the client's hello and the bytes read. Raises ``HelloError`` for anything else."""
    received = b""
    while True:
        chunk = await stream.receive_some()
        if not chunk:
            raise HelloError("closed before a hello")
        received += chunk
        message = complete_hello_untrusted(received)
        if message is not None:
            return parse_hello_untrusted(message, len(received)), received


async def close_gracefully(stream: trio.SocketStream) -> None:
    """Send FIN and wait for the peer's, up to ``CLOSE_SECONDS``."""
    await stream.send_eof()
    with trio.move_on_after(CLOSE_SECONDS):
        await drain(stream)


async def drain(stream: trio.SocketStream) -> None:
    """Discard what the peer sends until it closes."""
    while await stream.receive_some():
        pass


def reset(stream: trio.SocketStream) -> None:
    """Close with RST instead of FIN (SO_LINGER of zero seconds)."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


# --- servers that use OpenSSL ----------------------------------------------------------------------


def openssl(context: ssl.SSLContext, page: str, *, refusal: bytes = b"", date_offset: float | None = None) -> Handler:
    """Return a handler that performs a TLS handshake and serves one text page over HTTP.

    Clients without a certificate get ``refusal`` instead, if given. With ``date_offset`` the answer has a Date header
    that is wrong by so many seconds.
    """
    return partial(serve_page, context=context, page=page, refusal=refusal, date_offset=date_offset)


class _TlsServer:
    """The server's side of TLS over a stream. Unlike ``trio.SSLStream``, it sends the alert if the handshake fails."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, received: bytes) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._incoming.write(received)
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        await self._drive(self._object.do_handshake)

    @property
    def has_client_certificate(self) -> bool:
        return self._object.getpeercert(binary_form=True) is not None

    async def read(self) -> bytes:
        return await self._drive(lambda: self._object.read(4096))

    async def write(self, data: bytes) -> None:
        await self._drive(lambda: self._object.write(data))

    async def close(self) -> None:
        await self._drive(self._object.unwrap)

    async def _drive(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                if chunk := await self._stream.receive_some():
                    self._incoming.write(chunk)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._stream.send_all(data)


async def serve_page(
    stream: trio.SocketStream,
    context: ssl.SSLContext,
    page: str,
    received: bytes = b"",
    *,
    refusal: bytes = b"",
    date_offset: float | None = None,
) -> None:
    """Perform the handshake, given the bytes already ``received``, and answer one HTTP request."""
    tls = _TlsServer(stream, context, received)
    try:
        await tls.handshake()
        request = b""
        with trio.move_on_after(REQUEST_SECONDS):
            while b"\r\n\r\n" not in request and len(request) < MAX_REQUEST:
                chunk = await tls.read()
                if not chunk:
                    break
                request += chunk
            else:
                body = page.encode() + b"\n"
                head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
                if date_offset is not None:
                    head += f"Date: {formatdate(time.time() + date_offset, usegmt=True)}\r\n"
                answer = head.encode() + b"Connection: close\r\n\r\n" + body
                await tls.write(refusal if refusal and not tls.has_client_certificate else answer)
            await tls.close()
    except ssl.SSLError:
        await close_gracefully(stream)


# --- one answer to every hello -----------------------------------------------------------------------


def answer_hello_with(answer: bytes) -> Handler:
    """Return a handler that reads the hello, sends ``answer`` and closes."""

    async def handle(stream: trio.SocketStream) -> None:
        await read_hello(stream)
        if answer:
            await stream.send_all(answer)
        await close_gracefully(stream)

    return handle


def greet_with(banner: bytes, answer: bytes = b"") -> Handler:
    """Return a handler for another protocol; ``banner`` is what the server says first, ``answer`` its reply to the hello."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(banner)
        if await stream.receive_some() and answer:
            await stream.send_all(answer)
        await close_gracefully(stream)

    return handle


async def reset_after_hello(stream: trio.SocketStream) -> None:
    """Answer the hello with RST."""
    await read_hello(stream)
    reset(stream)


# --- servers whose answer depends on the hello ---------------------------------------------------------

Condition = Callable[[ClientHello], bool]
Flight = Callable[[ClientHello, int, server_messages.ServerSuite, Credential], bytes]


def refuse_if(condition: Condition, refuse: Handler, context: ssl.SSLContext, page: str) -> Handler:
    """Return a handler that passes connections whose hello meets ``condition`` to ``refuse``, and serves others."""

    async def handle(stream: trio.SocketStream) -> None:
        hello, received = await read_hello(stream)
        if condition(hello):
            await refuse(stream)
        else:
            await serve_page(stream, context, page, received)

    return handle


async def close_with_reset(stream: trio.SocketStream) -> None:
    """Close with RST, as a filter would."""
    await trio.lowlevel.checkpoint()
    reset(stream)


def after_proxy_header(context: ssl.SSLContext, page: str) -> Handler:
    """Return a handler that serves connections which begin with a PROXY header of version 1, and resets others."""

    async def handle(stream: trio.SocketStream) -> None:
        received = b""
        while b"\r\n" not in received and received[: len(PROXY_V1)] == PROXY_V1[: len(received)]:
            if not (chunk := await stream.receive_some(MAX_LINE)):
                return
            received += chunk
        header, _, rest = received.partition(b"\r\n")
        if header.startswith(PROXY_V1):
            await serve_page(stream, context, page, rest)
        else:
            reset(stream)

    return handle


def close_with_alert(description: server_messages.Alert) -> Handler:
    """Return a handler that sends a fatal alert, then FIN."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(server_messages.alert(description))
        await close_gracefully(stream)

    return refuse


def scripted(
    credential: Credential,
    *,
    version: int = server_messages.TLS12,
    suites: Sequence[server_messages.ServerSuite],
    flight: Flight = server_messages.server_flight,
    scheme: int | None = None,
    answers_any_version: bool = False,
    closes_after_flight: bool = False,
) -> Handler:
    """Return a handler that speaks one version and the given suites, up to ServerHelloDone.

    With ``answers_any_version`` it replies with its version whatever is offered, as old servers do; otherwise a hello
    without the version gets a ``protocol_version`` alert. With ``scheme`` it only signs with that scheme, and refuses
    clients that do not offer it. With ``closes_after_flight`` it closes right after the flight.
    """

    async def handle(stream: trio.SocketStream) -> None:
        hello, _ = await read_hello(stream)
        chosen = next((suite for suite in suites if suite in hello.suites), None)
        if not hello.allows(version) and not (answers_any_version and hello.legacy_version >= version):
            await stream.send_all(server_messages.alert(server_messages.Alert.PROTOCOL_VERSION, version))
        elif chosen is None or (scheme is not None and scheme not in hello.schemes):
            await stream.send_all(server_messages.alert(server_messages.Alert.HANDSHAKE_FAILURE, version))
        else:
            await stream.send_all(flight(hello, version, chosen, credential))
            # The handshake ends here, so the client's key exchange is refused.
            if not closes_after_flight and await stream.receive_some():
                await stream.send_all(server_messages.alert(server_messages.Alert.ACCESS_DENIED, version))
        await close_gracefully(stream)

    return handle


# --- STARTTLS --------------------------------------------------------------------------------------------


class _Lines:
    """Reads lines from a stream; ``next`` returns ``None`` at its end or if a line is too long."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = b""

    async def next(self) -> str | None:
        while b"\n" not in self._buffer:
            chunk = await self._stream.receive_some(MAX_LINE)
            if not chunk or len(self._buffer) > MAX_LINE:
                return None
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode("ascii", "replace").strip()


def smtp(
    context: ssl.SSLContext | None, *, offered: bool = True, refusal: str = "454 4.7.0 TLS not available"
) -> Handler:
    """Return the handler of an SMTP server (RFC 5321, RFC 3207). Without ``context``, STARTTLS gets ``refusal``."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 mx.demo.test ESMTP ready\r\n")
        lines = _Lines(stream)
        while (line := await lines.next()) is not None:
            verb = line.upper().partition(" ")[0]
            if verb == "EHLO":
                capability = "250-STARTTLS\r\n" if offered else ""
                answer = f"250-mx.demo.test\r\n250-SIZE 10485760\r\n{capability}250 8BITMIME"
            elif verb == "STARTTLS" and context is not None and offered:
                await stream.send_all(b"220 2.0.0 Ready to start TLS\r\n")
                await serve_page(stream, context, "")
                return
            elif verb == "STARTTLS":
                answer = refusal if offered else "502 5.5.1 Command not implemented"
            elif verb == "QUIT":
                await stream.send_all(b"221 2.0.0 Bye\r\n")
                return
            else:
                answer = "250 2.0.0 OK" if verb in {"HELO", "NOOP", "RSET"} else "502 5.5.1 Command not implemented"
            await stream.send_all(answer.encode() + b"\r\n")

    return handle


def imap(context: ssl.SSLContext) -> Handler:
    """Return the handler of an IMAP server (RFC 9051) up to STARTTLS."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(b"* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready\r\n")
        lines = _Lines(stream)
        while (line := await lines.next()) is not None:
            tag, _, command = line.partition(" ")
            match command.upper():
                case "CAPABILITY":
                    answer = f"* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\r\n{tag} OK done"
                case "STARTTLS":
                    await stream.send_all(f"{tag} OK begin TLS\r\n".encode())
                    await serve_page(stream, context, "")
                    return
                case "LOGOUT":
                    await stream.send_all(f"* BYE\r\n{tag} OK\r\n".encode())
                    return
                case _:
                    answer = f"{tag} BAD not here"
            await stream.send_all(answer.encode() + b"\r\n")

    return handle


POSTGRES_SSL_REQUEST: Final = struct.pack(">II", 8, 80877103)


def postgres(context: ssl.SSLContext | None) -> Handler:
    """Return the handler of a PostgreSQL server: SSLRequest gets ``S`` and a handshake, or ``N`` without ``context``."""

    async def handle(stream: trio.SocketStream) -> None:
        request = b""
        while len(request) < len(POSTGRES_SSL_REQUEST):
            chunk = await stream.receive_some(len(POSTGRES_SSL_REQUEST) - len(request))
            if not chunk:
                return
            request += chunk
        if request == POSTGRES_SSL_REQUEST and context is not None:
            await stream.send_all(b"S")
            await serve_page(stream, context, "")
        else:
            await stream.send_all(b"N")
            await close_gracefully(stream)

    return handle
