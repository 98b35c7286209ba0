"""Find the clock in a server's random: up to TLS 1.2 its first four bytes should be the time (RFC 5246 section 7.4.1.3).

Most servers send random bytes there, and one reading does not show which they are. Two connections do: a clock has advanced
by the time between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Seconds by which two readings of one clock may differ beyond the time between them: it counts whole seconds.
SLACK: Final = 2


def unix_time(randoms: Sequence[bytes], passed: float) -> int | None:
    """Return seconds since the epoch by the peer's clock, or None where its randoms contain no clock.

    ``randoms`` are of ServerHellos of TLS 1.2 and earlier, of one server, of connections at most ``passed`` seconds apart.
    Two random readings look like one clock by chance, once in some hundred million times.
    """
    readings = sorted(int.from_bytes(random[:4], "big") for random in set(randoms) if len(random) == 32)
    if len(readings) < 2 or len({random[4:] for random in randoms}) < 2:
        return None
    if readings[-1] - readings[0] > passed + SLACK:
        return None
    return readings[0]
