"""What was seen is doubted where this machine may have caused it, and nowhere else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from scanner.model.evidence import DnsStatus, Evidence, Failure, FetchedIssuer, RevocationAnswer
from scanner.net.clocks import LoopClock
from scanner.net.conditions import PAUSE_SECONDS, Conditions, connects, has_failures, has_network
from scanner.net.outage import MIN_ANSWERED, Outage, OutageMonitor
from tests.helpers import evidence
from tests.helpers.evidence import answered, at, dns, failed

DOUBTED = "the resolver answers nobody"


class Monitor(OutageMonitor):
    """Knows of one outage, or of none."""

    def __init__(self, outage: Outage | None = None) -> None:
        super().__init__(connects, patience=1, busy=lambda: True)
        self.outage = outage
        self.settled: list[str] = []

    async def settle(self, address: str, begun: float) -> Outage | None:
        await trio.lowlevel.checkpoint()
        self.settled.append(address)
        return self.outage

    def outage_since(self, begun: float) -> Outage | None:
        return self.outage


@contextmanager
def waiting() -> Iterator[None]:
    yield


def doubt(
    seen: Evidence, *, outage: Outage | None = None, lost: float = 0, worked: bool = False, first: bool = True
) -> tuple[str | None, list[str]]:
    now = [100.0]

    async def main() -> tuple[str | None, list[str]]:
        monitor = Monitor(outage)
        conditions = Conditions(monitor, waiting)
        if worked:
            for number in range(MIN_ANSWERED):
                monitor.answered(f"192.0.{number}.9", 443, 0)
        mark = conditions.mark()
        now[0] += lost
        await trio.lowlevel.checkpoint()
        found = await conditions.doubt(seen, mark, first=first)
        return found, monitor.settled

    result: tuple[str | None, list[str]] = trio.run(main, clock=LoopClock(lambda: now[0]))
    return result


SILENT = evidence.evidence(failed(Failure.SILENT))
UNROUTED = evidence.evidence(failed(Failure.NETWORK_UNREACHABLE))
OUTAGE = Outage(0, 60)


def test_healthy_evidence_is_not_doubted() -> None:
    assert doubt(evidence.evidence(answered()), outage=OUTAGE, lost=60) == (None, [])


def test_a_failure_is_the_targets_where_this_machine_was_well() -> None:
    assert doubt(SILENT) == (None, [evidence.ADDRESS])
    assert doubt(evidence.evidence(failed(Failure.RESET))) == (None, [])


def test_a_further_connection_that_came_to_nothing_may_have_met_an_outage() -> None:
    seen = evidence.evidence(at(answered(), no_sni=failed(Failure.CONNECT_TIMEOUT)))
    assert doubt(seen) == (None, [evidence.ADDRESS])
    blocked = RevocationAnswer("00", "ocsp", "http://ocsp.example", "unavailable", error="timed out", blocked=True)
    assert doubt(replace(evidence.evidence(answered()), revocation=(blocked,))) == (None, [evidence.ADDRESS])


def test_what_failed_before_anything_worked_is_early() -> None:
    async def main() -> list[bool]:
        monitor = OutageMonitor(connects, patience=1, busy=lambda: True)
        conditions = Conditions(monitor, waiting)
        refused = evidence.evidence(failed(Failure.CONNECTION_REFUSED))
        healthy = evidence.evidence(answered())
        found = [conditions.is_early(seen) for seen in (SILENT, refused, healthy, evidence.evidence())]
        for number in range(MIN_ANSWERED):
            monitor.answered(f"192.0.{number}.9", 443, 0)
        return [*found, conditions.is_early(SILENT)]

    assert trio.run(main) == [True, False, False, False, False]


def test_whether_there_is_a_network_is_read_from_the_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = tmp_path / "route"
    heading = "Iface\tDestination\tGateway\n"
    monkeypatch.setattr("scanner.net.conditions.has_route", lambda address: address == "127.0.0.1")
    routes.write_text(heading)
    assert not has_network(routes=str(routes))
    assert has_network(loopback=True, routes=str(routes))
    routes.write_text(heading + "eth0\t00000000\t0101A8C0\n")
    assert has_network(routes=str(routes))
    assert has_network(routes=str(tmp_path / "none"))


def test_loopback_has_a_route() -> None:
    assert has_network(loopback=True)


def test_a_pause_of_the_process() -> None:
    found, _ = doubt(SILENT, lost=20)
    assert found == "this process did not run for 20 s while the target was probed"
    assert doubt(SILENT, lost=PAUSE_SECONDS / 2)[0] is None


@pytest.mark.parametrize("seen", [SILENT, evidence.evidence(failed(Failure.RESET))], ids=["silent", "reset"])
def test_an_outage(seen: Evidence) -> None:
    assert doubt(seen, outage=OUTAGE)[0] == "the network of this machine was down for 60 s meanwhile"


def test_without_a_route_a_target_is_tried_once_more_where_others_were_reached() -> None:
    assert doubt(UNROUTED)[0] is None
    assert doubt(UNROUTED, worked=True)[0] == "this machine knew no route at that moment"
    assert doubt(UNROUTED, worked=True, first=False)[0] is None


def test_servers_that_were_reached_are_known_by_when_their_connection_began() -> None:
    noted: list[tuple[str, int, float | None]] = []

    class Noting(Monitor):
        def answered(self, address: str, port: int, began: float | None) -> None:
            noted.append((address, port, began))

    async def main() -> None:
        conditions = Conditions(Noting(), waiting)
        mark = conditions.mark()
        unavailable = RevocationAnswer("00", "ocsp", "http://ocsp.example", "unavailable", error="timed out")
        seen = evidence.evidence(answered())
        for each in (seen, replace(seen, revocation=(unavailable,)), SILENT, UNROUTED):
            await conditions.doubt(each, mark, first=True)

    trio.run(main, clock=LoopClock(lambda: 100.0))
    # the evidence took 50 ms in all, and its connection 13 of them
    later = (evidence.ADDRESS, 443, None)
    assert noted == [(evidence.ADDRESS, 443, pytest.approx(100.037)), later, later]


def test_what_the_resolver_doubts() -> None:
    seen = evidence.evidence(answer=dns(DnsStatus.TIMEOUT, doubt=DOUBTED))
    assert doubt(seen)[0] == DOUBTED
    assert doubt(evidence.evidence(answer=dns(DnsStatus.TIMEOUT)))[0] is None


def amiss(**changes: Any) -> bool:
    return has_failures(replace(evidence.evidence(answered()), **changes))


def test_failures_of_every_part_count() -> None:
    revoked = RevocationAnswer("00", "ocsp", "http://ocsp.example", "good")
    assert not amiss()
    assert not amiss(revocation=(revoked,))
    assert amiss(revocation=(RevocationAnswer("00", "ocsp", "http://ocsp.example", "unavailable", error="timed out"),))
    assert amiss(issuers=(FetchedIssuer("00", "http://ca.example", error="timed out"),))
    assert amiss(endpoints=(at(answered(), no_sni=failed(Failure.SILENT)),))
    assert amiss(dns=dns(DnsStatus.SERVFAIL))
    assert not amiss(dns=dns(DnsStatus.NXDOMAIN))


def test_connects_tells_open_from_closed_ports() -> None:
    async def main() -> tuple[bool, bool]:
        with closing(socket.socket()) as server, closing(socket.socket()) as closed:
            for sock in (server, closed):
                sock.bind(("127.0.0.1", 0))
            server.listen()
            return await connects(server.getsockname(), 5), await connects(closed.getsockname(), 5)

    assert trio.run(main, clock=MockClock(autojump_threshold=1)) == (True, False)
