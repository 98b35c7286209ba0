"""Turns the cells of one row into a ``Target``, or into an ``InvalidRow`` with the reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from scanner.inventory.hosts import Unusable, parse_address, parse_host, parse_port, split_host_port
from scanner.model.evidence import InvalidRow, Target
from scanner.starttls.services import AUTO, protocol_named, protocol_of_port
from scanner.text import quoted

# A row with a host, a few columns and notes is well under 1 KB; 64 KB leaves room for long descriptions in a cell.
MAX_LINE: Final = 64 * 1024

# Characters of an unusable cell that go into the finding: enough to find the row, not enough to bloat the output.
MAX_CARRIED_CELL: Final = 1000

# Distinct texts of the port column that are cached; most inventories have one or two.
MAX_CACHED_PORTS: Final = 256

# (line number from 1, bytes without the line end)
NumberedLines = Iterator[tuple[int, bytes]]

# Means "send no server_name" in the sni column, where an empty cell means the default. In the other columns it is empty.
NO_SNI: Final = "-"

# What a service speaks that nothing is known of, and its port.
_TLS: Final = "tls"
_TLS_PORT: Final = 443


class ProtocolLike(Protocol):
    """A protocol as far as the inventory needs it: its default port, if it has one."""

    @property
    def port(self) -> int | None: ...


class RowCells(NamedTuple):
    """The known columns of one row as trimmed text; an absent column is empty."""

    host: str = ""
    port: str = ""
    protocol: str = ""
    sni: str = ""
    address: str = ""
    id: str | int | None = None


class RowParser:
    """Turns cells into targets, filling in the run's defaults.

    ``default_protocol`` applies to rows that name none; ``AUTO`` takes that of the port where it is a well-known one.
    ``default_port`` applies to rows without a port; a URL implies the port of its scheme.
    ``protocols`` maps each protocol's name to a record with its default ``port``.
    """

    def __init__(self, default_protocol: str, default_port: int | None, protocols: Mapping[str, ProtocolLike]) -> None:
        self._default_protocol = default_protocol
        self._protocols = protocols
        self._own_default_port = default_port
        self._ports: dict[str, int] = {}  # parsed ports by the text of the cell
        self._plain_port = default_port if default_port is not None else self._port_of(default_protocol)
        self._plain_protocol, self._plain_auto = default_protocol, False
        if default_protocol == AUTO:
            self._plain_protocol, self._plain_auto = self._by_port(self._plain_port or _TLS_PORT)

    def _port_of(self, protocol: str) -> int | None:
        return _TLS_PORT if protocol == AUTO else self._protocols[protocol].port

    def _by_port(self, port: int) -> tuple[str, bool]:
        """Return the protocol of a port, and whether that is only where a probe begins, since the port says nothing."""
        protocol = protocol_of_port(port, self._protocols)
        return (_TLS, True) if protocol is None else (protocol, False)

    def parse(self, row: int, line: int | None, cells: RowCells, tags: dict[str, Any]) -> Target | InvalidRow:
        """Return the target of row number ``row``, which begins on line ``line`` (``None`` if not read from a file)."""
        try:
            return self._target(row, cells, tags)
        except Unusable as error:
            return invalid(row, line, error.reason, cells, tags)

    def parse_line(self, row: int, line: int | None, text: str) -> Target | InvalidRow:
        """Return the target of a line of a plain list; ``text`` is trimmed and not empty."""
        if self._plain_port is not None and ":" not in text and "/" not in text and "@" not in text:
            # a bare name or IPv4 address, the common case, needs no cells
            try:
                host, is_ip = parse_host(text)
            except Unusable as error:
                return invalid(row, line, error.reason, RowCells(text), {})
            sni = None if is_ip else host
            return Target(
                row, host, self._plain_port, self._plain_protocol, sni, None, None, {}, is_ip, self._plain_auto
            )
        return self.parse(row, line, RowCells(text), {})

    def _target(self, row: int, cells: RowCells, tags: dict[str, Any]) -> Target:
        address = parse_address(cells.address) if cells.address else None
        scheme, host_text, host_port = None, cells.host, None
        if ":" in host_text or "/" in host_text or "@" in host_text:
            scheme, host_text, host_port = _split_host_cell(host_text)
            scheme = None if scheme is None else self._scheme(scheme)

        if host_text:
            host, is_ip = parse_host(host_text)
        elif address is not None:
            host, is_ip = address, True
        else:
            raise Unusable("the host is empty")

        protocol = self._protocol(cells.protocol, scheme) if cells.protocol else scheme or self._default_protocol
        port = self._ports.get(cells.port) if host_port is None else None
        if port is None:
            port = self._port(cells.port, host_port, scheme, protocol)
            if cells.port and len(self._ports) < MAX_CACHED_PORTS:
                self._ports[cells.port] = parse_port(cells.port)
        auto = False
        if protocol == AUTO:
            protocol, auto = self._by_port(port)
        sni = None if is_ip else host
        if cells.sni:
            sni = _read_sni(cells.sni)
        return Target(row, host, port, protocol, sni, address, cells.id, tags, is_ip, auto)

    def _scheme(self, scheme: str) -> str:
        """Return the protocol of a URL's scheme."""
        if scheme in ("http", "ws"):
            raise Unusable(f"{scheme}:// is not TLS: write https://, or the host alone")
        protocol = protocol_named(scheme, self._protocols)
        if protocol is None:
            raise Unusable(f"the scheme {quoted(scheme)} is no protocol that is known")
        return protocol

    def _protocol(self, cell: str, scheme: str | None) -> str:
        """Return the protocol that the cell names, or the URL's scheme where that says more."""
        protocol = protocol_named(cell.lower(), self._protocols)
        if protocol is None:
            if cell.lower() in ("http", "udp"):
                raise Unusable(f"protocol {quoted(cell)} is not TLS: leave it empty to have it found out")
            raise Unusable(f"protocol {quoted(cell)} is not known: leave it empty to have it found out")
        if scheme is None or scheme == protocol:
            return protocol
        if protocol in (AUTO, _TLS):
            return scheme  # which is less general
        if scheme in (AUTO, _TLS):
            return protocol
        raise Unusable(f"the host's URL says {scheme} and the protocol column says {protocol}")

    def _port(self, cell: str, in_host: str | None, scheme: str | None, protocol: str) -> int:
        port = parse_port(cell) if cell else None
        if in_host is not None:
            port_in_host = parse_port(in_host)
            if port is not None and port != port_in_host:
                raise Unusable(f"the host says port {port_in_host} and the port column says {port}")
            return port_in_host
        if port is not None:
            return port
        default = self._own_default_port if scheme is None else None
        if default is None:
            default = self._port_of(protocol)
        if default is None:
            raise Unusable(f"protocol {protocol} has no usual port: name one")
        return default


