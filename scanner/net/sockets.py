"""TCP sockets that do not block: opening, sending, receiving, and what the errors of this machine mean.

Errors of the target are values in the evidence; what this machine lacks is ``OutOfResources``.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

import trio

from scanner.model.evidence import Failure
from scanner.net.readiness import Readiness

# A server's flight is 1 to 6 kB; a read of this size takes most of them at once.
READ_SIZE: Final = 16384
# Errors of connecting, as failures of the target
CONNECT_ERRORS: Final = {
    errno.ECONNREFUSED: Failure.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Failure.CONNECT_TIMEOUT,
    errno.ENETUNREACH: Failure.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Failure.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Failure.HOST_UNREACHABLE,
    # ICMPv6 administratively prohibited, source address failed policy, reject route (RFC 4443 section 3.1); a route of this machine too
    errno.EACCES: Failure.HOST_UNREACHABLE,
    # ICMP protocol unreachable, with which firewalls reject too; parameter problem
    errno.ENOPROTOOPT: Failure.HOST_UNREACHABLE,
    errno.EPROTO: Failure.HOST_UNREACHABLE,
    errno.ECONNRESET: Failure.CONNECTION_REFUSED,
    # this machine has no address, or not even the protocol, to reach such an address with
    errno.EADDRNOTAVAIL: Failure.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: Failure.NETWORK_UNREACHABLE,
}
# Errors of sending and receiving after the peer has sent RST
RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE})
# Errors of sending while the connection is not established yet: Linux, and the BSDs
STILL_CONNECTING: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN})
# One system call less where the platform has it
_NONBLOCK: Final = getattr(socket, "SOCK_NONBLOCK", 0)
# The machine has run out of something: the target is not at fault and is tried again when there is room.
EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)


# An address that is in no network, for the question whether there is a route for global IPv6 (RFC 3849).
GLOBAL_IPV6: Final = "2001:db8::1"


# What ``connect`` takes: address and port, and of IPv6 maybe flow and scope.
SocketAddress = tuple[str, int] | tuple[str, int, int, int]


class OutOfResources(Exception):
    """This machine, not the target, cannot open a connection now. ``errno`` says what it lacks."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number


def open_socket(address: str) -> socket.socket | None:
    """Return a non-blocking socket, or ``None`` if this machine lacks the address family. Raises ``OutOfResources``."""
    try:
        # The type that ``socket.socket`` is made from has all that a probe needs, and opens and closes without calls of Python.
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock: socket.socket = socket.SocketType(family, socket.SOCK_STREAM | _NONBLOCK)  # type: ignore[assignment]
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise OutOfResources(error.errno) from None
        if error.errno != errno.EAFNOSUPPORT:
            raise
        return None
    if not _NONBLOCK:
        sock.setblocking(False)
    return sock


def has_route(address: str, port: int = 9) -> bool:
    """Return True if there is a route for ``address`` or no file to find out; connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((address, port))
    except OSError as error:
        return error.errno in EXHAUSTED and error.errno != errno.EADDRNOTAVAIL
    return True


async def send(ready: Readiness, sock: socket.socket, data: bytes, deadline: float) -> None:
    """Send all of ``data``. Raises ``DeadlinePassed`` and ``OSError``."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await ready.writable(sock, deadline)


async def receive(ready: Readiness, sock: socket.socket, deadline: float) -> bytes:
    """Return at most ``READ_SIZE`` bytes, ``b""`` at the end; no checkpoint if some are there. Raises ``DeadlinePassed``, ``OSError``."""
    while True:
        try:
            return sock.recv(READ_SIZE)
        except BlockingIOError:
            await ready.readable(sock, deadline)


async def open_stream(address: SocketAddress) -> trio.SocketStream:
    """Connect by TCP with trio's own means, for everything that is no probe. Raises ``OSError``."""
    sock = trio.socket.socket(trio.socket.AF_INET6 if ":" in address[0] else trio.socket.AF_INET)
    try:
        await sock.connect(address)
        return trio.SocketStream(sock)
    except BaseException:
        sock.close()
        raise
