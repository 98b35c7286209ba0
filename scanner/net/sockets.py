"""A TCP socket, and what this machine says of it: opening, connecting, sending and receiving without blocking the others.

Errors of the target are values for the probe to tell; what this machine lacks is ``OutOfResources``.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

import trio

from scanner.model.evidence import Failure

# A server's flight is 1 to 6 kB; a read of this size takes most of them at once.
READ_SIZE: Final = 16384
# What connecting says, as a failure of the target
CONNECT_ERRORS: Final = {
    errno.ECONNREFUSED: Failure.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Failure.CONNECT_TIMEOUT,
    errno.ENETUNREACH: Failure.NETWORK_UNREACHABLE,
    errno.EHOSTUNREACH: Failure.HOST_UNREACHABLE,
    errno.EHOSTDOWN: Failure.HOST_UNREACHABLE,
    errno.ECONNRESET: Failure.CONNECTION_REFUSED,
    # this machine has no address, or not even the protocol, to reach such an address with
    errno.EADDRNOTAVAIL: Failure.NETWORK_UNREACHABLE,
    errno.EAFNOSUPPORT: Failure.NETWORK_UNREACHABLE,
}
# What sending and receiving say when the peer has sent RST
RESET: Final = frozenset({errno.ECONNRESET, errno.EPIPE})
# The machine has run out of something: the target is not at fault and is tried again when there is room.
EXHAUSTED: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL, errno.EAGAIN}
)


class OutOfResources(Exception):
    """This machine, not the target, cannot open a connection now. ``errno`` says what it lacks."""

    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, str(number)))
        self.errno = number


def open_socket(address: str) -> socket.socket | None:
    """A non-blocking socket; ``None`` where this machine does not have the family of the address. Raises ``OutOfResources``."""
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


def has_source(sock: socket.socket, address: str, port: int) -> bool:
    """This machine has an address to reach this one from. Connecting a datagram socket looks that up and sends nothing."""
    try:
        with socket.socket(sock.family, socket.SOCK_DGRAM) as datagram:
            datagram.connect((address, port))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


# What sending says while the connection is not there yet: Linux, and the BSDs
STILL_CONNECTING: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOTCONN})


# One system call less where the platform has it
_NONBLOCK: Final = getattr(socket, "SOCK_NONBLOCK", 0)


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of it. Raises ``OSError``."""
    while data:
        try:
            data = data[sock.send(data) :]
        except BlockingIOError:
            await trio.lowlevel.wait_writable(sock)


async def receive(sock: socket.socket) -> bytes:
    """What has arrived, at most ``READ_SIZE``; ``b""`` at the end. No checkpoint where something is there. Raises ``OSError``."""
    while True:
        try:
            return sock.recv(READ_SIZE)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
