"""The UDP sockets to one resolver: which is free, when one has served its time, and until when each waits.

One task watches over all of them, instead of a deadline of trio's own for each exchange: the usual answer comes long
before its deadline, and then nobody needs to have heard of that.
"""

from __future__ import annotations

import errno
import heapq
from collections.abc import Callable
from typing import Final

import trio

from scanner.model.evidence import DnsStatus
from scanner.net.dns.resolver_config import Server
from scanner.net.dns.transport import Network
from scanner.net.dns.udp_channel import NEVER, Failure, Port, RandomNumbers, words
from scanner.process.limits import files_left, places

# Sockets from which the next one is chosen at random; there are more only while more exchanges are in flight. 16 ports
# times the ids leave an attacker who cannot see the traffic about a billion combinations, most of them changed before
# he is through.
POOL_SIZE: Final = 16
# Where there are few files, one in so many is a socket that stays open for names.
FILES_PER_PORT: Final = 6
# Exchanges after which a port is given up, and how many more at most by chance: nobody can count when it changes.
PORT_LIFETIME: Final = 256
PORT_LIFETIME_SPREAD: Final = 256
# Where no file can be opened, others of this process will close some soon: seconds until the next look.
NO_FILES_PAUSE: Final = 0.05
NO_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

CLOSED: Final = Failure(DnsStatus.UNREACHABLE, "the resolver is closed")


class Pool:
    """Sockets to ``server``. They live in ``nursery`` until it is cancelled; ``now`` tells trio's time."""

    def __init__(
        self,
        server: Server,
        network: Network,
        nursery: trio.Nursery,
        numbers: RandomNumbers,
        now: Callable[[], float],
    ) -> None:
        self._server = server
        self._network = network
        self._nursery = nursery
        self._numbers = numbers
        self._now = now
        self._idle: list[Port] = []
        self._ports: set[Port] = set()
        self._ignored = 0
        self._alarms: list[tuple[float, int, Port]] = []
        self._alarms_set = 0
        self._size = places(POOL_SIZE, files_left(), each=FILES_PER_PORT, reserved=0)
        self._clock: trio.CancelScope | None = None
        self.opened = 0

    @property
    def ignored(self) -> int:
        """Datagrams that answered nothing that was asked."""
        return self._ignored + sum(port.ignored for port in self._ports)

    def take(self, deadline: float, chance: bytes) -> Port | Failure | None:
        """A socket for one exchange that ends at ``deadline``; ``None`` where there is none until others close their files.

        ``chance`` is two or more random octets that decide which one.
        """
        idle = self._idle
        if idle and len(self._ports) >= self._size:
            at = (chance[0] << 8 | chance[1]) % len(idle)
            port = idle[at]
            idle[at] = idle[-1]
            idle.pop()
            port.life -= 1
            if port.life > 0:
                port.deadline = deadline
                if deadline < port.alarm:
                    self._set_alarm(port)
                return port
            self._close(port)
        return self._open(deadline)

    async def wait_for_one(self, seconds: float) -> Port | Failure:
        """As :meth:`take`, waiting up to ``seconds`` for one that may then be used for as long."""
        until = self._now() + seconds
        while self._now() < until:
            await trio.sleep(NO_FILES_PAUSE)
            port = self.take(self._now() + seconds, self._numbers.octets(2))
            if port is not None:
                return port
        return Failure(DnsStatus.UNREACHABLE, "no file descriptor was free")

    def _open(self, deadline: float) -> Port | Failure | None:
        if self._nursery.cancel_scope.cancel_called:
            return CLOSED
        try:
            datagram = self._network.open_datagram(self._server)
        except OSError as error:
            if error.errno not in NO_FILES:
                return Failure(DnsStatus.UNREACHABLE, words(error))
            if not self._idle:
                return None
            port = self._idle.pop()
        else:
            drawn = self._numbers.octets(2)
            life = PORT_LIFETIME + (drawn[0] << 8 | drawn[1]) % PORT_LIFETIME_SPREAD
            port = Port(datagram, life, self._free)
            self._ports.add(port)
            self.opened += 1
            if self._clock is None:
                self._clock = trio.CancelScope()
                self._nursery.start_soon(self._watch)
        port.deadline = deadline
        if deadline < port.alarm:
            self._set_alarm(port)
        return port

    def _free(self, port: Port) -> None:
        """An exchange is over. Where it left a question open the answer may still come, so nobody else gets this port."""
        port.deadline = NEVER
        if port.sound and port in self._ports:
            self._idle.append(port)
        else:
            self._close(port)

    def _close(self, port: Port) -> None:
        if port in self._ports:
            self._ports.remove(port)
            self._ignored += port.ignored
        port.close()

    # --- deadlines -----------------------------------------------------------------------------

    def _set_alarm(self, port: Port) -> None:
        """Have ``port`` looked at when its deadline is there. Alarms are not taken back: most find the port busy with a later
        exchange and are set anew, so that there is about one for each port and each timeout, not one for each exchange."""
        self._alarms_set += 1
        port.alarm = port.deadline
        entry = (port.alarm, self._alarms_set, port)
        heapq.heappush(self._alarms, entry)
        if self._alarms[0] is entry and self._clock is not None:
            self._clock.deadline = port.alarm

    async def _watch(self) -> None:
        """Rings until the nursery is cancelled, and closes everything then."""
        try:
            while True:
                self._clock = trio.CancelScope(deadline=self._alarms[0][0] if self._alarms else NEVER)
                with self._clock:
                    await trio.sleep_forever()
                self._ring(self._now())
        finally:
            ports, self._ports = self._ports, set()
            for port in ports:
                self._ignored += port.ignored
                port.expire()  # closed by whoever waits there ...
            for port in self._idle:
                port.close()  # ... or here, where nobody does
            self._idle.clear()

    def _ring(self, now: float) -> None:
        while self._alarms and self._alarms[0][0] <= now:
            at, _number, port = heapq.heappop(self._alarms)
            if at != port.alarm:
                continue  # an earlier one was set since
            port.alarm = NEVER
            if port.deadline <= now:
                port.expire()
            elif port.deadline < NEVER:
                self._set_alarm(port)
