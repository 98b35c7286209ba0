"""A resolver that limits concurrent queries, like systemd-resolved and dnsmasq: ``python -m tests.helpers.limited_resolver``.

Arguments: port, limit of concurrent queries, what happens to further ones (``drop`` or ``refuse``), seconds per query.
``nNUMBER.crowd.test`` has the A record :func:`address` and no AAAA. It ends when its standard input does.
"""

from __future__ import annotations

import collections
import select
import socket
import struct
import sys
import time

NAMES = "crowd.test"


def address(number: int) -> str:
    """Return the loopback address of ``nNUMBER.crowd.test``."""
    return f"127.{2 + number // 62500}.{number // 250 % 250}.{1 + number % 250}"


def respond(query: bytes) -> bytes | None:
    """Return the answer to an uncompressed query, or ``None`` if it is too short."""
    if len(query) < 17:
        return None
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    label = query[13 : 13 + query[12]]
    kind = struct.unpack(">H", question[-4:-2])[0]
    known = label[:1] == b"n" and label[1:].isdigit()
    answers = b""
    if known and kind == 1:
        octets = bytes(map(int, address(int(label[1:])).split(".")))
        answers = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + octets
    flags = b"\x81\x80" if known else b"\x81\x83"
    return query[:2] + flags + struct.pack(">HHHH", 1, bool(answers), 0, 0) + question + answers


def serve(sock: socket.socket, most: int, refuse: bool, seconds: float) -> None:
    """Answer queries until standard input ends."""
    sock.setblocking(False)
    working: collections.deque[tuple[float, bytes, tuple[str, int]]] = collections.deque()
    while True:
        wait = max(0.0, working[0][0] - time.monotonic()) if working else None
        readable, _, _ = select.select([sock, sys.stdin], [], [], wait)
        if sys.stdin in readable:
            return
        while working and working[0][0] <= time.monotonic():
            _at, response, asker = working.popleft()
            sock.sendto(response, asker)
        if sock not in readable:
            continue
        query, asker = sock.recvfrom(512)
        answer = respond(query)
        if answer is None:
            continue
        if len(working) < most:
            working.append((time.monotonic() + seconds, answer, asker))
        elif refuse:
            question = query[12 : query.index(b"\0", 12) + 5]
            sock.sendto(query[:2] + b"\x81\x85\0\1\0\0\0\0\0\0" + question, asker)


def main() -> None:
    port, most, over, seconds = sys.argv[1:]
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", int(port)))
        serve(sock, int(most), over == "refuse", float(seconds))


if __name__ == "__main__":
    main()
