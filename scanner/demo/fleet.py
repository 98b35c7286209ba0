"""Runs the demo's fleet: the servers of all cases on loopback, their DNS, and the files that describe them.

Each server has its own address in 127.0.0.0/8 if the system allows to bind it (Linux does; macOS only has 127.0.0.1), so
that pacing per address sees many machines. Cases that this system cannot run are left out of the inventory and listed in
``Fleet.skipped``. Nothing is bound outside loopback.
"""

from __future__ import annotations

import csv
import errno
import os
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

from scanner.demo.ca_services import ca_services
from scanner.demo.case_list import CASES
from scanner.demo.cases import DeadSocket, DemoCase, Endpoint, ServerFactory
from scanner.demo.dns_server import Node, serve_dns
from scanner.demo.pki import Pki, pem
from scanner.demo.servers import Handler, run_handler
from scanner.demo.time_server import TIME_SERVERS, serve_time
from scanner.demo.zone import records

COLUMNS: Final = ("host", "port", "protocol", "owner", "expected", "story")
# 127.94.x.y avoids 127.0.0.1, which other services use, and 127.0.1.1 and 127.0.0.53 of Debian and systemd.
FIRST_ADDRESS: Final = (127 << 24) | (94 << 16) | 1
ONLY_ADDRESS: Final = "127.0.0.1"
IPV6_ADDRESS: Final = "::1"
# Enough for all follow-ups of a target at once.
BACKLOG: Final = 64
# Attempts to find a port that is free on all addresses of a case. One that is free on one address nearly always is on
# the next.
PORT_TRIES: Final = 8
# Connections that fill a listen queue of length zero; the kernel accepts one or two before it drops SYNs.
QUEUE_FILLERS: Final = 4
# How long a connection that the kernel accepts may take on loopback.
QUEUE_TEST_SECONDS: Final = 0.1
# The port of cases without a server, which is never reached.
DEFAULT_PORT: Final = 443


class FleetRow(Struct, frozen=True):
    """A case with the host, port and addresses that it has in the inventory."""

    case: DemoCase
    host: str
    port: int
    addresses: tuple[str, ...] = ()

    def curl(self, roots: Path) -> str | None:
        """Return a curl command that shows the case, or ``None`` if curl cannot talk to it."""
        if not self.addresses or self.case.protocol not in ("tls", "https"):
            return None
        host, to = _a_label(self.host), ""
        if self.host not in self.addresses:
            listed = ",".join(f"[{address}]" if ":" in address else address for address in self.addresses)
            to = f" --resolve {shlex.quote(f'{host}:{self.port}:{listed}')}"
        return f"curl --cacert {shlex.quote(str(roots))}{to} https://{host}:{self.port}/"


class Fleet(Struct, frozen=True):
    """A running fleet.

    ``resolver`` and ``time_servers`` are "ADDRESS:PORT". ``config_hints`` are options of ``ScanConfig`` with which the
    slowest case ends within seconds: on loopback, a server that has not answered in a second or two never will. The
    concurrency is low since both ends share this process: on a busy machine, a hundred handshakes would time out.
    """

    directory: Path
    resolver: str
    rows: tuple[FleetRow, ...]
    skipped: tuple[tuple[DemoCase, str], ...]
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
        """The inventory, which has one row per case."""
        return self.directory / "inventory.csv"

    @property
    def roots(self) -> Path:
        """The root certificate of the fleet (PEM)."""
        return self.directory / "roots.pem"

    @property
    def ct_logs(self) -> Path:
        """The list of the fleet's CT logs (JSON)."""
        return self.directory / "ctlogs.json"


class CaseUnsupported(Exception):
    """This system cannot run a case; the message gives the reason."""


class Servers(Struct, frozen=True):
    """The running servers of a fleet, without DNS."""

    pki: Pki
    rows: tuple[FleetRow, ...]
    skipped: tuple[tuple[DemoCase, str], ...]
    time_servers: tuple[str, ...] = ()


