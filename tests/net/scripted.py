"""Servers on loopback that follow a script, for what no real server does; they and the probe share one trio loop and its clock."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from scanner.model.evidence import Probe
from scanner.net.probe import Prober, Timing
from scanner.starttls import dialogue
from scanner.tls.offers import MODERN, Offer
from scanner.tls.plaintext import recognise
from tests.tls.peers import public_key_of, server_context

HOST = "127.0.0.1"
# Seconds after the test within which every connection must have been closed
LONGEST = 3600
# Where a test is not about time
AMPLE = Timing(connect=5, handshake=10, total=15)


class Peer:
    """The server's end of one connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.heard = b""

    async def hear(self, count: int) -> bytes:
        """Exactly so many bytes of the client."""
        while len(self.heard) < count:
            data = await self.stream.receive_some()
            assert data, f"the client left after {self.heard!r}"
            self.heard += data
        taken, self.heard = self.heard[:count], self.heard[count:]
        return taken

    async def line(self) -> bytes:
        """One line of the client."""
        line = b""
        while not line.endswith(b"\n"):
            line += await self.hear(1)
        return line

    async def hello(self) -> bytes:
        """The client's first record."""
        head = await self.hear(5)
        return head + await self.hear(int.from_bytes(head[3:5], "big"))

    async def say(self, data: bytes) -> None:
        """Send."""
        await self.stream.send_all(data)

    async def trickle(self, data: bytes, every: float = 1) -> None:
        """Send a byte, wait, and so on."""
        for at in range(len(data)):
            await self.say(data[at : at + 1])
            await trio.sleep(every)

    async def silence(self) -> bytes:
        """Say nothing until the client leaves; what it said before."""
        said = self.heard
        try:
            while data := await self.stream.receive_some():
                said += data
        except trio.BrokenResourceError:
            pass  # it left in a hurry
        return said

    def reset(self) -> None:
        """End the connection by RST."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Peer], Awaitable[None]]


def flight(hello: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """What OpenSSL answers to a hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = (context or server_context()).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    try:
        server.do_handshake()
    except ssl.SSLError:
        pass  # wants to read on, or its alert is in ``outgoing``
    return outgoing.read()


class Server:
    """Where it listens, and how many connections it has had; each of them was closed by the client in the end."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.connections = 0


@asynccontextmanager
async def serving(script: Script, host: str = HOST) -> AsyncIterator[Server]:
    """Connections to ``server`` follow the script. Leaving the block waits for the client to close every one of them."""
    family = trio.socket.AF_INET6 if ":" in host else trio.socket.AF_INET
    listening = trio.socket.socket(family, trio.socket.SOCK_STREAM)
    await listening.bind((host, 0))
    listening.listen(100)
    server = Server(host, listening.getsockname()[1])

    async def serve(stream: trio.SocketStream) -> None:
        server.connections += 1
        async with stream:
            peer = Peer(stream)
            try:
                await script(peer)
            except trio.BrokenResourceError:
                pass  # the client is gone: that is what is waited for

    async with trio.SocketListener(listening) as listener, trio.open_nursery() as accepting:
        async with trio.open_nursery() as handlers:
            accepting.start_soon(partial(trio.serve_listeners, serve, [listener], handler_nursery=handlers))
            yield server
            await wait_all_tasks_blocked(0.005)  # a connection may not have been accepted yet
            handlers.cancel_scope.deadline = trio.current_time() + LONGEST
        assert not handlers.cancel_scope.cancelled_caught, "the client left a connection open"
        accepting.cancel_scope.cancel()


async def probe_of(
    server: Server,
    *,
    protocol: str = "tls",
    offer: Offer = MODERN,
    sni: str | None = "a.test",
    timing: Timing = AMPLE,
    address: str | None = None,
    proxy: int = 0,
) -> Probe:
    """One probe of a server."""
    prober = Prober(public_key_of)
    return await prober.probe(
        address or server.host,
        server.port,
        offer=offer,
        sni=sni,
        alpn=(),
        dialogue=dialogue(protocol, host="a.test", recognise=recognise),
        timing=timing,
        proxy=proxy,
    )


def probed(
    script: Script,
    *,
    protocol: str = "tls",
    offer: Offer = MODERN,
    timing: Timing = AMPLE,
    host: str = HOST,
    address: str | None = None,
    proxy: int = 0,
) -> tuple[Probe, float]:
    """One probe of a server with this script, and the seconds that it took on a clock that jumps over waiting."""

    async def main() -> tuple[Probe, float]:
        async with serving(script, host) as server:
            began = trio.current_time()
            probe = await probe_of(server, protocol=protocol, offer=offer, timing=timing, address=address, proxy=proxy)
            return probe, trio.current_time() - began

    # loopback delivers at once, but the kernel may finish a moment after the call
    return trio.run(main, clock=MockClock(autojump_threshold=0.005))
