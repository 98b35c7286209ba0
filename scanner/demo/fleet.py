"""The demo's fleet, running: every case of the catalogue on loopback, its DNS, and the files that describe it.

Each server gets an address of its own in 127.0.0.0/8 where the system lets one bind there (Linux does; macOS has 127.0.0.1 alone),
so that pacing by address sees a fleet and not one machine. What cannot be had here is left out of the inventory and
said in ``Fleet.skipped``. Nothing is ever bound or named outside loopback.
"""

from __future__ import annotations

import csv
import errno
import shlex
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio
from cryptography.exceptions import UnsupportedAlgorithm
from msgspec import Struct, field

from scanner.demo.cases import Case, Opening, Place, Socket, Workshop
from scanner.demo.catalogue import CASES
from scanner.demo.dnsserver import Node, serve_dns
from scanner.demo.pki import Pki, pem
from scanner.demo.servers import Handler, run_handler
from scanner.demo.services import services
from scanner.demo.timeserver import SERVERS, serve_time
from scanner.demo.zone import records

COLUMNS: Final = ("host", "port", "protocol", "owner", "expected", "story")
# 127.94.x.y: clear of 127.0.0.1, where people run things, and of 127.0.1.1 and 127.0.0.53, where Debian and systemd do.
FIRST_ADDRESS: Final = (127 << 24) | (94 << 16) | 1
ONLY_ADDRESS: Final = "127.0.0.1"
IPV6_ADDRESS: Final = "::1"
# Enough for a burst of probes from every follow-up at once.
BACKLOG: Final = 64
# A port that is free on one address is nearly always free on the next; eight tries do not all fail by chance.
PORT_TRIES: Final = 8
# Connections from ourselves that wait in a queue of length zero; the kernel takes one or two before it drops SYNs.
QUEUE_FILLERS: Final = 4
# A connection on loopback that could be accepted is there at once.
QUEUE_TEST_SECONDS: Final = 0.1
# Where a case has no server its port is never reached.
DEFAULT_PORT: Final = 443


class Row(Struct, frozen=True):
    """A case as it stands in the inventory."""

    case: Case
    host: str
    port: int
    addresses: tuple[str, ...] = ()

    def curl(self, roots: Path) -> str | None:
        """A command that shows the case to a person; ``None`` where there is no server for curl."""
        if not self.addresses or self.case.protocol not in ("tls", "https"):
            return None
        host, to = _a_label(self.host), ""
        if self.host not in self.addresses:
            listed = ",".join(f"[{address}]" if ":" in address else address for address in self.addresses)
            to = f" --resolve {shlex.quote(f'{host}:{self.port}:{listed}')}"
        return f"curl --cacert {shlex.quote(str(roots))}{to} https://{host}:{self.port}/"


class Fleet(Struct, frozen=True):
    """A running fleet.

    ``resolver`` is "ADDRESS:PORT" of its DNS server, ``time_servers`` are those that tell the time; ``config_hints`` are
    options of ``ScanConfig`` under which the slowest case ends in seconds: everything is on this machine, so what has not
    answered in a second or two never will. Few are asked at a time, since both ends share this process: on a busy machine
    a hundred handshakes at once would all run out of time.
    """

    directory: Path
    resolver: str
    rows: tuple[Row, ...]
    skipped: tuple[tuple[Case, str], ...]
    time_servers: tuple[str, ...] = ()
    config_hints: dict[str, Any] = field(
        default_factory=lambda: {
            "concurrency": 12,
            "connect_timeout": 1.5,
            "timeout": 5.0,
            "retries": 0,
            "all_addresses": True,
            "private_urls": True,
        }
    )

    @property
    def inventory(self) -> Path:
        """The inventory: one row for each case."""
        return self.directory / "inventory.csv"

    @property
    def roots(self) -> Path:
        """The one root that the fleet's certificates are under, PEM."""
        return self.directory / "roots.pem"

    @property
    def ct_logs(self) -> Path:
        """The log list by which the fleet's certificates are in order, JSON."""
        return self.directory / "ctlogs.json"