@asynccontextmanager
async def run_fleet(directory: Path, *, cases: Sequence[DemoCase] = CASES) -> AsyncIterator[Fleet]:
    """Run DNS and servers for the block; write ``inventory.csv``, ``roots.pem`` and ``ctlogs.json`` into ``directory``.

    Raises ``OSError`` if the directory cannot be written or loopback cannot be bound.
    """
    os.makedirs(directory, exist_ok=True)
    async with run_servers(cases) as servers:
        zone: dict[str, Node] = {}
        for row in servers.rows:
            if row.host not in row.addresses:
                zone |= records(_a_label(row.host), row.addresses, row.case.dns)
        async with serve_dns(zone, ONLY_ADDRESS) as dns:
            _write_files(directory, servers.rows, servers.pki)
            yield Fleet(directory, dns.text, servers.rows, servers.skipped, servers.time_servers)


@asynccontextmanager
async def run_servers(cases: Sequence[DemoCase] = CASES) -> AsyncIterator[Servers]:
    """Run the servers of the cases for the block, each on its own address and port.

    Raises ``OSError`` if loopback cannot be bound.
    """
    rows: list[FleetRow] = []
    skipped: list[tuple[DemoCase, str]] = []
    addresses = _Addresses()
    listeners: list[tuple[trio.SocketListener, Handler]] = []
    with ExitStack() as stack:
        with ServerFactory(Pki(time.time())) as factory:
            # The CA's services come first, since certificates contain their URLs.
            bind_addresses = addresses.take(1)
            [bound] = _bind(bind_addresses)
            stack.callback(bound.close)
            bound.listen(BACKLOG)
            factory.pki.services_url = f"http://{bind_addresses[0]}:{bound.getsockname()[1]}"
            listeners.append((trio.SocketListener(trio.socket.from_stdlib_socket(bound)), ca_services(factory.pki)))
            clocks = _time_sockets(addresses, stack)
            for case in cases:
                try:
                    if case.needs_time and not clocks:
                        raise CaseUnsupported(
                            f"time servers need addresses of their own, and this system has {ONLY_ADDRESS} alone"
                        )
                    with ExitStack() as case_stack:
                        row, opened = _open_case(case, factory, addresses, case_stack)
                        stack.push(case_stack.pop_all())
                except CaseUnsupported as error:
                    skipped.append((case, str(error)))
                else:
                    rows.append(row)
                    listeners += opened
        async with trio.open_nursery() as nursery:
            for listener, handler in listeners:
                nursery.start_soon(trio.serve_listeners, partial(run_handler, handler), [listener])
            for bound in clocks:
                nursery.start_soon(serve_time, trio.socket.from_stdlib_socket(bound))
            time_servers = tuple("{}:{}".format(*bound.getsockname()) for bound in clocks)
            yield Servers(factory.pki, tuple(rows), tuple(skipped), time_servers)
            nursery.cancel_scope.cancel()


# --- addresses and sockets -------------------------------------------------------------------------


class _Addresses:
    """Allocates loopback addresses: consecutive ones, or always 127.0.0.1 if the system has no others."""

    def __init__(self) -> None:
        self._next = FIRST_ADDRESS
        self._many = self.has_many()

    @staticmethod
    def has_many() -> bool:
        """Return whether addresses other than 127.0.0.1 can be bound without being configured."""
        with socket.socket() as trial:
            try:
                trial.bind((_text(FIRST_ADDRESS), 0))
            except OSError:
                return False
        return True

    def take(self, count: int) -> list[str]:
        if not self._many:
            if count > 1:
                raise CaseUnsupported(
                    f"{count} loopback addresses are needed, and this system has {ONLY_ADDRESS} alone"
                )
            return [ONLY_ADDRESS] * count
        first, self._next = self._next, self._next + count
        return [_text(first + i) for i in range(count)]


