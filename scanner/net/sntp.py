"""SNTP version 4 client (RFC 4330): asks the time of servers that a person has named.

One question and one answer over UDP. An answer counts only if it passes the checks of RFC 4330 section 5 and repeats the
transmit timestamp of the question, which is random: it tells the server nothing, and a stranger cannot guess it.
"""

from __future__ import annotations

import os
import re
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Final

import trio
from msgspec import Struct

from scanner.errors import TlsweepError
from scanner.net.dns.resolver import AddressResolver

NTP_PORT: Final = 123
# Seconds that an answer is waited for, for each try; a packet may be lost, and servers limit how often one may ask.
PATIENCE: Final = (2.0, 3.0)
# Seconds for one server with all of its addresses: a run waits for them before it begins.
MAX_WAIT: Final = 8.0
# Addresses of one name that are tried: pools have four.
MAX_ADDRESSES: Final = 4
# A server whose own time has come further than this, in seconds, does not know it: NTP's "MAXDIST" (RFC 5905) is 1.5.
MAX_ROOT_DISTANCE: Final = 1.5
# An answer that took longer, in seconds, says little about the present.
MAX_DELAY: Final = 5.0

# leap indicator, version and mode; stratum; poll; precision; root delay; root dispersion; reference identifier; then
# the reference, originate, receive and transmit timestamps
_PACKET: Final = struct.Struct(">BBbbiI4s8s8s8s8s")
_TIMESTAMP: Final = struct.Struct(">II")
_CLIENT: Final = 4 << 3 | 3  # version 4, mode 3
_SERVER_MODE: Final = 4
_UNSYNCHRONISED: Final = 3
# From the epoch of NTP (1900) to that of Unix (1970); an era has 2**32 seconds.
_EPOCH: Final = 2_208_988_800
_ERA: Final = 1 << 32
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


class NtpServerError(TlsweepError):
    """A server named by a person cannot be used; the message is one line that says which and why."""


class NtpError(Exception):
    """A datagram does not give the time; the message says why, for a person."""


class NtpServer(Struct, frozen=True):
    """A server to ask: a host name in lower case or an IP address, and its port."""

    host: str
    port: int = NTP_PORT


class NtpAnswer(Struct, frozen=True):
    """A server's clock (``time``) and ours at the middle of the exchange, which took ``delay`` seconds, or why there is none."""

    host: str
    address: str | None = None
    time: float | None = None
    local: float | None = None
    delay: float | None = None
    stratum: int | None = None
    error: str | None = None


def parse_servers(texts: Iterable[str]) -> tuple[NtpServer, ...]:
    """Parse ``HOST[:PORT]`` or ``[V6]:PORT``, each server once. Raises ``NtpServerError``."""
    return tuple(dict.fromkeys(_parse(text.strip()) for text in texts))


def _parse(text: str) -> NtpServer:
    shown = f"--ntp: {text[:80]!r}"
    host, port = text, NTP_PORT
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise NtpServerError(f"{shown} is neither a host nor HOST:PORT")
        number = rest[1:] if rest else None
    elif text.count(":") == 1:
        host, _, number = text.partition(":")
    else:
        number = None
    if number is not None:
        if not (number.isascii() and number.isdigit() and 1 <= int(number[:6]) <= 65535):
            raise NtpServerError(f"{shown}: a port is a number from 1 to 65535")
        port = int(number)
    try:
        return NtpServer(str(ip_address(host)), port)
    except ValueError:
        pass
    if not _HOST.fullmatch(host) or len(host) > 253 or ":" in host:
        raise NtpServerError(f"{shown} is neither a host nor HOST:PORT")
    return NtpServer(host.rstrip(".").lower(), port)


# --- the packets -----------------------------------------------------------------------------------


def question(cookie: bytes) -> bytes:
    """Return the client's packet; ``cookie`` is the eight bytes of its transmit timestamp."""
    return _PACKET.pack(_CLIENT, 0, 0, 0, 0, 0, bytes(4), bytes(8), bytes(8), bytes(8), cookie)


