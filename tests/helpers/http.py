"""A small HTTP/1.1 server on loopback with scripted answers, which may be malformed, and a fake resolver."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from scanner.model.evidence import DnsAnswer, DnsStatus
from scanner.net.dns.resolver import AddressResolver
from scanner.net.http.fetch import Fetcher, Turn

Answer = bytes | Callable[[trio.abc.Stream, "Asked"], Awaitable[None]]


@dataclass(slots=True)
class Asked:
    """A received request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a complete response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(target: str, status: str = "302 Found") -> bytes:
    """Return a redirect to ``target``."""
    return ok(b"", f"Location: {target}", status=status)


@dataclass(slots=True)
class Server:
    """A server; ``answers`` is by path, others get 404; ``asked`` are the requests, ``peak`` the most at once."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    delay: float = 0.0
    port: int = 0
    connections: int = 0
    open: int = 0
    peak: int = 0
    close_after_each: bool = False

    @property
    def targets(self) -> list[str]:
        return [asked.target for asked in self.asked]

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            async with stream:
                while await self._one(stream):
                    pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def _one(self, stream: trio.abc.Stream) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            more = await stream.receive_some()
            if not more:
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", "0")):
            body += await stream.receive_some()
        method, target, _ = first.split(" ")
        asked = Asked(method, target, headers, bytes(body))
        self.asked.append(asked)
        self.open += 1
        self.peak = max(self.peak, self.open)
        try:
            if self.delay:
                await trio.sleep(self.delay)
            answer = self.answers.get(target.partition("?")[0], ok(b"", status="404 Not Found"))
            if isinstance(answer, bytes):
                await stream.send_all(answer)
                return not self.close_after_each
            await answer(stream, asked)
            return False
        finally:
            self.open -= 1


@asynccontextmanager
async def serving(
    answers: Mapping[str, Answer] | None = None, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    """Run a server on a free port of 127.0.0.1 for the block."""
    server = Server(dict(answers or {}))

    async def handle(stream: trio.SocketStream) -> None:
        if tls is None:
            await server.serve(stream)
        else:
            await server.serve(trio.SSLStream(stream, tls, server_side=True, https_compatible=True))

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, handle, [listener])
        yield server
        nursery.cancel_scope.cancel()


@dataclass(slots=True)
class Names:
    """A resolver that knows the addresses of names; a list of lists gives each query the next list."""

    zone: Mapping[str, Sequence[str] | Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, name: str, *, ipv4: bool = True, ipv6: bool = True, unhurried: bool = False) -> DnsAnswer:
        turn = self.asked.count(name)
        self.asked.append(name)
        await trio.lowlevel.checkpoint()
        entry = self.zone.get(name, ())
        if entry and not isinstance(entry[0], str):
            entry = entry[min(turn, len(entry) - 1)]
        addresses = tuple(str(address) for address in entry)
        return DnsAnswer(DnsStatus.NOERROR if addresses else DnsStatus.NXDOMAIN, addresses)


@asynccontextmanager
async def open_fetcher(
    resolver: AddressResolver,
    *,
    private: bool = False,
    banned: Callable[[str], str | None] = lambda _: None,
    turn: Turn | None = None,
    ipv4: bool = True,
    ipv6: bool = True,
) -> AsyncIterator[Fetcher]:
    """Open a fetcher for the length of the block, which may ask every public address."""
    fetcher = Fetcher(resolver, private=private, banned=banned, turn=turn, ipv4=ipv4, ipv6=ipv6)
    try:
        yield fetcher
    finally:
        await fetcher.aclose()
