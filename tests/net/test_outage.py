"""An outage of our own network is told from servers that cannot be reached, by whether others can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from scanner.net.outage import (
    GAP_SECONDS,
    MANY_WAITING,
    MIN_ANSWERED,
    TESTED,
    NetworkLost,
    Outage,
    OutageMonitor,
    Server,
)


class Network:
    """Whether servers can be reached at this moment, and who was connected to in tests."""

    def __init__(self) -> None:
        self.up = True
        self.gone: set[str] = set()
        self.tested: list[Server] = []

    async def connect(self, server: Server, seconds: float) -> bool:
        self.tested.append(server)
        if not self.up or server[0] in self.gone:
            await trio.sleep(seconds)
            return False
        await trio.sleep(0.01)
        return True


class Watched:
    def __init__(self, network: Network, patience: float = 300) -> None:
        self.network = network
        self.lines: list[str] = []
        self.forgotten = 0
        self.busy = False
        self.monitor = OutageMonitor(
            network.connect,
            patience=patience,
            busy=lambda: self.busy,
            report=self.lines.append,
            forget=self.forget,
        )

    def forget(self) -> None:
        self.forgotten += 1

    def worked(self, count: int = MIN_ANSWERED) -> None:
        """Servers answered a moment ago."""
        for number in range(count):
            self.monitor.answered(f"192.0.{number}.1", 443, trio.current_time())


def run(main: Callable[[Watched], Awaitable[None]], **options: float) -> Watched:
    async def within() -> Watched:
        watched = Watched(Network(), **options)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.monitor.watch)
            await main(watched)
            nursery.cancel_scope.cancel()
        return watched

    result: Watched = trio.run(within, clock=MockClock(autojump_threshold=0))
    return result


def test_where_nothing_has_worked_yet_failures_stand_at_once() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(MIN_ANSWERED - 1)
        began = trio.current_time()
        assert await watched.monitor.settle("198.51.100.1", began) is None
        assert trio.current_time() == began

    assert run(main).network.tested == []


def test_a_server_reached_later_proves_that_the_network_works() -> None:
    async def main(watched: Watched) -> None:
        watched.worked()
        found: list[Outage | None] = []

        async def fail() -> None:
            found.append(await watched.monitor.settle("198.51.100.1", trio.current_time()))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            await wait_all_tasks_blocked()
            assert found == []
            watched.monitor.answered("192.0.9.1", 443, trio.current_time())  # began no later than the failure ended
            await wait_all_tasks_blocked()
            assert found == []
            await trio.sleep(0.1)
            watched.monitor.answered("192.0.9.1", 443, trio.current_time())
        assert found == [None]

    assert run(main).network.tested == []


def test_where_nobody_else_is_reached_servers_that_answered_are_tested() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(20)
        assert await watched.monitor.settle("198.51.100.1", trio.current_time()) is None

    watched = run(main)
    assert len(watched.network.tested) == 1
    assert watched.lines == []


def test_where_the_first_server_of_a_test_is_gone_others_are_connected_to() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        watched.network.gone = {"192.0.7.1", "192.0.8.1"}
        assert await watched.monitor.settle("198.51.100.1", trio.current_time()) is None

    watched = run(main)
    assert watched.lines == []
    assert len(set(watched.network.tested)) == len(watched.network.tested) <= TESTED


def test_while_connections_are_in_flight_and_nobody_answers_one_server_is_connected_to_now_and_then() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        watched.busy = True
        await trio.sleep(10.5)
        watched.busy = False
        await trio.sleep(100)

    watched = run(main)
    assert 15 <= len(watched.network.tested) <= 21
    assert len(set(watched.network.tested)) > 5


def test_a_failure_during_a_gap_in_all_answers_proves_nothing() -> None:
    """An outage that was over before anybody had failed."""

    async def main(watched: Watched) -> None:
        for number in range(100):
            watched.monitor.answered(f"192.0.{number}.1", 443, trio.current_time())
            await trio.sleep(0.1)
        begun = trio.current_time()
        await trio.sleep(GAP_SECONDS + 0.1)  # nobody answers
        proves: dict[float, bool] = {}

        async def fail(since: float) -> None:
            proves[since - begun] = await watched.monitor.settle("198.51.100.1", since) is None

        async with trio.open_nursery() as nursery:
            for number in range(30):
                watched.monitor.answered(f"192.0.{number}.1", 443, trio.current_time())
                await trio.sleep(0.1)
            nursery.start_soon(fail, begun)  # its SYNs were lost in the gap
            nursery.start_soon(fail, begun + 2)  # it began after the gap
            nursery.start_soon(fail, begun - 5)
            await trio.sleep(0.1)
            watched.monitor.answered("192.0.9.1", 443, trio.current_time())
        assert proves == {0: False, 2: True, -5: False}

    run(main)


def test_a_dead_network_of_the_inventory_is_no_outage() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)

        async def fail(number: int) -> None:
            assert await watched.monitor.settle(f"198.51.100.{number}", trio.current_time()) is None

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(fail, number)

    watched = run(main)
    assert watched.lines == []
    assert len(watched.network.tested) <= 2 * TESTED  # for those who waited first, and for all others


def test_an_outage_is_waited_out_and_reported_once() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        began = trio.current_time()
        watched.network.up = False
        found: list[Outage | None] = []

        async def fail(number: int) -> None:
            found.append(await watched.monitor.settle(f"198.51.100.{number}", began))

        async with trio.open_nursery() as nursery:
            for number in range(MANY_WAITING):
                nursery.start_soon(fail, number)
            await trio.sleep(60)
            assert found == []
            assert watched.monitor.down
            ready = trio.Event()

            async def wait() -> None:
                await watched.monitor.ready()
                ready.set()

            nursery.start_soon(wait)
            await trio.sleep(1)
            assert not ready.is_set()
            watched.network.up = True
        assert ready.is_set()
        assert len(found) == MANY_WAITING
        for outage in found:
            assert outage is not None
            assert outage.start <= began
            assert outage.end - outage.start >= 60
        # whoever failed before it does not blame it, nor who began after it
        later = trio.current_time() + 10
        await trio.sleep(10)
        watched.worked()
        assert watched.monitor.outage_since(later) is None
        assert watched.monitor.outage_since(began) is not None

    watched = run(main)
    assert len(watched.lines) == 2
    assert "SEEMS TO BE DOWN (IPv4)" in watched.lines[0]
    assert "is back" in watched.lines[1]
    assert watched.forgotten == 1


def test_an_answer_on_its_way_does_not_end_an_outage() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        watched.network.up = False
        async with trio.open_nursery() as nursery:
            for number in range(MANY_WAITING):
                nursery.start_soon(watched.monitor.settle, f"198.51.100.{number}", trio.current_time())
            await trio.sleep(20)
            watched.monitor.answered("192.0.9.1", 443, trio.current_time())
            assert watched.monitor.down
            watched.network.up = True

    run(main)


def test_families_fail_by_themselves() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        for number in range(5):
            watched.monitor.answered(f"2001:db8:{number}::1", 443, trio.current_time())
            watched.monitor.answered(f"127.0.0.{number}", 443, trio.current_time())
        watched.network.gone = {f"2001:db8:{number}::1" for number in range(5)}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.monitor.settle, "2001:db8:99::1", trio.current_time())
            assert await watched.monitor.settle("198.51.100.1", trio.current_time()) is None
            assert await watched.monitor.settle("127.0.9.1", trio.current_time()) is None
            await trio.sleep(10)
            assert watched.monitor.down
            watched.network.gone = set()

    assert "IPv6" in run(main).lines[0]


def test_outage_that_does_not_end_ends_the_run() -> None:
    async def main(watched: Watched) -> None:
        watched.worked(10)
        watched.network.up = False
        await watched.monitor.settle("198.51.100.1", trio.current_time())

    with pytest.raises(ExceptionGroup) as caught:
        run(main, patience=30)
    assert caught.group_contains(NetworkLost, match="did not come back within 30 s")


def test_servers_of_many_networks_are_tested_first() -> None:
    async def main(watched: Watched) -> None:
        watched.monitor.answered("203.0.113.9", 443, trio.current_time())
        for number in range(1, 30):
            watched.monitor.answered(f"192.0.2.{number}", 443, trio.current_time())
        watched.network.up = False
        with trio.move_on_after(4):
            await watched.monitor.settle("198.51.100.1", trio.current_time())

    assert ("203.0.113.9", 443) in run(main).network.tested


def test_a_machine_without_a_network_waits_for_one() -> None:
    async def main(watched: Watched) -> None:
        watched.network.up = False
        found: list[bool] = []

        async def wait() -> None:
            found.append(await watched.monitor.network_returns(lambda: watched.network.up))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            await trio.sleep(20)
            assert found == []
            watched.network.up = True
        assert found == [True, True]

    watched = run(main)
    assert len(watched.lines) == 2
    assert "HAS NO NETWORK" in watched.lines[0]


def test_a_machine_that_has_a_network_does_not_wait() -> None:
    async def main(watched: Watched) -> None:
        assert not await watched.monitor.network_returns(lambda: True)

    assert run(main).lines == []


def test_a_machine_that_stays_without_a_network_ends_the_run() -> None:
    async def main(watched: Watched) -> None:
        await watched.monitor.network_returns(lambda: False)

    with pytest.raises(ExceptionGroup) as caught:
        run(main, patience=30)
    assert caught.group_contains(NetworkLost, match="no network for 30 s")