def read_untrusted(data: bytes, cookie: bytes, sent: float, received: float) -> tuple[float, float, int]:
    """Return (server's time less ours, delay, stratum) for T1 ``sent`` and T4 ``received`` (RFC 4330). Raises ``NtpError``."""
    if len(data) < _PACKET.size:
        raise NtpError(f"{len(data)} bytes are no NTP packet")
    first, stratum, _, _, root_delay, root_dispersion, reference, _, originate, receive, transmit = _PACKET.unpack_from(
        data
    )
    leap, version, mode = first >> 6, first >> 3 & 7, first & 7
    if mode != _SERVER_MODE or not 1 <= version <= 4:
        raise NtpError(f"it is no server's answer (version {version}, mode {mode})")
    if originate != cookie:
        raise NtpError("it answers another question")
    if stratum == 0:
        said = reference.decode("ascii", "replace").strip("\0 ")
        raise NtpError(f"the server refuses ({said if said.isprintable() and said else 'kiss of death'})")
    if stratum > 15 or leap == _UNSYNCHRONISED:
        raise NtpError("the server does not know the time itself")
    if root_delay / 65536 / 2 + root_dispersion / 65536 > MAX_ROOT_DISTANCE or root_delay < 0:
        raise NtpError("the server is not sure of the time itself")
    if transmit == bytes(8) or receive == bytes(8):
        raise NtpError("it has no time in it")
    arrived, left = _seconds(receive), _seconds(transmit)
    delay = (received - sent) - (left - arrived)
    if left < arrived or not -1 < delay <= MAX_DELAY:
        raise NtpError("its times do not fit together")
    return ((arrived - sent) + (left - received)) / 2, max(delay, 0.0), stratum


def _seconds(timestamp: bytes) -> float:
    """Return an NTP timestamp as Unix time; its first bit tells the era (RFC 4330 section 3)."""
    whole, fraction = _TIMESTAMP.unpack(timestamp)
    return float(whole - _EPOCH + (0 if whole & 0x80000000 else _ERA) + fraction / _ERA)


# --- asking ----------------------------------------------------------------------------------------


async def ask_all(
    servers: Sequence[NtpServer], resolver: AddressResolver, *, clock: Callable[[], float] = time.time
) -> tuple[NtpAnswer, ...]:
    """Ask all servers at once; the answer of one that cannot be asked says so. ``clock`` returns seconds since the epoch."""
    answers: dict[NtpServer, NtpAnswer] = {}

    async def one(server: NtpServer) -> None:
        answers[server] = NtpAnswer(server.host, error="no answer")
        with trio.move_on_after(MAX_WAIT):
            answers[server] = await ask(server, resolver, clock=clock)

    async with trio.open_nursery() as nursery:
        for server in servers:
            nursery.start_soon(one, server)
    return tuple(answers[server] for server in servers)


async def ask(server: NtpServer, resolver: AddressResolver, *, clock: Callable[[], float] = time.time) -> NtpAnswer:
    """Ask one server, at the first of its addresses that answers."""
    try:
        ip_address(server.host)
        addresses: Sequence[str] = (server.host,)
    except ValueError:
        found = await resolver.resolve(server.host)
        addresses = found.addresses
        if not addresses:
            return NtpAnswer(server.host, error=f"the name has no address ({found.status.value})")
    error = "no address of it can be used"
    for address in addresses[:MAX_ADDRESSES]:
        for patience in PATIENCE:
            try:
                offset, delay, stratum, local = await _exchange(address, server.port, patience, clock)
            except NtpError as refusal:
                error = str(refusal)
                break
            except OSError as problem:
                error = os.strerror(problem.errno) if problem.errno else str(problem)
                break
            except trio.TooSlowError:
                error = "no answer"
                continue
            return NtpAnswer(server.host, address, local + offset, local, delay, stratum)
    return NtpAnswer(server.host, addresses[0], error=error)


async def _exchange(
    address: str, port: int, patience: float, clock: Callable[[], float]
) -> tuple[float, float, int, float]:
    family = trio.socket.AF_INET6 if ":" in address else trio.socket.AF_INET
    with trio.fail_after(patience), trio.socket.socket(family, trio.socket.SOCK_DGRAM) as sock:
        # Connected, so that only this server's datagrams come, and an ICMP error does.
        await sock.connect((address, port))
        cookie = os.urandom(8)
        begun, sent = trio.current_time(), clock()
        await sock.send(question(cookie))
        while True:
            data = await sock.recv(1024)
            # by a clock that cannot be set: ``clock`` may be set meanwhile
            received = sent + (trio.current_time() - begun)
            try:
                offset, delay, stratum = read_untrusted(data, cookie, sent, received)
            except NtpError as error:
                if len(data) >= _PACKET.size and data[24:32] != cookie:
                    continue  # a forged packet: the answer may still come
                raise error
            return offset, delay, stratum, (sent + received) / 2
