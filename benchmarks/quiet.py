"""Peers on loopback that never answer: they accept connections and stay silent, or do not even accept them.

The second kind is a listening socket whose queue of connections is full: Linux then silently drops further SYNs
(net/ipv4/tcp_input.c, tcp_conn_request), which to a client looks like an unused address. Both listen on 0.0.0.0, hence
on every address of 127.0.0.0/8.
"""

from __future__ import annotations

import multiprocessing
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Final

from benchmarks.measure import raise_file_limit
from benchmarks.server_programs import Unavailable

# The kernel's maximum: connections must be accepted at once.
BACKLOG: Final = 65535
# Connections that fill a queue of length zero: Linux accepts one more than the length.
FILLERS: Final = 8


@dataclass(frozen=True, slots=True)
class Quiet:
    """A peer that never answers; ``most`` is the highest number of open connections, ``None`` if it accepts none."""

    port: int
    most: Synchronized[int] | None

    def highest(self) -> int:
        return 0 if self.most is None else self.most.value


def _accept_and_say_nothing(listener: socket.socket, most: Synchronized[int]) -> None:
    raise_file_limit()
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    connections: set[socket.socket] = set()
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                with suppress(BlockingIOError, ConnectionError):
                    while True:
                        connection, _ = listener.accept()
                        connection.setblocking(False)
                        connections.add(connection)
                        selector.register(connection, selectors.EVENT_READ)
                most.value = max(most.value, len(connections))
                continue
            peer = key.fileobj
            assert isinstance(peer, socket.socket)
            try:
                gone = not peer.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                gone = True
            if gone:
                selector.unregister(peer)
                connections.discard(peer)
                peer.close()


@contextmanager
def accepting_and_silent() -> Iterator[Quiet]:
    """Run a peer that accepts connections, reads what is sent, and never answers."""
    most: Synchronized[int] = multiprocessing.Value("i", 0)
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen(BACKLOG)
        process = multiprocessing.Process(target=_accept_and_say_nothing, args=(listener, most), daemon=True)
        process.start()
        try:
            yield Quiet(listener.getsockname()[1], most)
        finally:
            process.kill()
            process.join()


@contextmanager
def dropping() -> Iterator[Quiet]:
    """Run a peer that drops every SYN."""
    with socket.socket() as listener, ExitStack() as stack:
        listener.bind(("0.0.0.0", 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(FILLERS):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with socket.socket() as probe:
            probe.settimeout(0.5)
            try:
                probe.connect(("127.0.0.2", port))
            except TimeoutError:
                pass
            else:
                raise Unavailable("a full queue of connections does not drop SYNs on this system")
        yield Quiet(port, None)
