"""How the demo's servers behave, one function for each kind of behaviour: a handler takes a connection and answers it.

Handlers never clean up after a peer that goes away: ``run_handler`` does it for all of them.
Where a server is done it says so with FIN and waits for the peer (``part``): closing a socket that still holds
unread bytes would turn a close into a reset, and a lost alert into a different case.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from typing import Final, TypeVar

import trio

from scanner.demo import wire
from scanner.demo.hello import ClientHello, HelloError, complete_hello_untrusted, parse_hello_untrusted
from scanner.demo.pki import Credential

_T = TypeVar("_T")
Handler = Callable[[trio.SocketStream], Awaitable[None]]

# No connection outlives this, so that a client that forgets one costs a socket for a while and not for ever.
CONNECTION_SECONDS: Final = 60.0
# How long a server that has said its last waits for the peer to go: longer than any answer on loopback takes.
PARTING_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 5.0
MAX_REQUEST: Final = 16384
# One Ethernet segment with room for headers: the size at which old middleboxes gave up on larger hellos.
ONE_PACKET: Final = 1400


async def run_handler(handler: Handler, stream: trio.SocketStream) -> None:
    """Runs one connection to its end; what peers do to it (vanish, refuse, send garbage) ends it quietly."""
    with trio.move_on_after(CONNECTION_SECONDS):
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError, HelloError):
            pass


# --- small steps ---------------------------------------------------------------------------------


async def read_hello(stream: trio.SocketStream) -> tuple[ClientHello, bytes]:
    """The client's hello and the bytes it came in. Raises ``HelloError`` for anything else."""
    received = b""
    while True:
        chunk = await stream.receive_some()
        if not chunk:
            raise HelloError("closed before a hello")
        received += chunk
        message = complete_hello_untrusted(received)
        if message is not None:
            return parse_hello_untrusted(message, len(received)), received


async def part(stream: trio.SocketStream) -> None:
    """Ends our side, and waits a moment for the peer to end its own."""
    await stream.send_eof()
    with trio.move_on_after(PARTING_SECONDS):
        await drain(stream)


async def drain(stream: trio.SocketStream) -> None:
    """Reads and forgets until the peer ends."""
    while await stream.receive_some():
        pass


def reset(stream: trio.SocketStream) -> None:
    """Closes with RST instead of FIN (SO_LINGER of zero seconds)."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


# --- OpenSSL, as real servers have it --------------------------------------------------------------


def openssl(context: ssl.SSLContext, page: str, *, refusal: bytes = b"", date_off: float | None = None) -> Handler:
    """A real handshake, then one plain page over HTTP for whoever asks (a browser, curl); ``refusal`` instead, where there is
    one, for clients without a certificate. With ``date_off`` the page has a Date, so many seconds off."""

    async def handle(stream: trio.SocketStream) -> None:
        await converse(stream, context, page, refusal=refusal, date_off=date_off)

    return handle


class _Tls:
    """The server's side of TLS over a stream. Unlike ``trio.SSLStream`` it sends the alert of a handshake that fails."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, received: bytes) -> None:
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._incoming.write(received)
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def handshake(self) -> None:
        await self._until_done(self._object.do_handshake)

    @property
    def client_is_known(self) -> bool:
        return self._object.getpeercert(binary_form=True) is not None

    async def read(self) -> bytes:
        return await self._until_done(lambda: self._object.read(4096))

    async def write(self, data: bytes) -> None:
        await self._until_done(lambda: self._object.write(data))

    async def close(self) -> None:
        await self._until_done(self._object.unwrap)

    async def _until_done(self, step: Callable[[], _T]) -> _T:
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


async def converse(
    stream: trio.SocketStream,
    context: ssl.SSLContext,
    page: str,
    received: bytes = b"",
    *,
    refusal: bytes = b"",
    date_off: float | None = None,
) -> None:
    """The server's side of TLS, of which the client's first bytes may have been read, and one HTTP answer."""
    tls = _Tls(stream, context, received)
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
                if date_off is not None:
                    head += f"Date: {formatdate(time.time() + date_off, usegmt=True)}\r\n"
                answer = head.encode() + b"Connection: close\r\n\r\n" + body
                await tls.write(refusal if refusal and not tls.client_is_known else answer)
            await tls.close()
    except ssl.SSLError:
        await part(stream)


# --- one answer to every hello -----------------------------------------------------------------------


def answering(answer: bytes) -> Handler:
    """Reads the hello, sends the bytes, ends."""

    async def handle(stream: trio.SocketStream) -> None:
        await read_hello(stream)
        if answer:
            await stream.send_all(answer)
        await part(stream)

    return handle


