"""Rows that wait: for a target that another row names too, for what the fleet will show, and for their turn to be read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from msgspec.structs import replace

from scanner.fleet.correlate.facts import Witness
from scanner.fleet.correlate.fold import Fold
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow
from scanner.run import scan as module
from scanner.run.observed_target import Observed
from scanner.run.row_queue import ROWS_AHEAD, ROWS_PER_READ, Row
from scanner.run.scan import WAITING_WORKERS, Services
from tests.helpers import evidence, pki
from tests.helpers.network import Scenario, Step, most_within
from tests.helpers.scanning import (
    HOSTS,
    Run,
    address_of,
    by_host,
    check_complete,
    codes,
    everywhere,
    healthy,
    row,
    rows_of,
    run,
    scanned,
    sending,
)

# --- duplicates ------------------------------------------------------------------------------------


def test_rows_that_name_one_target_share_its_probe() -> None:
    scenario = everywhere()
    rows: list[Row] = [row(number, HOSTS[0], id=f"id{number}", tags={"n": str(number)}) for number in range(1, 500)]
    findings = scanned(scenario, rows)
    assert len(scenario.connections) == 1
    assert len({finding["started"] for finding in findings}) == 1


@pytest.mark.parametrize(
    "change", [{"port": 444}, {"protocol": "smtp"}, {"sni": None}, {"sni": "b.example"}, {"address": "192.0.2.99"}]
)
def test_any_other_field_makes_another_target(change: dict[str, Any]) -> None:
    there = address_of(HOSTS[0])
    scenario = Scenario({place: Step(0.05, healthy) for place in (there, "192.0.2.99")}, {HOSTS[0]: [there]})
    scanned(scenario, [row(1, HOSTS[0]), row(2, HOSTS[0], **change)])
    assert {each.sni for each in scenario.connections} >= {HOSTS[0], change.get("sni", HOSTS[0])}
    assert len(scenario.connections) == 2


def test_a_finding_is_remembered_for_a_limited_number_of_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 2)
    scenario = everywhere()
    hosts = [HOSTS[0], HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[3], HOSTS[0], HOSTS[3]]
    scanned(scenario, rows_of(hosts), ScanConfig(retries=0, concurrency=1), waiting_workers=0)
    assert [each.sni for each in scenario.connections] == [HOSTS[0], HOSTS[1], HOSTS[2], HOSTS[3], HOSTS[0]]


def test_rows_that_wait_for_one_target_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHARING", 5)
    scenario = everywhere()
    scanned(scenario, rows_of([HOSTS[0]] * 20), threshold=0.02)
    assert len(scenario.connections) == 20 - 5


# --- findings that wait for the fleet --------------------------------------------------------------


def incomplete(connection: Any) -> Any:
    return evidence.answered([evidence.leaf(connection.sni)])


def strange(connection: Any) -> Any:
    return evidence.answered([pki.certificate(connection.sni, issuer=pki.root("Unknown"))])


# Three that do not send their issuer, one that does, one whose issuer nobody has.
OUTCOMES = [incomplete, incomplete, incomplete, healthy, strange]
SENDS_ITS_ISSUER = OUTCOMES.index(healthy)
# Seconds, far above what all others take with their follow-ups.
LATE = 10.0


def fleet(order: list[int], late: int | None = None) -> tuple[Scenario, list[Row]]:
    """Five hosts, each slower than the one before; ``late`` answers after all others are known."""
    places = {
        host: Step(LATE if number == late else 0.1 + 0.1 * order.index(number), OUTCOMES[number])
        for number, host in enumerate(HOSTS[:5])
    }
    scenario = Scenario(
        {address_of(host): step for host, step in places.items()}, {host: [address_of(host)] for host in places}
    )
    return scenario, rows_of(HOSTS[number] for number in order)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 4, 2, 1, 0], [0, 4, 3, 1, 2], [4, 3, 0, 1, 2]])
def test_an_intermediate_of_another_host_completes_a_chain_in_any_order(order: list[int]) -> None:
    scenario, rows = fleet(order)
    findings = scanned(scenario, rows)
    told = by_host(findings)
    for number in range(3):
        assert codes(told[HOSTS[number]]) == ["intermediate-not-sent"]
        assert told[HOSTS[number]]["cause"] == "missing-intermediate"
    assert told[HOSTS[3]]["outcome"] == "ok"
    assert codes(told[HOSTS[4]]) == ["issuer-unknown"]
    # what waited for the fleet is written after all that did not
    assert findings[-1]["target"]["host"] == HOSTS[4]


@pytest.mark.parametrize("order, again", [([4], False), ([4, 3], True), ([3, 4], False)])
def test_what_waits_is_verified_again_where_an_intermediate_was_met_since(
    monkeypatch: pytest.MonkeyPatch, order: list[int], again: bool
) -> None:
    waiting: list[Observed] = []
    original = module.Scan._current

    def watched(scan: module.Scan, observed: Observed) -> Observed:
        waiting.append(observed)
        current = original(scan, observed)
        assert (current.verdicts is None, current.facts is None) == (again, again)
        assert (current.evidence, current.owned) == (observed.evidence, observed.owned)
        return current

    monkeypatch.setattr(module.Scan, "_current", watched)
    scenario, rows = fleet([*order, *(number for number in range(5) if number not in order)])
    told = by_host(scanned(scenario, rows[: len(order)], ScanConfig(retries=0, concurrency=1), waiting_workers=0))
    assert [each.evidence.target.host for each in waiting] == [HOSTS[4]]
    assert codes(told[HOSTS[4]]) == ["issuer-unknown"]


def test_rows_that_name_a_waiting_target_get_its_finding() -> None:
    scenario, rows = fleet([0, 3, 1, 2, 4])
    again = [replace(each, row=each.row + 10, tags={"again": "yes"}) for each in rows]
    findings = scanned(scenario, [*rows, *again])
    assert len([each for each in scenario.connections if each.sni in HOSTS]) == 5
    assert [codes(each) for each in findings if each["target"]["host"] == HOSTS[4]] == [["issuer-unknown"]] * 2


def test_a_cancelled_run_does_not_write_what_waits() -> None:
    async def main() -> None:
        scenario, rows = fleet([0, 4, 1, 2, 3], late=SENDS_ITS_ISSUER)
        watched = Run(scenario)
        with trio.move_on_after(LATE / 2):
            await watched.of(rows)
        seen = watched.scan.statistics()
        assert (seen.read, seen.done, seen.held) == (5, 0, 4)
        assert watched.findings == []

    run(main, threshold=0.01)


def test_before_settling_is_awaited_first() -> None:
    async def main() -> None:
        scenario, rows = fleet([0, 1, 2, 3, 4], late=SENDS_ITS_ISSUER)
        watched = Run(scenario)
        seen = []

        async def before() -> None:
            await trio.sleep(1)
            seen.append((len(watched.findings), watched.scan.statistics().held))

        await watched.scan.run(iter(rows), Services(observer=watched.observer), before_settling=before)
        # only the one that is in order waits for nobody
        assert seen == [(1, 4)]
        check_complete(rows, watched.findings)

    run(main, threshold=0.01)


# --- reading ---------------------------------------------------------------------------------------


class Endless:
    """Endless rows, and how many were taken."""

    def __init__(self, hosts: int | None = None) -> None:
        self.taken = 0
        self.hosts = hosts

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        self.taken += 1
        number = self.taken if self.hosts is None else self.taken % self.hosts
        return row(self.taken, f"h{number}.example", address=f"198.51.{number // 250 % 250}.{number % 250}")


@pytest.mark.parametrize("hosts", [None, 50], ids=["all different", "the same again and again"])
def test_rows_are_read_ahead_up_to_a_limit(monkeypatch: pytest.MonkeyPatch, hosts: int | None) -> None:
    monkeypatch.setattr(module, "MAX_SHARING", 1000)
    endless = Endless(hosts)

    class Silence(Scenario):
        async def probe(self, *args: Any, **kwargs: Any) -> Any:
            await trio.sleep_forever()

    async def main() -> None:
        watched = Run(Silence(), ScanConfig(concurrency=50))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.of, endless)
            before = 0
            while not before or endless.taken != before:  # until it does not want any more
                before = endless.taken
                await trio.sleep(0.2)
            nursery.cancel_scope.cancel()
        assert watched.findings == []

    trio.run(main)
    most = 50 + WAITING_WORKERS + 2 * ROWS_AHEAD + (0 if hosts is None else 1000)
    assert ROWS_PER_READ < endless.taken <= most


def test_an_inventory_error_ends_the_run() -> None:
    def torn() -> Iterator[Row]:
        yield from rows_of(HOSTS[:3])
        raise OSError("torn")

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await Run(everywhere()).of(torn())
        assert caught.group_contains(OSError, match="torn")

    run(main)


# --- one's turn ------------------------------------------------------------------------------------


def test_many_names_on_one_server_do_not_block_other_servers() -> None:
    """Two servers with sixty names each come first, and only four connections may be open."""
    crowd = [f"name{number}.example" for number in range(120)]
    names = {host: [f"192.0.2.{200 + number % 2}"] for number, host in enumerate(crowd)}
    names |= {host: [address_of(host)] for host in HOSTS}
    scenario = Scenario({place: Step(0.05, healthy) for (place,) in names.values()}, names)
    rows = rows_of([*crowd, *HOSTS])

    async def main() -> Run:
        watched = Run(scenario, ScanConfig(retries=0, concurrency=4, rate_per_address=5))
        await watched.of(rows)
        return watched

    done: Run = run(main, threshold=0.004)

    check_complete(rows, done.findings)
    assert scenario.peak() <= 4
    for server in ("192.0.2.200", "192.0.2.201"):
        assert most_within(scenario.starts(server), 1 - 1e-6) <= 5
    order = [place[-3:] for place in scenario.order() if place.startswith("192.0.2.20")]
    # in turn: of any ten in a row on these two, neither server has more than seven
    assert all(3 <= order[at : at + 10].count("200") <= 7 for at in range(len(order) - 10))
    assert len(order) == len(crowd)
    others = [max(scenario.starts(address_of(host))) for host in HOSTS]
    assert max(others) < 5 < max(scenario.starts())


def test_rows_without_a_connection_are_answered_at_once() -> None:
    rows: list[Row] = [InvalidRow(number, "bad") for number in range(1, 1000)]
    assert len(scanned(Scenario(), rows)) == len(rows)


def test_certificates_are_judged_by_the_corrected_time_if_the_clock_is_wrong() -> None:
    scenario = everywhere()

    def told(servers: int) -> dict[str, Any]:
        watched = Run(scenario)
        for number in range(servers):
            at = int(evidence.AT)
            watched.scan.fold.clock.add_witness(Witness("sntp", f"time{number}.example", at + 400 * 86_400, at))
        run(lambda: watched.of(rows_of(HOSTS[:1])))
        (finding,) = watched.findings
        return dict(finding)

    assert told(servers=0)["outcome"] == "ok"
    assert told(servers=1)["outcome"] == "ok"  # one of them may lie
    late = told(servers=3)
    assert (late["outcome"], late["cause"]) == ("fail", "expired-or-self-signed")


def test_targets_that_have_to_wait_again_do_not_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is settled may become open again while others have their turn."""
    monkeypatch.setattr(Fold, "is_final", lambda self, reason: True)
    monkeypatch.setattr(Fold, "pending_reason", lambda self, facts: "clock")
    assert len(scanned(everywhere(sending(pki.certificate("other.example"))), rows_of(HOSTS))) == len(HOSTS)
