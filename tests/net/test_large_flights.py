"""Few long flights are read at once, and waiting for one's turn is nobody else's fault."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, trio_test, wait_all_tasks_blocked

from scanner.model.evidence import Failure, Probe
from scanner.net.large_flights import COPIES, FEWEST, LONG, MOST, LargeFlights, places_for
from scanner.net.probe import Prober, Timing
from scanner.tls.handshake import MAX_FLIGHT
from scanner.tls.offers import MODERN
from tests.net.scripted import HOST, Peer, serving
from tests.tls.peers import public_key_of

# The beginning of one handshake message of 200,000 bytes, in records of 16,000
START = b"\x02\x03\x0d\x40"
PIECES = 4
SENT = PIECES * 16_000


def record(content: bytes) -> bytes:
    return b"\x16\x03\x03" + len(content).to_bytes(2, "big") + content


async def begins_a_long_flight(peer: Peer) -> None:
    await peer.hello()
    await peer.say(record(START + bytes(16_000 - len(START))) + (PIECES - 1) * record(bytes(16_000)))


@pytest.mark.parametrize(
    ("memory", "places"), [(None, MOST), (128 << 20, 8), (512 << 20, 32), (1 << 30, 64), (1 << 40, MOST), (0, FEWEST)]
)
def test_places_by_memory(memory: int | None, places: int) -> None:
    assert places_for(memory) == places
    assert memory is None or places == FEWEST or places * COPIES * MAX_FLIGHT <= memory // 8


@trio_test
async def test_slots_are_given_in_order_of_arrival(autojump_clock: MockClock) -> None:
    large = LargeFlights(1)
    waited: dict[str, float] = {}

    async def read(name: str) -> None:
        waited[name] = await large.enter(name)
        await trio.sleep(2)
        large.leave(name)

    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(read, name)
            await wait_all_tasks_blocked()
    assert waited == {"a": 0.0, "b": 2.0, "c": 4.0}


@pytest.fixture
def autojump_clock() -> MockClock:
    return MockClock(autojump_threshold=0.005)


def both(places: int) -> tuple[Probe, Probe]:
    """Probe a server that stops in the middle of a long flight, and a moment later one that ends there."""

    async def stops(peer: Peer) -> None:
        await begins_a_long_flight(peer)
        await peer.silence()

    async def main() -> tuple[Probe, Probe]:
        prober = Prober(public_key_of, large=LargeFlights(places))
        probes: dict[int, Probe] = {}
        timing = Timing(connect=5, handshake=10, total=15)

        async def one(port: int) -> None:
            probes[port] = await prober.probe(HOST, port, offer=MODERN, sni=None, alpn=(), dialogue=None, timing=timing)

        async with serving(stops) as slow, serving(begins_a_long_flight) as quick, trio.open_nursery() as nursery:
            nursery.start_soon(one, slow.port)
            await trio.sleep(1)
            nursery.start_soon(one, quick.port)
        return probes[slow.port], probes[quick.port]

    return trio.run(main, clock=MockClock(autojump_threshold=0.005))


def test_with_places_for_both_nobody_waits() -> None:
    slow, quick = both(2)
    assert (slow.failure, slow.bytes_received > LONG) == (Failure.SILENT, True)
    assert quick.failure in (Failure.CLOSED, Failure.MALFORMED)


def test_waiting_for_a_place_is_not_the_servers_silence() -> None:
    slow, quick = both(1)
    assert slow.failure is Failure.SILENT
    assert quick.failure in (Failure.CLOSED, Failure.MALFORMED)
    assert quick.bytes_received == both(2)[1].bytes_received > LONG
    assert quick.handshake_seconds is not None and quick.handshake_seconds < 5
