"""Headers of the PROXY protocol, by which a load balancer tells a server whose connection it passes on.

Specification: ``doc/proxy-protocol.txt`` of HAProxy, versions 1 (text) and 2 (binary). The addresses are the true ones of the
connection itself: nobody else's is claimed, and a server that logs or limits clients by them sees this machine. ``UNKNOWN`` and
``LOCAL``, which have no addresses, are not understood by all servers.
"""

from __future__ import annotations

import ipaddress
from typing import Final

SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_VERSION_2_PROXY: Final = 0x21
_STREAM: Final = 0x1  # SOCK_STREAM, in the lower half of the byte whose upper half is the family
_FAMILIES: Final = {4: 0x10, 6: 0x20}


def proxy_header(version: int, source: tuple[str, int], destination: tuple[str, int]) -> bytes:
    """Return the header, of version 1 or 2, for a TCP connection between two (address, port) of one family."""
    ends = [ipaddress.ip_address(address.partition("%")[0]) for address, _ in (source, destination)]
    family = ends[0].version
    if version == 1:
        return f"PROXY TCP{family} {ends[0]} {ends[1]} {source[1]} {destination[1]}\r\n".encode("ascii")
    body = b"".join((ends[0].packed, ends[1].packed, source[1].to_bytes(2, "big"), destination[1].to_bytes(2, "big")))
    head = bytes((_VERSION_2_PROXY, _FAMILIES[family] | _STREAM))
    return SIGNATURE + head + len(body).to_bytes(2, "big") + body
