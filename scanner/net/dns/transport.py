"""Sockets to a resolver, behind two small protocols so that tests can give a network made of memory."""

from __future__ import annotations

import functools
import socket
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import trio

from scanner.net.dns.resolver_config import Server
from scanner.net.readiness import current_readiness
from scanner.net.sockets import open_stream

# A datagram is read whole or cut; no answer to a question with an EDNS size of 1232 is longer, but some servers ignore it.
MAX_DATAGRAM: Final = 4096


class Datagram(Protocol):
    """A UDP socket connected to one resolver, so that the kernel drops what others send (RFC 5452 section 9.2)."""

    @property
    def now(self) -> Callable[[], float]: ...

    def send(self, data: bytes) -> object:
        """Send without waiting; raises ``BlockingIOError`` when the buffer is full, ``OSError`` for what ICMP reported."""

    def receive(self) -> bytes:
        """Return a datagram that has arrived; raises ``BlockingIOError`` if there is none, ``OSError`` for what ICMP reported."""

    def readable(self, deadline: float) -> Awaitable[None]:
        """Wait until :meth:`receive` has something, an error included; raises as ``Readiness.readable``."""

    def writable(self, deadline: float) -> Awaitable[None]:
        """Wait until :meth:`send` has room; raises as ``Readiness.writable``."""

    def close(self) -> None:
        """Close the socket, and wake the task that waits for it with ``trio.ClosedResourceError``."""


class Network(Protocol):
    """Opens what a resolver is asked through. Both methods raise ``OSError``."""

    def open_datagram(self, server: Server) -> Datagram:
        """Return a new socket on a source port chosen at random by the kernel."""

    async def open_stream(self, server: Server) -> trio.abc.Stream:
        """Return a TCP connection (RFC 7766)."""


class UdpSocket:
    """The real :class:`Datagram`. Its methods are bound once to those of the socket: they are called for every name."""

    __slots__ = ("_socket", "close", "now", "readable", "receive", "send", "writable")

    def __init__(self, server: Server) -> None:
        address = server.socket_address()
        family = socket.AF_INET6 if server.is_ipv6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.connect(address)
        except BaseException:
            sock.close()
            raise
        ready = current_readiness()
        self._socket = sock
        self.now = ready.now
        self.send = sock.send
        self.receive = functools.partial(sock.recv, MAX_DATAGRAM)
        self.readable = functools.partial(ready.readable, sock)
        self.writable = functools.partial(ready.writable, sock)
        self.close = functools.partial(ready.close, sock)

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
        return await open_stream(server.socket_address())