def invalid(row: int, line: int | None, reason: str, cells: RowCells, tags: dict[str, Any]) -> InvalidRow:
    """Return the record of a row that cannot be probed, without the passwords in its URLs."""
    try:
        port = parse_port(cells.port) if cells.port else None
    except Unusable:
        port = None
    return InvalidRow(
        row=row,
        reason=reason if line is None else f"line {line}: {reason}",
        host=_without_userinfo(cells.host)[:MAX_CARRIED_CELL] or None,
        port=port,
        protocol=cells.protocol[:MAX_CARRIED_CELL] or None,
        id=cells.id,
        tags=tags,
    )


def too_long(row: int, line: int) -> InvalidRow:
    """Return the record of a row whose line is longer than ``MAX_LINE``."""
    return invalid(row, line, f"the line is longer than {MAX_LINE} bytes", RowCells(), {})


def _split_host_cell(text: str) -> tuple[str | None, str, str | None]:
    """Split a host cell that has a port or is a URL into (scheme, host, port), ignoring path and query."""
    before, separator, rest = text.partition("://")
    if not separator:
        if "@" in text:
            raise Unusable("the host is an e-mail address or has a user name before it: give the host alone")
        authority, slash, path = text.partition("/")
        host, port = split_host_port(authority)
        if slash and path.isdigit() and (":" in host or host.replace(".", "").isdigit()):
            raise Unusable(f"{quoted(text)} is a network: networks are not expanded")
        return None, host, port
    scheme = before.lower()
    host, port = split_host_port(re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")[2])
    if not host:
        raise Unusable(f"the URL {quoted(_without_userinfo(text))} names no host")
    # "https://host:/" is allowed by RFC 3986 section 3.2.3 and means the default port
    return scheme, host, port or None


def _without_userinfo(text: str) -> str:
    """Return ``text`` without the user information of its authority, which may contain a password."""
    before, separator, rest = text.partition("://")
    if not separator:
        return text.rpartition("@")[2]
    authority, slash, path = rest.partition("/")
    return before + separator + authority.rpartition("@")[2] + slash + path


def _read_sni(cell: str) -> str | None:
    """Return the server name to send, ``None`` for ``NO_SNI``. It cannot be an IP address (RFC 6066 section 3)."""
    if cell == NO_SNI:
        return None
    try:
        name, is_ip = parse_host(cell)
    except Unusable as error:
        raise Unusable(f"the sni column: {error.reason}") from None
    if is_ip:
        raise Unusable(f"the sni column: {quoted(cell)} is an IP address, which no server name may be (RFC 6066)")
    return name
