"""The UDP sockets to one resolver: which of them is free, and when one has served its time."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

import trio

from scanner.model.evidence import DnsStatus
from scanner.net.dns.reply import CLOSED, NoAnswer, error_text
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.transport import Network
from scanner.net.dns.udp_channel import UdpChannel
from scanner.net.random_pool import RandomPool
from scanner.process.limits import files_left, places

# Sockets from which the next one is chosen at random; there are more only while more exchanges are in flight. 16 ports
# times the ids leave an attacker who cannot see the traffic about a billion combinations, most of them changed before
# he is through.
POOL_SIZE: Final = 16
# Where there are few files, one in so many is a socket that stays open for names.
FILES_PER_SOCKET: Final = 6
# Exchanges after which a socket and its port are given up, and how many more at most by chance, so that the change cannot be foreseen.
SOCKET_USES: Final = 256
SOCKET_USES_SPREAD: Final = 256
# Where no file can be opened, others of this process will close some soon: seconds until the next try.
NO_FILES_PAUSE: Final = 0.05
NO_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class UdpPool:
    """Sockets to ``server``, open until :meth:`close`; ``now`` is trio's time."""

    def __init__(self, server: Server, network: Network, random: RandomPool, now: Callable[[], float]) -> None:
        self._server = server
        self._network = network
        self._random = random
        self._now = now
        self._idle: list[UdpChannel] = []
        self._channels: set[UdpChannel] = set()
        self._ignored = 0
        self._closed = False
        self._size = places(POOL_SIZE, files_left(), each=FILES_PER_SOCKET, reserved=0)
        self.opened = 0

    @property
    def ignored(self) -> int:
        """Datagrams that answered nothing that was asked."""
        return self._ignored + sum(channel.ignored for channel in self._channels)

    def take(self, chance: bytes) -> UdpChannel | NoAnswer | None:
        """Return a socket, chosen by ``chance`` (two octets or more); ``None`` if there is none until others close their files."""
        idle = self._idle
        if idle and len(self._channels) >= self._size:
            at = (chance[0] << 8 | chance[1]) % len(idle)
            channel = idle[at]
            idle[at] = idle[-1]
            idle.pop()
            channel.uses_left -= 1
            if channel.uses_left > 0:
                return channel
            self._discard(channel)
        return self._open()

    async def wait_for_one(self, seconds: float) -> UdpChannel | NoAnswer:
        """Return what :meth:`take` does, waiting up to ``seconds`` for a file to open."""
        until = self._now() + seconds
        while self._now() < until:
            await trio.sleep(NO_FILES_PAUSE)
            channel = self.take(self._random.take(2))
            if channel is not None:
                return channel
        return NoAnswer(DnsStatus.UNREACHABLE, "no file descriptor was free")

    def close(self) -> None:
        """Close all sockets; exchanges that are in flight end without further answers."""
        self._closed = True
        self._idle.clear()
        for channel in list(self._channels):
            self._discard(channel)

    def _open(self) -> UdpChannel | NoAnswer | None:
        if self._closed:
            return CLOSED
        try:
            datagram = self._network.open_datagram(self._server)
        except OSError as error:
            if error.errno not in NO_FILES:
                return NoAnswer(DnsStatus.UNREACHABLE, error_text(error))
            return self._idle.pop() if self._idle else None
        drawn = self._random.take(2)
        uses = SOCKET_USES + (drawn[0] << 8 | drawn[1]) % SOCKET_USES_SPREAD
        channel = UdpChannel(datagram, uses, self._release)
        self._channels.add(channel)
        self.opened += 1
        return channel

    def _release(self, channel: UdpChannel) -> None:
        """Take a socket back. Where a question was left open the answer may still come, so it serves no other exchange."""
        if channel.reusable and channel in self._channels:
            self._idle.append(channel)
        else:
            self._discard(channel)

    def _discard(self, channel: UdpChannel) -> None:
        if channel in self._channels:
            self._channels.remove(channel)
            self._ignored += channel.ignored
            channel.close()