class CannotHere(Exception):
    """This system cannot stage a case; the message says why."""


class Servers(Struct, frozen=True):
    """Servers that are up, without DNS."""

    pki: Pki
    rows: tuple[Row, ...]
    skipped: tuple[tuple[Case, str], ...]
    time_servers: tuple[str, ...] = ()


@asynccontextmanager
async def run_fleet(directory: Path, *, cases: Sequence[Case] = CASES) -> AsyncIterator[Fleet]:
    """Starts DNS and servers, writes ``inventory.csv``, ``roots.pem`` and ``ctlogs.json`` into ``directory``, and stops all at the end.

    Raises ``OSError`` where the directory cannot be written or loopback not be bound.
    """
    _make(directory)
    async with run_servers(cases) as servers:
        async with serve_dns(_zone(servers.rows), ONLY_ADDRESS) as dns:
            _write_files(directory, servers.rows, servers.pki)
            yield Fleet(directory, dns.text, servers.rows, servers.skipped, servers.time_servers)


@asynccontextmanager
async def run_servers(cases: Sequence[Case] = CASES) -> AsyncIterator[Servers]:
    """The servers of the cases, each on an address and port of its own. Raises ``OSError`` where loopback cannot be bound."""
    rows: list[Row] = []
    skipped: list[tuple[Case, str]] = []
    addresses = _Addresses()
    listeners: list[tuple[trio.SocketListener, Handler]] = []
    with ExitStack() as held:
        with Workshop(Pki(time.time())) as shop:
            # The CA's own services come first: certificates say where they are.
            places = addresses.take(1)
            [bound] = _bind(places)
            held.callback(bound.close)
            bound.listen(BACKLOG)
            shop.pki.services = f"http://{places[0]}:{bound.getsockname()[1]}"
            listeners.append((trio.SocketListener(trio.socket.from_stdlib_socket(bound)), services(shop.pki)))
            clocks = _time_sockets(addresses, held)
            for case in cases:
                try:
                    if case.needs_time and not clocks:
                        raise CannotHere(
                            f"time servers need addresses of their own, and this system has {ONLY_ADDRESS} alone"
                        )
                    with ExitStack() as kept:
                        row, opened = _open(case, shop, addresses, kept)
                        held.push(kept.pop_all())
                except CannotHere as error:
                    skipped.append((case, str(error)))
                else:
                    rows.append(row)
                    listeners += opened
        async with trio.open_nursery() as nursery:
            for listener, handler in listeners:
                nursery.start_soon(trio.serve_listeners, partial(run_handler, handler), [listener])
            for bound in clocks:
                nursery.start_soon(serve_time, trio.socket.from_stdlib_socket(bound))
            told = tuple("{}:{}".format(*bound.getsockname()) for bound in clocks)
            yield Servers(shop.pki, tuple(rows), tuple(skipped), told)
            nursery.cancel_scope.cancel()


# --- places ----------------------------------------------------------------------------------------


class _Addresses:
    """Hands out loopback addresses, one after another, or the only one there is."""

    def __init__(self) -> None:
        self._next = FIRST_ADDRESS
        self._many = self.has_many()

    @staticmethod
    def has_many() -> bool:
        """Whether addresses beside 127.0.0.1 can be bound without being configured."""
        with socket.socket() as trial:
            try:
                trial.bind((_text(FIRST_ADDRESS), 0))
            except OSError:
                return False
        return True

    def take(self, count: int) -> list[str]:
        if not self._many:
            if count > 1:
                raise CannotHere(f"{count} loopback addresses are needed, and this system has {ONLY_ADDRESS} alone")
            return [ONLY_ADDRESS] * count
        first, self._next = self._next, self._next + count
        return [_text(first + i) for i in range(count)]


def _text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4))


