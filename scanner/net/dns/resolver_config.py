"""Configuration of the resolver: ``--resolver`` values, ``/etc/resolv.conf`` and ``/etc/hosts``.

Search domains and ``ndots`` are ignored: the names of an inventory are absolute, and a name completed with the search
list of the machine that happens to scan would be another target. There is no public resolver as a default.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from scanner.errors import TlsweepError

DNS_PORT: Final = 53
RESOLV_CONF: Final = Path("/etc/resolv.conf")
HOSTS: Final = Path("/etc/hosts")

# The C library stops at 3 name servers; a longer list is intended, and failing over costs nothing while
# the first ones answer. More than 8 would only make a dead network slower to report.
MAX_SERVERS: Final = 8
# As resolv.conf(5) caps its own options.
MAX_TIMEOUT: Final = 30.0
MAX_ATTEMPTS: Final = 5
# What resolv.conf(5) documents as defaults.
DEFAULT_ATTEMPTS: Final = 2
DEFAULT_TIMEOUT: Final = 5.0
# Lists that block advertisements reach 6 MB; beyond this the file is something else.
MAX_HOSTS_BYTES: Final = 16 * 1024 * 1024
# A resolver configuration is a dozen lines.
MAX_RESOLV_CONF_BYTES: Final = 1024 * 1024


class ResolverConfigError(TlsweepError):
    """A resolver given by a person cannot be used; the message is one line that says which and why."""


class Server(Struct, frozen=True):
    """One recursive resolver. ``scope`` is the zone of a link-local IPv6 address (RFC 4007), as written."""

    address: str
    port: int = DNS_PORT
    scope: str | None = None

    @property
    def text(self) -> str:
        """The name in findings: the address, with the port unless that is 53."""
        address = f"{self.address}%{self.scope}" if self.scope else self.address
        if self.port == DNS_PORT:
            return address
        return f"[{address}]:{self.port}" if self.is_ipv6 else f"{address}:{self.port}"

    @property
    def is_ipv6(self) -> bool:
        """True if its address is IPv6."""
        return ":" in self.address

    def socket_address(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """Return the argument for ``connect``. Raises ``OSError`` where the scope names no interface of this machine."""
        if not self.is_ipv6:
            return (self.address, self.port)
        scope = 0
        if self.scope:
            scope = int(self.scope) if self.scope.isdecimal() else socket.if_nametoindex(self.scope)
        return (self.address, self.port, 0, scope)


class SystemResolvers(Struct, frozen=True):
    """The contents of ``resolv.conf``. ``servers`` may be empty: then no name can be asked for."""

    servers: tuple[Server, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    attempts: int = DEFAULT_ATTEMPTS
    rotate: bool = False
    tcp_only: bool = False  # "use-vc"
    problem: str | None = None  # why ``servers`` is empty, in words for a person


class Hosts(Struct, frozen=True):
    """The names of the hosts file in lower case, with their addresses in the order of the file."""

    addresses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def look_up(self, name: str, *, ipv4: bool, ipv6: bool) -> tuple[str, ...]:
        """Return the addresses of the families asked for; where there are none DNS is asked, as the C library does."""
        return tuple(a for a in self.addresses.get(name, ()) if (ipv6 if ":" in a else ipv4))


def parse_server(text: str) -> Server:
    """Parse ``ADDR``, ``ADDR:PORT``, ``V6``, ``[V6]`` or ``[V6]:PORT``. Raises :class:`ResolverConfigError`."""
    value = text.strip()
    host, port = value, None
    if value.startswith("["):
        host, bracket, rest = value[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ResolverConfigError(
                f"resolver {text!r}: a bracketed IPv6 address is written [ADDRESS] or [ADDRESS]:PORT"
            )
        port = rest[1:] if rest else None
    elif value.count(":") == 1:
        host, _, port = value.partition(":")
    number = DNS_PORT
    if port is not None:
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
            raise ResolverConfigError(f"resolver {text!r}: the port must be a number from 1 to 65535")
        number = int(port)
    server = _server(host, number)
    if server is None:
        raise ResolverConfigError(f"resolver {text!r}: an IP address is needed (ADDRESS, ADDRESS:PORT or [IPV6]:PORT)")
    if value.startswith("[") and not server.is_ipv6:
        raise ResolverConfigError(f"resolver {text!r}: only IPv6 addresses are written in brackets")
    return server


def parse_servers(texts: Sequence[str]) -> tuple[Server, ...]:
    """Parse all of ``texts``, doubles left out. Raises :class:`ResolverConfigError` for the first invalid one, or too many."""
    servers = tuple(dict.fromkeys(parse_server(text) for text in texts))
    if not servers:
        raise ResolverConfigError("no resolver was given")
    if len(servers) > MAX_SERVERS:
        raise ResolverConfigError(f"{len(servers)} resolvers were given; at most {MAX_SERVERS} are used")
    return servers


def _server(host: str, port: int = DNS_PORT) -> Server | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return Server(str(ipaddress.IPv6Address(int(address))), port, address.scope_id)
    return Server(str(address), port)


def parse_resolv_conf(text: str) -> SystemResolvers:
    """Parse the ``nameserver`` and ``options`` lines of resolv.conf(5); invalid ones are ignored, as the C library does."""
    servers: list[Server] = []
    timeout, attempts, rotate, tcp_only = DEFAULT_TIMEOUT, DEFAULT_ATTEMPTS, False, False
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver":
            server = _server(words[1])
            if server is not None and server not in servers and len(servers) < MAX_SERVERS:
                servers.append(server)
        elif words[0] == "options":
            for option in words[1:]:
                key, _, value = option.partition(":")
                number = int(value) if value.isascii() and value.isdecimal() and len(value) < 6 else None
                if key == "timeout" and number is not None:
                    timeout = min(max(float(number), 1.0), MAX_TIMEOUT)
                elif key == "attempts" and number is not None:
                    attempts = min(max(number, 1), MAX_ATTEMPTS)
                elif key == "rotate":
                    rotate = True
                elif key == "use-vc":
                    tcp_only = True
    problem = None if servers else "no usable nameserver line"
    return SystemResolvers(tuple(servers), timeout, attempts, rotate, tcp_only, problem)


def parse_hosts(text: str) -> Hosts:
    """Parse hosts(5): lines of an address, its name and aliases; comments and lines without an address are ignored."""
    found: dict[str, list[str]] = {}
    addresses: dict[str, str | None] = {}  # block lists repeat one address on every line: parse it once
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        address = addresses.get(words[0], "")
        if address == "":
            server = _server(words[0])
            address = None if server is None else server.text
            addresses[words[0]] = address
        if address is None:
            continue
        for word in words[1:]:
            known = found.setdefault(word.rstrip(".").lower(), [])
            if address not in known:
                known.append(address)
    return Hosts({name: tuple(values) for name, values in found.items()})


def read_resolv_conf(path: Path = RESOLV_CONF) -> SystemResolvers:
    """Read the system's resolvers. ``problem`` says if the file is missing or names none; nothing takes their place."""
    text = _read(path, MAX_RESOLV_CONF_BYTES)
    if text is None:
        return SystemResolvers(problem=f"{path} cannot be read")
    resolvers = parse_resolv_conf(text)
    if resolvers.problem is None:
        return resolvers
    return SystemResolvers(problem=f"{path} has {resolvers.problem}")


def read_hosts(path: Path = HOSTS) -> Hosts:
    """Read the hosts file; one that cannot be read has no names."""
    text = _read(path, MAX_HOSTS_BYTES)
    return Hosts() if text is None else parse_hosts(text)


def _read(path: Path, limit: int) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    if len(data) > limit:
        # The line that the limit cuts could end in a shorter, wrong name.
        data = data[: data.rfind(b"\n", 0, limit) + 1]
    # Octets outside ASCII occur in comments only; in a name they match nothing.
    return data.decode("utf-8", "replace")
