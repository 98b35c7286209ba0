"""Waiting for sockets with a deadline each: by one epoll for all of them, and in trio's own way."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from scanner.net import readiness
from scanner.net.readiness import DeadlinePassed, EpollReadiness, Readiness, TrioReadiness, current_readiness

Kind = type[EpollReadiness] | type[TrioReadiness]
KINDS: list[Kind] = [EpollReadiness, TrioReadiness]
pytestmark = pytest.mark.parametrize("kind", KINDS, ids=["epoll", "trio"])


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends that do not block."""
    one, other = socket.socketpair()
    with closing(one), closing(other):
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


@asynccontextmanager
async def open_readiness(kind: Kind) -> AsyncIterator[Readiness]:
    async with trio.open_nursery() as nursery:
        ready = kind()
        if isinstance(ready, EpollReadiness):
            nursery.start_soon(ready.serve)
        yield ready
        nursery.cancel_scope.cancel()


def run(main: object) -> None:
    trio.run(main, clock=MockClock(autojump_threshold=0.002))  # type: ignore[arg-type]


def test_ready_sockets_return_at_once(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                other.send(b"x")
                began = ready.now()
                await ready.readable(one, began + 5)
                await ready.writable(one, began + 5)
                assert ready.now() - began < 1
                assert one.recv(9) == b"x"

    run(main)


def test_a_deadline_passes_at_its_time(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, _):
                for seconds in (3.0, 0.5, 0.0, -1.0, 7.0):
                    began = ready.now()
                    with pytest.raises(DeadlinePassed):
                        await ready.readable(one, began + seconds)
                    assert ready.now() - began == pytest.approx(max(seconds, 0), abs=0.01)

    run(main)


def test_many_waits_end_each_at_its_own_deadline(kind: Kind) -> None:
    """Data for some, deadlines in any order for the others: each hears of its own, once."""

    async def main() -> None:
        heard: dict[int, float | bytes] = {}

        async def wait(number: int, sock: socket.socket) -> None:
            began = ready.now()
            try:
                await ready.readable(sock, 100 - number)
            except DeadlinePassed:
                heard[number] = round(ready.now() - began, 1)
            else:
                heard[number] = sock.recv(99)

        async with open_readiness(kind) as ready, trio.open_nursery() as nursery:
            began = ready.now()
            sockets = [socket.socketpair() for _ in range(40)]
            for number, (one, _) in enumerate(sockets):
                one.setblocking(False)
                nursery.start_soon(wait, number, one)
            await wait_all_tasks_blocked()
            for number in range(0, 40, 2):
                sockets[number][1].send(b"%d" % number)
            await trio.sleep(30)
            assert sorted(heard) == list(range(0, 40, 2))
        assert heard == {
            number: b"%d" % number if number % 2 == 0 else pytest.approx(100 - number - began, abs=0.2)
            for number in range(40)
        }
        for one, other in sockets:
            one.close()
            other.close()

    run(main)


def test_the_end_and_a_reset_can_be_received(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                other.close()
                await ready.readable(one, math.inf)
                assert one.recv(9) == b""

    run(main)


def test_one_socket_may_be_waited_for_again_and_again(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                for number in range(5):
                    with pytest.raises(DeadlinePassed):
                        await ready.readable(one, ready.now() + 1)
                    other.send(b"%d" % number)
                    await ready.readable(one, ready.now() + 1)
                    assert one.recv(9) == b"%d" % number

    run(main)


def test_reused_file_number_is_a_new_file(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                other.send(b"x")
                await ready.readable(one, ready.now() + 1)
                number = one.fileno()
            with pair() as (one, other):
                assert number in (one.fileno(), other.fileno())
                with pytest.raises(DeadlinePassed):
                    await ready.readable(one, ready.now() + 3)
                other.send(b"y")
                await ready.readable(one, ready.now() + 3)

    run(main)


def test_cancelled_wait_leaves_the_socket_free(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                with trio.move_on_after(2) as scope:
                    await ready.readable(one, ready.now() + 9)
                assert scope.cancelled_caught
                other.send(b"x")
                await ready.readable(one, ready.now() + 9)
                assert one.recv(9) == b"x"
                await trio.sleep(20)  # the deadline of the first wait passes unheard

    run(main)


def test_second_wait_on_one_socket_is_refused(kind: Kind) -> None:
    """The first wait goes on as if nothing had been tried, whichever of the two would have ended first."""

    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                ended: list[str] = []

                async def first() -> None:
                    with pytest.raises(DeadlinePassed):
                        await ready.readable(one, ready.now() + 2)
                    ended.append("first")

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(first)
                    await wait_all_tasks_blocked(0.001)
                    for seconds in (1, 3):
                        with pytest.raises(trio.BusyResourceError):
                            await ready.readable(one, ready.now() + seconds)
                    await trio.sleep(1)
                    assert not ended
                assert ended
                other.send(b"x")
                await ready.readable(one, ready.now() + 2)

    run(main)


def test_closing_a_socket_wakes_the_task_that_waits_for_it(kind: Kind) -> None:
    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                number = one.fileno()

                async def wait() -> None:
                    with pytest.raises(trio.ClosedResourceError):
                        await ready.readable(one, ready.now() + 5)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait)
                    await wait_all_tasks_blocked(0.001)
                    ready.close(one)
                    assert one.fileno() == -1
                ready.close(one)  # a second time: nothing happens
            with pair() as (one, other):
                assert number in (one.fileno(), other.fileno())
                for sock in (one, other):
                    await ready.writable(sock, ready.now() + 1)

    run(main)


def test_deadlines_of_finished_waits_are_swept(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "_STALE_AT_LEAST", 10)

    async def main() -> None:
        async with open_readiness(kind) as ready:
            with pair() as (one, other):
                other.send(b"x")
                for _ in range(2000):
                    await ready.readable(one, ready.now() + 1000)
                assert not isinstance(ready, EpollReadiness) or len(ready._deadlines) <= 1024 + 12

    run(main)


def test_readiness_belongs_to_one_run_of_trio(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind is TrioReadiness:
        monkeypatch.setattr(readiness, "HAS_EPOLL", False)
    seen: list[Readiness] = []

    async def main() -> None:
        ready = current_readiness()
        assert isinstance(ready, kind)
        assert current_readiness() is ready
        with pair() as (one, _), pytest.raises(DeadlinePassed):
            await ready.readable(one, ready.now() + 2)
        seen.append(ready)

    run(main)
    run(main)
    assert seen[0] is not seen[1]
    assert all(each._epoll.closed for each in seen if isinstance(each, EpollReadiness))