def _text(address: int) -> str:
    return socket.inet_ntoa(address.to_bytes(4))


def _open_case(
    case: DemoCase, factory: ServerFactory, addresses: _Addresses, stack: ExitStack
) -> tuple[FleetRow, list[tuple[trio.SocketListener, Handler]]]:
    """Bind the case's sockets, which ``stack`` closes, and create its servers.

    Raises ``CaseUnsupported`` if this system's OpenSSL lacks what the case needs.
    """
    if not case.servers:
        return FleetRow(case, case.full_host or "", DEFAULT_PORT), []
    bind_addresses = [IPV6_ADDRESS] if case.ipv6 else addresses.take(len(case.servers))
    sockets = _bind(bind_addresses)
    for bound in sockets:
        stack.callback(bound.close)
    port = int(sockets[0].getsockname()[1])
    host = case.full_host or bind_addresses[0]
    listeners: list[tuple[trio.SocketListener, Handler]] = []
    for opening, address, bound in zip(case.servers, bind_addresses, sockets, strict=True):
        if opening is DeadSocket.NEVER_ACCEPTS:
            _fill_queue(bound, stack)
        elif not isinstance(opening, DeadSocket):
            bound.listen(BACKLOG)
            endpoint = Endpoint(_a_label(host), address, port, case.story)
            try:
                handler = opening(factory, endpoint)
            except (ssl.SSLError, ValueError, UnsupportedAlgorithm) as error:
                raise CaseUnsupported(f"{ssl.OPENSSL_VERSION} cannot serve it here: {error}") from error
            listeners.append((trio.SocketListener(trio.socket.from_stdlib_socket(bound)), handler))
    return FleetRow(case, host, port, tuple(bind_addresses)), listeners


def _bind(addresses: Sequence[str]) -> list[socket.socket]:
    """Return sockets bound to one port that is free on all of the addresses."""
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
                raise CaseUnsupported(f"{', '.join(addresses)} cannot be bound: {error.strerror}") from error
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            for opened in bound:
                opened.setblocking(False)
            return bound
    raise CaseUnsupported(f"no port was free on {', '.join(addresses)} together")


def _time_sockets(addresses: _Addresses, stack: ExitStack) -> list[socket.socket]:
    """Return UDP sockets on addresses of their own, which ``stack`` closes; none if there is only one address."""
    found: list[socket.socket] = []
    if addresses.has_many():
        for address in addresses.take(TIME_SERVERS):
            bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stack.callback(bound.close)
            bound.bind((address, 0))
            bound.setblocking(False)
            found.append(bound)
    return found


def _fill_queue(bound: socket.socket, stack: ExitStack) -> None:
    """Fill the queue of a listening socket, and check that it accepts no more. Raises ``CaseUnsupported``."""
    bound.listen(0)
    for _ in range(QUEUE_FILLERS):
        filler = socket.socket()
        stack.callback(filler.close)
        filler.setblocking(False)
        filler.connect_ex(bound.getsockname())
    with socket.socket() as trial:
        trial.settimeout(QUEUE_TEST_SECONDS)
        try:
            trial.connect(bound.getsockname())
        except TimeoutError:
            return
        except OSError as error:
            raise CaseUnsupported(f"a full queue answers here: {error}") from error
    raise CaseUnsupported("this system accepts connections beyond a full queue")


def _a_label(host: str) -> str:
    import idna

    return host if host.isascii() else idna.encode(host).decode()


# --- files -------------------------------------------------------------------------------------------


def _write_files(directory: Path, rows: Sequence[FleetRow], pki: Pki) -> None:
    (directory / "roots.pem").write_bytes(pem(pki.root.der))
    (directory / "ctlogs.json").write_bytes(pki.logs.as_json(pki.now))
    with (directory / "inventory.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            case = row.case
            writer.writerow((row.host, row.port, case.protocol, case.owner, case.code or "", case.story))
