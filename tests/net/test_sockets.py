"""Connecting over real loopback sockets, and on machines that lack something: what is the target's fault and what is not."""

from __future__ import annotations

import errno
import math
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import trio
from trio.testing import MockClock

from scanner.model.evidence import CONNECT_FAILURES, Failure, Probe, Stage
from scanner.net.probe import Prober, Timing
from scanner.net.readiness import current_readiness
from scanner.net.sockets import CONNECT_ERRORS, READ_SIZE, OutOfResources, has_route, open_socket, receive, send
from scanner.tls import offers
from tests.net.scripted import AMPLE, HOST, Peer, flight, probed
from tests.tls.peers import public_key_of


async def answers(peer: Peer) -> None:
    await peer.say(flight(await peer.hello()))
    await peer.silence()


def probe_address(address: str, port: int, timing: Timing = AMPLE) -> tuple[Probe, float]:
    async def main() -> tuple[Probe, float]:
        began = trio.current_time()
        probe = await Prober(public_key_of).probe(
            address, port, offer=offers.MODERN, sni=None, alpn=(), dialogue=None, timing=timing
        )
        return probe, trio.current_time() - began

    return trio.run(main, clock=MockClock(autojump_threshold=0.005))


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else can get."""
    with closing(socket.socket()) as sock:
        sock.bind((HOST, 0))
        yield sock.getsockname()[1]


def test_refused_question_is_reported(closed_port: int) -> None:
    probe, _ = probe_address(HOST, closed_port)
    assert (probe.stage, probe.failure, probe.detail) == (Stage.CONNECT, Failure.CONNECTION_REFUSED, "ECONNREFUSED")
    assert probe.flight is None


@pytest.mark.parametrize(
    ("timing", "seconds"), [(Timing(4, 9, 15), 4), (Timing(4, 9, 3), 3)], ids=["connect", "what is left of the whole"]
)
def test_a_connection_that_is_never_answered(timing: Timing, seconds: float) -> None:
    with closing(socket.socket()) as full:
        full.bind((HOST, 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(2):  # the queue of one takes one more; whoever comes then hears nothing
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((HOST, port))
            waiting.append(client)
        probe, took = probe_address(HOST, port, timing)
        for client in waiting:
            client.close()
    assert (probe.stage, probe.failure) == (Stage.CONNECT, Failure.CONNECT_TIMEOUT)
    assert took == pytest.approx(seconds, abs=0.01)
    assert probe.connect_seconds == pytest.approx(seconds, abs=0.01)


def has_ipv6() -> bool:
    with closing(socket.socket(socket.AF_INET6)) as sock:
        return sock.connect_ex(("::1", 1)) == errno.ECONNREFUSED


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")


@needs_ipv6
@pytest.mark.parametrize("address", ["::1", "::1%1"], ids=["plain", "with a scope id"])
def test_ipv6(address: str) -> None:
    assert probed(answers, host="::1", address=address)[0].ok


def test_a_scope_id_that_is_not_there() -> None:
    probe, _ = probe_address("fe80::1%nosuchif0", 443)
    assert (probe.stage, probe.failure) == (Stage.CONNECT, Failure.CONNECT_ERROR)
    assert probe.detail == "ENODEV"


class Refusing(socket.socket):
    """A machine on which a call of the kernel fails with ``number``: opening a socket of a family, or connecting."""

    number = 0
    opening: frozenset[int] = frozenset()
    connecting: frozenset[int] = frozenset()

    def __init__(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, *rest: int) -> None:
        if family in self.opening:
            raise OSError(self.number, "no")
        super().__init__(family, kind, *rest)

    def connect_ex(self, address: object) -> int:
        if self.family in self.connecting and self.type == socket.SOCK_STREAM:
            return self.number
        return super().connect_ex(address)  # type: ignore[arg-type]


def failing(
    monkeypatch: pytest.MonkeyPatch, number: int, *, opening: tuple[int, ...] = (), connecting: tuple[int, ...] = ()
) -> None:
    given = {"number": number, "opening": frozenset(opening), "connecting": frozenset(connecting)}
    replace_sockets(monkeypatch, type("Refusing", (Refusing,), given))


def replace_sockets(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    monkeypatch.setattr(socket, "socket", kind)
    monkeypatch.setattr(socket, "SocketType", kind)


def test_a_machine_without_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EAFNOSUPPORT, opening=(socket.AF_INET6,))
    probe, _ = probe_address("2001:db8::1", 443)
    assert (probe.stage, probe.failure, probe.detail) == (
        Stage.CONNECT,
        Failure.NETWORK_UNREACHABLE,
        "EAFNOSUPPORT",
    )


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_what_the_machine_lacks_is_not_the_targets_fault(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    failing(monkeypatch, number, opening=(socket.AF_INET,))
    with pytest.raises(OutOfResources) as caught:
        probe_address("127.0.0.1", 443)
    assert caught.value.errno == number
    assert str(caught.value) == errno.errorcode[number]


def test_no_local_port_is_left(monkeypatch: pytest.MonkeyPatch, closed_port: int) -> None:
    failing(monkeypatch, errno.EADDRNOTAVAIL, connecting=(socket.AF_INET,))
    with pytest.raises(OutOfResources):
        probe_address("127.0.0.1", closed_port)


def test_no_local_address_is_no_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where IPv6 is switched off, connecting says EADDRNOTAVAIL, as it does when all ports are taken: but for ever."""

    class NoAddress(Refusing):
        def connect_ex(self, address: object) -> int:
            return errno.EADDRNOTAVAIL

        def connect(self, address: object) -> None:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")

    replace_sockets(monkeypatch, NoAddress)
    probe, _ = probe_address("2001:db8::1", 443)
    assert (probe.failure, probe.detail) == (Failure.NETWORK_UNREACHABLE, "EADDRNOTAVAIL")


