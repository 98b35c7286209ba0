"""Which servers are asked over HTTP for the date, where nothing but the local clock is in doubt.

A certificate that is out of its time may have expired, or the local clock may be wrong. A server whose handshake is completed
and which is asked by HTTP says in its ``Date`` what time it is, and that is a witness (``scanner.fleet.correlate.local_clock``).
But all hosts of one registrable domain are one witness, and the further connection with its handshake by OpenSSL costs more than
the probe: an estate of 5,000 hosts under one expired intermediate took 4.2 times the CPU of a healthy one. So a few of each group
of names are asked, and nobody once the clock is settled.

A group is the last two labels of a name, which needs no list of public suffixes; of an address, all but its last part. Under
"co.uk" that are a few hosts for all companies together, of which three are enough.
"""

from __future__ import annotations

from typing import Final

from scanner.caching import Cache

# One answer is one witness however many hosts give it; the others are for those that do not answer.
MAX_OF_A_GROUP: Final = 8
# Groups that are remembered, by some 200 bytes each; one that is forgotten is asked anew.
MAX_GROUPS: Final = 4096
MAX_GROUP_BYTES: Final = 1 << 20


class DateRequests:
    """Counts the servers of each group that were asked."""

    def __init__(self) -> None:
        self._asked: Cache[str, int] = Cache(MAX_GROUPS, MAX_GROUP_BYTES, lambda group, _: 200 + len(group))

    def allow(self, name: str) -> bool:
        """Return True, and count it, if a server of this name (or address) may still be asked."""
        group = group_of(name)
        asked = self._asked.get(group) or 0
        if asked >= MAX_OF_A_GROUP:
            return False
        self._asked.put(group, asked + 1)
        return True


def group_of(name: str) -> str:
    """Return what a name shares with its neighbours: its last two labels, or an address without its last part."""
    if ":" in name:
        return name.rpartition(":")[0]
    labels = name.rstrip(".").rsplit(".", 3)
    if labels[-1].isdigit():
        return name.rpartition(".")[0]
    return ".".join(labels[-2:])
