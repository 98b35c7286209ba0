"""Real sockets on loopback: the kernel's behaviour that the resolver relies on."""

from __future__ import annotations

import math
import socket
from itertools import pairwise

import pytest
import trio
from trio.testing import trio_test, wait_all_tasks_blocked

from scanner.net.dns.resolver_config import Server
from scanner.net.dns.transport import SystemNetwork, UdpSocket
from scanner.net.readiness import DeadlinePassed


def unused_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@trio_test
async def test_nobody_there_is_reported_at_once() -> None:
    datagram = UdpSocket(Server("127.0.0.1", unused_port()))
    try:
        datagram.send(b"x")
        with trio.fail_after(5), pytest.raises(ConnectionRefusedError):
            await datagram.readable(math.inf)
            datagram.receive()
    finally:
        datagram.close()
        datagram.close()


@trio_test
async def test_closing_wakes_the_task_that_waits() -> None:
    datagram = UdpSocket(Server("127.0.0.1", unused_port()))

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await datagram.readable(math.inf)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
            datagram.close()


@trio_test
async def test_deadlines_pass() -> None:
    datagram = UdpSocket(Server("127.0.0.1", unused_port()))
    await datagram.writable(datagram.now() + 5)
    with pytest.raises(DeadlinePassed):
        await datagram.readable(datagram.now())
    datagram.close()


@trio_test
async def test_the_kernel_drops_what_another_sender_sends() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        server.bind(("127.0.0.1", 0))
        datagram = UdpSocket(Server("127.0.0.1", server.getsockname()[1]))
        other.sendto(b"forged", ("127.0.0.1", datagram.source_port))
        server.sendto(b"true", ("127.0.0.1", datagram.source_port))
        await datagram.readable(math.inf)
        assert datagram.receive() == b"true"
        with pytest.raises(BlockingIOError):
            datagram.receive()
        datagram.close()


@trio_test
async def test_source_ports_differ_and_follow_no_order() -> None:
    sockets = [UdpSocket(Server("127.0.0.1", 53)) for _ in range(16)]
    ports = [datagram.source_port for datagram in sockets]
    for datagram in sockets:
        datagram.close()
    assert len(set(ports)) == 16
    assert len({b - a for a, b in pairwise(ports)}) > 3


@trio_test
async def test_both_families_and_what_cannot_be_opened() -> None:
    network = SystemNetwork()
    network.open_datagram(Server("::1", 53)).close()
    with pytest.raises(OSError):
        network.open_datagram(Server("fe80::1", 53, "no-such-interface"))
    with pytest.raises(OSError):
        await network.open_stream(Server("127.0.0.1", 1))
