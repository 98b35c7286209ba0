"""The demo's time servers: the part of SNTP (RFC 4330) that answers a client's request for the time."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Final

import trio

# leap indicator, version and mode; stratum; poll; precision; root delay and dispersion; reference identifier
_HEAD: Final = struct.Struct(">BBbbII4s")
_TIMESTAMP: Final = struct.Struct(">II")
_REQUEST_BYTES: Final = 48
_CLIENT_MODE: Final = 3
# Seconds from the epoch of NTP (1900) to that of Unix (1970)
_EPOCH: Final = 2_208_988_800
# As many independent servers as a verdict on the clock needs.
TIME_SERVERS: Final = 3


def time_reply(request: bytes, now: float) -> bytes | None:
    """Return the reply at ``now`` (seconds since the Unix epoch), or ``None`` if ``request`` is not a client's."""
    if len(request) < _REQUEST_BYTES or request[0] & 7 != _CLIENT_MODE:
        return None
    seconds = now + _EPOCH
    stamp = _TIMESTAMP.pack(int(seconds) & 0xFFFFFFFF, int(seconds % 1 * 2**32))
    head = _HEAD.pack(request[0] & 0x38 | 4, 1, 6, -20, 0, 16, b"DEMO")
    return head + stamp + request[40:48] + stamp + stamp


async def serve_time(sock: trio.socket.SocketType, clock: Callable[[], float] = time.time) -> None:
    """Answer time requests until cancelled."""
    while True:
        request, peer = await sock.recvfrom(1024)
        reply = time_reply(request, clock())
        if reply is not None:
            await sock.sendto(reply, peer)