@pytest.mark.parametrize(
    ("number", "routed"),
    [
        (0, True),
        (errno.ENETUNREACH, False),
        (errno.EADDRNOTAVAIL, False),
        (errno.EACCES, False),
        (errno.EMFILE, True),
    ],
)
def test_a_route_is_what_a_datagram_socket_can_connect_by(
    monkeypatch: pytest.MonkeyPatch, number: int, routed: bool
) -> None:
    class Connecting(socket.socket):
        def connect(self, address: object) -> None:
            if number:
                raise OSError(number, "no")

    monkeypatch.setattr(socket, "socket", Connecting)
    assert has_route("127.0.0.1") is routed


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ENETUNREACH, Failure.NETWORK_UNREACHABLE),
        (errno.EHOSTUNREACH, Failure.HOST_UNREACHABLE),
        (errno.ETIMEDOUT, Failure.CONNECT_TIMEOUT),
        (errno.ECONNRESET, Failure.CONNECTION_REFUSED),
        (errno.EACCES, Failure.HOST_UNREACHABLE),
        (errno.ENOPROTOOPT, Failure.HOST_UNREACHABLE),
        (errno.EPROTO, Failure.HOST_UNREACHABLE),
        (errno.EPERM, Failure.CONNECT_ERROR),
    ],
)
def test_errors_of_connecting_become_failures(monkeypatch: pytest.MonkeyPatch, number: int, failure: Failure) -> None:
    failing(monkeypatch, number, connecting=(socket.AF_INET,))
    probe, _ = probe_address("127.0.0.1", 443)
    assert (probe.stage, probe.failure, probe.detail) == (Stage.CONNECT, failure, errno.errorcode[number])


def test_every_failure_to_connect_is_one_of_connecting() -> None:
    assert set(CONNECT_ERRORS.values()) <= CONNECT_FAILURES


@pytest.mark.parametrize(("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)])
def test_sockets_do_not_block(address: str, family: int) -> None:
    sock = open_socket(address)
    assert sock is not None
    with closing(sock):
        assert (sock.family, sock.type, sock.getblocking()) == (family, socket.SOCK_STREAM, False)
        assert has_route(address)


def test_much_is_sent_in_parts_and_received_in_parts() -> None:
    async def main() -> None:
        ready = current_readiness()
        one, other = socket.socketpair()
        with closing(one), closing(other):
            one.setblocking(False)
            other.setblocking(False)
            said = bytes(range(256)) * 20_000
            heard = b""
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, ready, one, said, math.inf)
                while len(heard) < len(said):
                    part = await receive(ready, other, math.inf)
                    assert 0 < len(part) <= READ_SIZE
                    heard += part
            assert heard == said
            one.close()
            assert await receive(ready, other, math.inf) == b""

    trio.run(main)
