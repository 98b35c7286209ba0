"""A network made of memory for the resolver: scripted servers, delays on trio's clock, and a check that all was closed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from scanner.demo.dns_server import Node, Zone, respond
from scanner.net.dns import resolver_config
from scanner.net.dns.resolver import Resolver, open_resolver
from scanner.net.dns.resolver_config import Server, SystemResolvers
from scanner.net.readiness import DeadlinePassed

ONE, TWO, THREE = (Server(f"192.0.2.{n}") for n in (1, 2, 3))
# A name for each thing that can happen to one.
ZONE: Zone = {
    "a.example": Node(a=("127.0.0.1", "127.0.0.2"), aaaa=("::1",)),
    "v4.example": Node(a=("127.0.0.4",)),
    "v6.example": Node(aaaa=("::6",)),
    "nodata.example": Node(),
    "secure.example": Node(a=("127.0.0.1",), aaaa=("::1",), authenticated=True),
    "www.example": Node(cname="mid.example"),
    "mid.example": Node(cname="a.example"),
    "stops.example": Node(cname="stops2.example", stops_at_cname=True),
    "stops2.example": Node(cname="v4.example", stops_at_cname=True),
    "stops-nowhere.example": Node(cname="gone.example", stops_at_cname=True),
    "stops-empty.example": Node(cname="nodata.example", stops_at_cname=True),
    "stops-loop.example": Node(cname="stops-loop2.example", stops_at_cname=True),
    "stops-loop2.example": Node(cname="stops-loop.example", stops_at_cname=True),
    "dangling.example": Node(cname="gone.example"),
    "loop.example": Node(cname="loop2.example"),
    "loop2.example": Node(cname="loop3.example"),
    "loop3.example": Node(cname="loop2.example"),
    "self.example": Node(cname="self.example"),
    "bogus.example": Node(a=("127.0.0.1",), bogus=True),
    "bogus-ede.example": Node(a=("127.0.0.1",), bogus=True, extended_errors=((9, "no DNSKEY"),)),
    "broken.example": Node(rcode="SERVFAIL", extended_errors=((22, "no reachable authority"), (23, ""))),
    "to-broken.example": Node(cname="broken.example"),
    "one-family.example": Node(a=("127.0.0.1",), failing_types=("AAAA",)),
    "half-quiet.example": Node(aaaa=("::1",), silent_types=("A",)),
    "refused.example": Node(rcode="REFUSED"),
    "formerr.example": Node(rcode="FORMERR"),
    "notimp.example": Node(rcode="NOTIMP"),
    "notauth.example": Node(rcode="NOTAUTH"),
    "quiet.example": Node(silent=True),
    "t.example": Node(a=("127.0.0.1",), aaaa=("::1",), truncated=True),
    "large.example": Node(a=tuple(f"10.0.{n // 200}.{n % 200}" for n in range(400))),
    "example": Node(caa=((0, "issue", "ca.example"), (128, "iodef", 'mailto:"x"\\y'))),
    "none.test": Node(a=("127.0.0.1",)),
    "caa-fails.test": Node(failing_types=("CAA",)),
    "_443._tcp.a.example": Node(tlsa=((3, 1, 1, b"\1" * 32), (2, 0, 2, b"\2" * 64)), authenticated=True),
    "_25._tcp.a.example": Node(rcode="SERVFAIL"),
    **{f"long{n}.example": Node(cname=f"long{n + 1}.example", stops_at_cname=True) for n in range(40)},
}

# What one query brings: (seconds until it arrives, octets or the error that the socket then reports), in any number.
Arrivals = list[tuple[float, bytes | OSError]]
Script = Callable[[bytes, bool], Arrivals]


def serving(zone: Zone, delay: float = 0.01, *, edns: bool = True) -> Script:
    """A server for ``zone`` whose answers take ``delay`` seconds."""

    def script(query: bytes, tcp: bool) -> Arrivals:
        response = respond(query, zone, tcp=tcp, edns=edns)
        return [] if response is None else [(delay, response)]

    return script


def silent(query: bytes, tcp: bool) -> Arrivals:
    """A server that is not there, behind a firewall that says nothing."""
    return []


class MemoryNetwork:
    """Servers by their text. One that is not listed cannot be opened: "network is unreachable"."""

    def __init__(self, servers: Mapping[str, Script]) -> None:
        self.servers = servers
        self.opened = 0
        self.open = 0
        self.queries: list[tuple[float, str, bytes]] = []
        self.failures: list[OSError] = []  # raised by the next attempts to open something, one each

    def open_datagram(self, server: Server) -> MemoryDatagram:
        self._check(server)
        return MemoryDatagram(self, server)

    async def open_stream(self, server: Server) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self._check(server)
        return MemoryStream(self, server)

    def _check(self, server: Server) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if server.text not in self.servers:
            raise OSError(101, "Network is unreachable")

    def ask(self, server: Server, query: bytes, tcp: bool) -> Arrivals:
        self.queries.append((trio.current_time(), server.text, query))
        return self.servers[server.text](query, tcp)

    def count(self, server: str) -> int:
        return sum(asked == server for _time, asked, _query in self.queries)


class _Arriving:
    def __init__(self, network: MemoryNetwork, server: Server) -> None:
        self.network = network
        self.server = server
        self.closed = False
        self._numbers = itertools.count()
        self._arriving: list[tuple[float, int, bytes | OSError]] = []
        self._news = trio.Event()
        network.opened += 1
        network.open += 1

    def put(self, arrivals: Arrivals) -> None:
        for delay, item in arrivals:
            heapq.heappush(self._arriving, (trio.current_time() + delay, next(self._numbers), item))
        self._news.set()

    def take(self) -> bytes:
        if not self._arriving or self._arriving[0][0] > trio.current_time():
            raise BlockingIOError
        item = heapq.heappop(self._arriving)[2]
        if isinstance(item, OSError):
            raise item
        return item

    async def arrival(self) -> None:
        await trio.lowlevel.checkpoint()
        while not self._arriving or self._arriving[0][0] > trio.current_time():
            if self.closed:
                raise trio.ClosedResourceError
            self._news = trio.Event()
            with trio.move_on_at(self._arriving[0][0] if self._arriving else float("inf")):
                await self._news.wait()

    def shut(self) -> None:
        if not self.closed:
            self.closed = True
            self.network.open -= 1
            self._news.set()


class MemoryDatagram(_Arriving):
    def __init__(self, network: MemoryNetwork, server: Server) -> None:
        super().__init__(network, server)
        self.full = 0  # how many more sends find the buffer full

    def send(self, data: bytes) -> None:
        assert not self.closed
        if self.full:
            self.full -= 1
            raise BlockingIOError
        self.put(self.network.ask(self.server, data, False))

    def receive(self) -> bytes:
        assert not self.closed
        return self.take()

    def now(self) -> float:
        return trio.current_time()

    async def readable(self, deadline: float) -> None:
        with trio.move_on_at(deadline) as scope:
            await self.arrival()
        if scope.cancelled_caught:
            raise DeadlinePassed

    async def writable(self, deadline: float) -> None:
        with trio.move_on_at(deadline) as scope:
            await trio.sleep(0.001)
        if scope.cancelled_caught:
            raise DeadlinePassed

    def close(self) -> None:
        self.shut()


class MemoryStream(_Arriving, trio.abc.Stream):
    """TCP in memory: a script's octets are framed, an empty one is the end, an error is a broken connection."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        query = bytes(data)
        assert int.from_bytes(query[:2], "big") == len(query) - 2
        for delay, item in self.network.ask(self.server, query[2:], True):
            self.put([(delay, len(item).to_bytes(2, "big") + item if isinstance(item, bytes) and item else item)])

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self.arrival()
        try:
            data = self.take()
        except OSError as error:
            raise trio.BrokenResourceError from error
        # A byte at a time: framing must not depend on how the octets arrive.
        if len(data) > 1:
            now = trio.current_time()
            for position in range(1, len(data)):
                heapq.heappush(self._arriving, (now, next(self._numbers), data[position : position + 1]))
        return data[:1]

    async def aclose(self) -> None:
        self.shut()
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def memory_resolver(
    scripts: Sequence[Script], *, timeout: float = 3, retries: int = 1, rotate: bool = False, patience: float = 60
) -> AsyncIterator[tuple[Resolver, MemoryNetwork]]:
    servers = (ONE, TWO, THREE)[: len(scripts)]
    network = MemoryNetwork({server.text: script for server, script in zip(servers, scripts, strict=True)})
    async with open_resolver(
        timeout=timeout,
        retries=retries,
        patience=patience,
        network=network,
        system=SystemResolvers(servers, rotate=rotate),
        hosts=resolver_config.Hosts(),
    ) as resolver:
        yield resolver, network
    assert network.open == 0, "a socket was left open"
