"""Sockets to a resolver, behind two small protocols so that tests can give a network made of memory."""

from __future__ import annotations

import functools
import socket
from collections.abc import Awaitable
from typing import Final, Protocol

import trio

from scanner.net.dns.resolver_config import Server

# A datagram is read whole or cut; no answer to a question with an EDNS size of 1232 is longer, but some servers ignore it.
MAX_DATAGRAM: Final = 4096


class Datagram(Protocol):
    """A UDP socket connected to one resolver, so that the kernel drops what others send (RFC 5452 section 9.2)."""

    def send(self, data: bytes) -> object:
        """Send without waiting; raises ``BlockingIOError`` when the buffer is full, ``OSError`` for what ICMP reported."""

    def receive(self) -> bytes:
        """What has arrived; raises ``BlockingIOError`` where nothing has, ``OSError`` for what ICMP reported."""

    def wait_readable(self) -> Awaitable[None]:
        """Wait until :meth:`receive` has something, an error included; ``trio.ClosedResourceError`` after :meth:`wake`."""

    def wait_writable(self) -> Awaitable[None]:
        """Wait until :meth:`send` has room; ``trio.ClosedResourceError`` after :meth:`wake`."""

    def wake(self) -> None:
        """Whoever waits now waits no longer."""

    def close(self) -> None:
        """Give the port back."""


class Network(Protocol):
    """Opens what a resolver is asked through. Both methods raise ``OSError``."""

    def open_datagram(self, server: Server) -> Datagram:
        """A new socket on a source port chosen at random by the kernel."""

    async def open_stream(self, server: Server) -> trio.abc.Stream:
        """A TCP connection (RFC 7766)."""


class UdpSocket:
    """The real :class:`Datagram`: non-blocking calls on a plain socket, since a trio call for each would cost more than the DNS.

    ``send``, ``receive`` and ``wait_readable`` are those of the socket and of trio themselves: each of them is called
    for every name, and a method in between would only pass the call on.
    """

    __slots__ = ("_socket", "receive", "send", "wait_readable")

    def __init__(self, server: Server) -> None:
        address = server.socket_address()
        family = socket.AF_INET6 if server.is_ipv6 else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise
        self.send = self._socket.send
        self.receive = functools.partial(self._socket.recv, MAX_DATAGRAM)
        self.wait_readable = functools.partial(trio.lowlevel.wait_readable, self._socket.fileno())

    async def wait_writable(self) -> None:
        await trio.lowlevel.wait_writable(self._socket)

    def wake(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)

    def close(self) -> None:
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    @property
    def source_port(self) -> int:
        """The local port."""
        port: int = self._socket.getsockname()[1]
        return port


class SystemNetwork:
    """The machine's own network."""

    def open_datagram(self, server: Server) -> Datagram:
        return UdpSocket(server)

    async def open_stream(self, server: Server) -> trio.abc.Stream:
        family = socket.AF_INET6 if server.is_ipv6 else socket.AF_INET
        address = server.socket_address()
        connection = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await connection.connect(address)
            return trio.SocketStream(connection)
        except BaseException:
            connection.close()
            raise