def _open(
    case: Case, shop: Workshop, addresses: _Addresses, held: ExitStack
) -> tuple[Row, list[tuple[trio.SocketListener, Handler]]]:
    """Binds the case's sockets, which ``held`` closes, and makes its servers."""
    if not case.servers:
        return Row(case, case.full_host or "", DEFAULT_PORT), []
    places = [IPV6_ADDRESS] if case.ipv6 else addresses.take(len(case.servers))
    sockets = _bind(places)
    for bound in sockets:
        held.callback(bound.close)
    port = int(sockets[0].getsockname()[1])
    host = case.full_host or places[0]
    listeners: list[tuple[trio.SocketListener, Handler]] = []
    for opening, address, bound in zip(case.servers, places, sockets, strict=True):
        if opening is Socket.NEVER_ACCEPTS:
            _fill_queue(bound, held)
        elif not isinstance(opening, Socket):
            bound.listen(BACKLOG)
            place = Place(_a_label(host), address, port, case.story)
            handler = _build(opening, shop, place)
            listeners.append((trio.SocketListener(trio.socket.from_stdlib_socket(bound)), handler))
    return Row(case, host, port, tuple(places)), listeners


def _build(opening: Opening, shop: Workshop, place: Place) -> Handler:
    """The server's handler. Raises ``CannotHere`` where this system's OpenSSL lacks or forbids what the case needs."""
    try:
        return opening(shop, place)
    except (ssl.SSLError, ValueError, UnsupportedAlgorithm) as error:
        raise CannotHere(f"{ssl.OPENSSL_VERSION} cannot serve it here: {error}") from error


def _bind(addresses: Sequence[str]) -> list[socket.socket]:
    """Sockets on one port that is free on all of the addresses. They hold the port whether they listen or not."""
    for _ in range(PORT_TRIES):
        bound: list[socket.socket] = []
        port = 0
        try:
            for address in addresses:
                bound.append(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                bound[-1].bind((address, port))
                port = bound[0].getsockname()[1]
        except OSError as error:
            for opened in bound:
                opened.close()
            if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise CannotHere(f"{', '.join(addresses)} cannot be bound: {error.strerror}") from error
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            for opened in bound:
                opened.setblocking(False)
            return bound
    raise CannotHere(f"no port was free on {', '.join(addresses)} together")


def _time_sockets(addresses: _Addresses, held: ExitStack) -> list[socket.socket]:
    """UDP sockets at addresses of their own, which ``held`` closes; none where there is one address alone."""
    found: list[socket.socket] = []
    if addresses.has_many():
        for address in addresses.take(SERVERS):
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            held.callback(bound.close)
            bound.bind((address, 0))
            bound.setblocking(False)
            found.append(bound)
    return found


def _fill_queue(bound: socket.socket, held: ExitStack) -> None:
    """Makes a listening socket that takes no more connections, and proves it. Raises ``CannotHere``."""
    bound.listen(0)
    for _ in range(QUEUE_FILLERS):
        filler = socket.socket()
        held.callback(filler.close)
        filler.setblocking(False)
        filler.connect_ex(bound.getsockname())
    with socket.socket() as trial:
        trial.settimeout(QUEUE_TEST_SECONDS)
        try:
            trial.connect(bound.getsockname())
        except TimeoutError:
            return
        except OSError as error:
            raise CannotHere(f"a full queue answers here: {error}") from error
    raise CannotHere("this system accepts connections beyond a full queue")


def _a_label(host: str) -> str:
    import idna

    return host if host.isascii() else idna.encode(host).decode()


def _zone(rows: Sequence[Row]) -> dict[str, Node]:
    zone: dict[str, Node] = {}
    for row in rows:
        if row.host not in row.addresses:
            zone |= records(_a_label(row.host), row.addresses, row.case.dns)
    return zone


# --- files -------------------------------------------------------------------------------------------


def _make(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)


def _write_files(directory: Path, rows: Sequence[Row], pki: Pki) -> None:
    (directory / "roots.pem").write_bytes(pem(pki.root.der))
    (directory / "ctlogs.json").write_bytes(pki.logs.as_json(pki.now))
    with (directory / "inventory.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            case = row.case
            writer.writerow((row.host, row.port, case.protocol, case.owner, case.code or "", case.story))
