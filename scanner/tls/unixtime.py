"""The clock in a server's random: up to TLS 1.2 its first four bytes were meant to be one (RFC 5246 section 7.4.1.3).

Most servers have long put random bytes there, and one reading cannot tell which it is. Two connections can: a clock has
moved on by the time between them, random bytes have not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Seconds by which two readings of one clock may differ beyond what has passed between them: it counts whole seconds.
SLACK: Final = 2


def unix_time(randoms: Sequence[bytes], passed: float) -> int | None:
    """Seconds since the epoch by the peer's clock, or ``None`` where its randoms hold no clock.

    ``randoms`` are of ServerHellos of TLS 1.2 and earlier, of one server, of connections at most ``passed`` seconds apart.
    By chance two random readings pass for one clock once in some hundred million times.
    """
    readings = sorted(int.from_bytes(random[:4], "big") for random in set(randoms) if len(random) == 32)
    if len(readings) < 2 or len({random[4:] for random in randoms}) < 2:
        return None
    if readings[-1] - readings[0] > passed + SLACK:
        return None
    return readings[0]
