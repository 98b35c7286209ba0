"""A resolver for the farm's names with modes of failure: ``python -m tests.torture.resolver --help``.

``answer`` always answers, ``servfail`` fails for a random half of the questions, ``refuse`` refuses every query.
"""

from __future__ import annotations

import argparse
import ipaddress
import socket
from functools import partial
from random import Random
from typing import Final

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from tests.torture.rows import resolve

MODES: Final = ("answer", "servfail", "refuse")
LARGEST_QUESTION: Final = 4096
TTL: Final = 300


def answer_untrusted(question: bytes, mode: str, random: Random) -> bytes | None:
    """Return the answer to a query, or ``None`` if it is malformed."""
    try:
        query = dns.message.from_wire(question)
        response = dns.message.make_response(query)
        asked = query.question[0]
    except (dns.exception.DNSException, IndexError):
        return None
    response.flags |= dns.flags.RA
    if mode == "refuse":
        response.set_rcode(dns.rcode.REFUSED)
    elif mode == "servfail" and random.random() < 0.5:
        response.set_rcode(dns.rcode.SERVFAIL)
    else:
        address = resolve(asked.name.to_text())
        if address is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "A", str(ipaddress.IPv4Address(address))))
    return response.to_wire()


async def _serve_udp(sock: trio.socket.SocketType, mode: str, random: Random) -> None:
    while True:
        try:
            question, peer = await sock.recvfrom(LARGEST_QUESTION)
            answer = answer_untrusted(question, mode, random)
            if answer is not None:
                await sock.sendto(answer, peer)
        except OSError:
            pass  # an ICMP error for an earlier answer


async def _serve_tcp(mode: str, random: Random, stream: trio.SocketStream) -> None:
    received = b""
    try:
        async with stream:
            while piece := await stream.receive_some(LARGEST_QUESTION):
                received += piece
                while len(received) >= 2 and len(received) >= (end := 2 + int.from_bytes(received[:2], "big")):
                    answer = answer_untrusted(received[2:end], mode, random)
                    received = received[end:]
                    if answer is not None:
                        await stream.send_all(len(answer).to_bytes(2, "big") + answer)
    except (trio.BrokenResourceError, OSError):
        pass


async def serve(address: str, mode: str, seed: int) -> None:
    """Answer queries until cancelled."""
    random = Random(seed)
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind((address, 53))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve_udp, sock, mode, random)
            nursery.start_soon(partial(trio.serve_tcp, partial(_serve_tcp, mode, random), 53, host=address))


def main() -> None:
    """Run the resolver with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", required=True)
    parser.add_argument("--mode", choices=MODES, default="answer")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    trio.run(serve, options.address, options.mode, options.seed)


if __name__ == "__main__":
    main()