def greeting(banner: bytes, answer: bytes = b"") -> Handler:
    """A server of another protocol that speaks first, and answers what it does not understand."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(banner)
        if await stream.receive_some() and answer:
            await stream.send_all(answer)
        await part(stream)

    return handle


def plain_http(answer: bytes) -> Handler:
    """A server that waits for a request line and takes the hello for a bad one."""

    async def handle(stream: trio.SocketStream) -> None:
        if await stream.receive_some():
            await stream.send_all(answer)
        await part(stream)

    return handle


async def silent(stream: trio.SocketStream) -> None:
    """Takes everything and says nothing."""
    await drain(stream)


async def resetting(stream: trio.SocketStream) -> None:
    """Answers the hello with RST."""
    await read_hello(stream)
    reset(stream)


# --- what depends on the hello -------------------------------------------------------------------------

Condition = Callable[[ClientHello], bool]
Flight = Callable[[ClientHello, int, wire.Suite, Credential], bytes]


def unless(condition: Condition, refuse: Handler, context: ssl.SSLContext, page: str) -> Handler:
    """A real server behind something that reads the hello: where the condition holds, ``refuse`` gets the connection."""

    async def handle(stream: trio.SocketStream) -> None:
        hello, received = await read_hello(stream)
        if condition(hello):
            await refuse(stream)
        else:
            await converse(stream, context, page, received)

    return handle


async def refuse_with_reset(stream: trio.SocketStream) -> None:
    """RST, as from a filter in between."""
    await trio.lowlevel.checkpoint()
    reset(stream)


async def refuse_with_close(stream: trio.SocketStream) -> None:
    """FIN without a word."""
    await part(stream)


def refuse_with_alert(description: wire.Alert) -> Handler:
    """A fatal alert, then FIN."""

    async def refuse(stream: trio.SocketStream) -> None:
        await stream.send_all(wire.alert(description))
        await part(stream)

    return refuse


def scripted(
    credential: Credential,
    *,
    version: int = wire.TLS12,
    suites: Sequence[wire.Suite],
    flight: Flight = wire.server_flight,
    scheme: int | None = None,
    answers_any_version: bool = False,
    hangs_up: bool = False,
) -> Handler:
    """A server of one version and the given suites, up to ServerHelloDone.

    ``answers_any_version``: replies with its own version whatever is offered, as servers from before version lists do;
    otherwise a hello without the version gets the ``protocol_version`` alert. ``scheme``: signs with
    this one alone, and refuses who does not offer it. ``hangs_up``: ends right after the flight.
    """

    async def handle(stream: trio.SocketStream) -> None:
        hello, _ = await read_hello(stream)
        chosen = next((suite for suite in suites if suite in hello.suites), None)
        if not hello.allows(version) and not (answers_any_version and hello.legacy_version >= version):
            await stream.send_all(wire.alert(wire.Alert.PROTOCOL_VERSION, version))
        elif chosen is None or (scheme is not None and scheme not in hello.schemes):
            await stream.send_all(wire.alert(wire.Alert.HANDSHAKE_FAILURE, version))
        else:
            await stream.send_all(flight(hello, version, chosen, credential))
            # A client that goes on sends its key exchange: there is nobody here to finish with.
            if not hangs_up and await stream.receive_some():
                await stream.send_all(wire.alert(wire.Alert.ACCESS_DENIED, version))
        await part(stream)

    return handle


# --- STARTTLS --------------------------------------------------------------------------------------------

MAX_LINE: Final = 2048


class _Lines:
    """Lines from a stream; ``None`` when the peer is done or sends one that is too long."""

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
    """An SMTP server (RFC 5321, RFC 3207). Without a context it refuses STARTTLS in its own words."""

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
                await converse(stream, context, "")
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
    """An IMAP server (RFC 9051) as far as STARTTLS."""

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
                    await converse(stream, context, "")
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
    """A PostgreSQL server asked for TLS (protocol 3.0, SSLRequest): ``S`` and a handshake, or ``N``."""

    async def handle(stream: trio.SocketStream) -> None:
        request = b""
        while len(request) < len(POSTGRES_SSL_REQUEST):
            chunk = await stream.receive_some(len(POSTGRES_SSL_REQUEST) - len(request))
            if not chunk:
                return
            request += chunk
        if request == POSTGRES_SSL_REQUEST and context is not None:
            await stream.send_all(b"S")
            await converse(stream, context, "")
        else:
            await stream.send_all(b"N")
            await part(stream)

    return handle
