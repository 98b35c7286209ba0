"""A network made of memory for the resolver: scripted servers, delays on trio's clock, and a check that all was closed."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping

import trio

from scanner.demo.dnsserver import Zone, respond
from scanner.net.dns_config import Server

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
            self._news = trio.Event()
            with trio.move_on_at(self._arriving[0][0] if self._arriving else float("inf")):
                await self._news.wait()

    def shut(self) -> None:
        if not self.closed:
            self.closed = True
            self.network.open -= 1


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

    async def wait_readable(self) -> None:
        await self.arrival()

    async def wait_writable(self) -> None:
        await trio.sleep(0.001)

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
