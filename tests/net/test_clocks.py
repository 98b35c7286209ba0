"""Time in which the event loop did not run is no time of a deadline; a wall clock that is set moves nothing."""

from __future__ import annotations

import socket
import time

import pytest
import trio

from scanner.net.clocks import LATENESS_ALLOWED, LoopClock, WallClock, boot_time
from scanner.net.readiness import DeadlinePassed, current_readiness


class Ticks:
    """A clock that a test moves."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_time_passes_as_it_is_read() -> None:
    ticks = Ticks()
    clock = LoopClock(ticks)
    first = clock.current_time()
    for _ in range(100):
        ticks.now += LATENESS_ALLOWED / 2
        clock.current_time()
    assert clock.current_time() - first == pytest.approx(50 * LATENESS_ALLOWED)
    assert clock.lost == 0


def test_a_stall_is_left_out() -> None:
    ticks = Ticks()
    clock = LoopClock(ticks)
    before = clock.current_time()
    ticks.now += 20
    assert clock.current_time() == pytest.approx(before)
    assert clock.lost == pytest.approx(20)


def test_a_sleep_that_was_meant_is_time() -> None:
    ticks = Ticks()
    clock = LoopClock(ticks)
    before = clock.current_time()
    assert clock.deadline_to_sleep_time(before + 5) == pytest.approx(5)
    ticks.now += 5
    assert clock.current_time() - before == pytest.approx(5)
    assert clock.lost == 0


def test_of_a_sleep_that_took_longer_only_what_was_meant_is_time() -> None:
    ticks = Ticks()
    clock = LoopClock(ticks)
    before = clock.current_time()
    clock.deadline_to_sleep_time(before + 5)
    ticks.now += 65
    assert clock.current_time() - before == pytest.approx(5)
    assert clock.lost == pytest.approx(60)


def test_a_plan_to_sleep_counts_once() -> None:
    ticks = Ticks()
    clock = LoopClock(ticks)
    clock.deadline_to_sleep_time(clock.current_time() + 30)
    ticks.now += 0.01  # woken by a packet
    clock.current_time()
    ticks.now += 10  # stopped
    clock.current_time()
    assert clock.lost == pytest.approx(10)


def test_what_arrived_in_a_stall_is_read_though_its_deadline_lay_within() -> None:
    async def main() -> bytes:
        ready = current_readiness()
        mine, theirs = socket.socketpair()
        with mine, theirs:
            mine.setblocking(False)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stall, theirs)
                await ready.readable(mine, ready.now() + 0.2)
                return mine.recv(10)
        raise AssertionError

    async def stall(peer: socket.socket) -> None:
        await trio.lowlevel.checkpoint()
        time.sleep(0.3)
        peer.send(b"late")

    clock = LoopClock()
    assert trio.run(main, clock=clock) == b"late"
    assert clock.lost > 0


def test_silence_still_ends_at_its_deadline() -> None:
    async def main() -> None:
        ready = current_readiness()
        mine, theirs = socket.socketpair()
        with mine, theirs, pytest.raises(DeadlinePassed):
            await ready.readable(mine, ready.now() + 0.05)

    trio.run(main, clock=LoopClock())


# --- the wall clock --------------------------------------------------------------------------------


def test_a_wall_clock_that_is_set_moves_nothing_and_is_noticed_once() -> None:
    wall, boot = Ticks(1_800_000_000), Ticks(50)
    clock = WallClock(wall=wall, boot=boot)
    assert clock() == 1_800_000_000
    for ticks in (wall, boot):
        ticks.now += 7
    assert (clock(), clock.jump()) == (1_800_000_007, None)
    wall.now += 400 * 86_400
    assert clock() == 1_800_000_007
    assert clock.jump() == 400 * 86_400
    assert clock.jump() is None
    wall.now -= 401 * 86_400
    assert clock.jump() == -401 * 86_400


def test_a_clock_that_is_slewed_is_not_set() -> None:
    wall, boot = Ticks(1_800_000_000), Ticks(50)
    clock = WallClock(wall=wall, boot=boot)
    boot.now += 3600
    wall.now += 3601.8
    assert clock.jump() is None


def test_processes_that_share_an_offset_tell_the_same_time() -> None:
    wall, boot = Ticks(1_800_000_000), Ticks(50)
    first = WallClock(wall=wall, boot=boot)
    wall.now += 86_400  # set before the second process starts
    assert WallClock(first.offset, wall=wall, boot=boot)() == first()


def test_resolvers_of_the_system() -> None:
    assert abs(WallClock()() - time.time()) < 5
    assert boot_time() > 0
