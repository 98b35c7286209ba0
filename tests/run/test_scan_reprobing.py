"""What may be this machine's doing is probed again near the end of the run; what stays in doubt is not held against a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

from scanner.model.config import ScanConfig
from scanner.model.evidence import DnsAnswer, DnsStatus, Evidence, Failure
from scanner.net.conditions import Conditions, Mark, connects, has_failures
from scanner.net.outage import OutageMonitor
from scanner.run import scan as module
from scanner.run.scan import MAX_ATTEMPTS
from tests.helpers.network import NEVER, Scenario, Step
from tests.helpers.scanning import HOSTS, address_of, by_host, codes, everywhere, healthy, row, rows_of, scanned

RATIONALE = "the network of this machine was down for 60 s meanwhile"


@contextmanager
def waiting() -> Iterator[None]:
    yield


class Doubting(Conditions):
    """Conditions that doubt failures for a given number of probes."""

    def __init__(self, times: int) -> None:
        super().__init__(OutageMonitor(connects, patience=1, busy=lambda: True), waiting)
        self.times = times

    async def doubt(self, evidence: Evidence, mark: Mark, *, first: bool) -> str | None:
        await trio.lowlevel.checkpoint()
        if not has_failures(evidence) or not self.times:
            return None
        self.times -= 1
        return RATIONALE


class Broken(Conditions):
    def __init__(self) -> None:
        super().__init__(OutageMonitor(connects, patience=1, busy=lambda: True), waiting)

    async def doubt(self, evidence: Evidence, mark: Mark, *, first: bool) -> str | None:
        await trio.lowlevel.checkpoint()
        if has_failures(evidence):
            raise ZeroDivisionError("injected")
        return None


def doubting(times: int) -> Callable[[], Conditions]:
    return lambda: Doubting(times)


def network_of(*steps: Step) -> Scenario:
    """The first host goes through these steps, all others are healthy."""
    good = {address_of(host): Step(0.05, healthy) for host in HOSTS}
    names = {host: [address_of(host)] for host in HOSTS}
    return Scenario({**good, address_of(HOSTS[0]): list(steps)}, names)


DEAD = Step(NEVER, Failure.CONNECT_TIMEOUT)
GOOD = Step(0.05, healthy)


def test_a_target_in_doubt_is_probed_again_after_all_others() -> None:
    scenario = network_of(DEAD, GOOD)
    findings = scanned(scenario, rows_of(HOSTS), conditions=doubting(1))
    assert {finding["outcome"] for finding in findings} == {"ok"}
    assert scenario.order()[-1] == address_of(HOSTS[0])
    assert len(scenario.connections) == len(HOSTS) + 1


def test_a_failure_that_is_no_longer_in_doubt_is_the_targets() -> None:
    findings = by_host(scanned(network_of(DEAD), rows_of(HOSTS), conditions=doubting(2)))
    assert codes(findings[HOSTS[0]]) == ["connect-timeout"]


def test_a_failure_that_stays_in_doubt_has_no_cause() -> None:
    scenario = network_of(DEAD)
    findings = by_host(scanned(scenario, rows_of(HOSTS), conditions=doubting(1000)))
    finding: Any = findings[HOSTS[0]]
    assert (finding["outcome"], finding["cause"], finding["diagnoses"]) == ("warn", None, [])
    assert finding["error"].endswith(RATIONALE)
    assert scenario.order().count(address_of(HOSTS[0])) == MAX_ATTEMPTS


def test_rows_that_name_the_same_target_share_its_second_probe() -> None:
    scenario = network_of(DEAD, GOOD)
    rows = rows_of([HOSTS[0]] * 3)
    findings = scanned(scenario, rows, ScanConfig(retries=0), conditions=doubting(1))
    assert [finding["outcome"] for finding in findings] == ["ok"] * 3
    assert len(scenario.connections) == 2


def test_names_without_an_answer_are_resolved_again() -> None:
    silent = DnsAnswer(DnsStatus.TIMEOUT, doubt="asked among many")
    scenario = Scenario(names={HOSTS[0]: silent})
    (finding,) = scanned(
        scenario,
        rows_of(HOSTS[:1]),
        conditions=lambda: Conditions(OutageMonitor(connects, patience=1, busy=lambda: True), waiting),
    )
    assert (finding["outcome"], finding["cause"]) == ("warn", None)
    assert len(scenario.asked) == MAX_ATTEMPTS


def test_a_bug_in_the_conditions_costs_one_finding() -> None:
    findings = by_host(scanned(network_of(DEAD), rows_of(HOSTS), conditions=Broken))
    assert "ZeroDivisionError: injected" in str(findings[HOSTS[0]].get("error"))
    assert {findings[host]["outcome"] for host in HOSTS[1:]} == {"ok"}


# --- before anything has worked --------------------------------------------------------------------


class Early(Conditions):
    """Nothing has worked yet until ``known`` servers were reached; then failures from before are doubted."""

    def __init__(self, stand: bool) -> None:
        super().__init__(OutageMonitor(connects, patience=1, busy=lambda: True), waiting)
        self.stand = stand

    async def doubt(self, evidence: Evidence, mark: Mark, *, first: bool) -> str | None:
        await trio.lowlevel.checkpoint()
        return None if evidence.dns is None else evidence.dns.doubt

    async def early_failures_are_real(self, *, loopback: bool) -> bool:
        await trio.lowlevel.checkpoint()
        return self.stand


def test_if_nothing_ever_worked_early_failures_are_final() -> None:
    findings = scanned(everywhere(Failure.CONNECT_TIMEOUT, NEVER), rows_of(HOSTS), conditions=lambda: Early(True))
    assert {codes(finding)[0] for finding in findings} == {"connect-timeout"}


def test_early_failures_are_probed_again_once_something_has_worked() -> None:
    steps = {address_of(host): [DEAD, GOOD] for host in HOSTS}
    scenario = Scenario(steps, {host: [address_of(host)] for host in HOSTS})
    findings = scanned(scenario, rows_of(HOSTS), conditions=lambda: Early(False))
    assert {finding["outcome"] for finding in findings} == {"ok"}


def test_the_number_of_early_failures_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EARLY", 3)
    written: list[int] = []

    class Counting(Early):
        async def early_failures_are_real(self, *, loopback: bool) -> bool:
            written.append(1)
            return await super().early_failures_are_real(loopback=loopback)

    scanned(
        everywhere(Failure.CONNECT_TIMEOUT, NEVER), rows_of(HOSTS), ScanConfig(retries=0, concurrency=1),
        conditions=lambda: Counting(True),
    )  # fmt: skip
    assert len(written) == len(HOSTS) // 3


def test_without_any_resolver_failures_have_no_cause() -> None:
    """The machine may be cut off: an inventory whose targets are all dead still has names that resolve."""
    silent = DnsAnswer(DnsStatus.TIMEOUT, doubt="the resolver answers nobody")
    names: dict[str, Any] = {host: [address_of(host)] for host in HOSTS[1:]}
    dead = {address_of(host): DEAD for host in HOSTS}
    rows = [row(1, HOSTS[0]), *[row(n, host, address=address_of(host)) for n, host in enumerate(HOSTS[1:], 2)]]
    findings = scanned(Scenario(dead, {HOSTS[0]: silent}), rows, conditions=lambda: Early(True))
    assert {(finding["outcome"], finding["cause"]) for finding in findings} == {("warn", None)}
    rows = [row(1, HOSTS[0]), *[row(n, host) for n, host in enumerate(HOSTS[1:], 2)]]
    findings = scanned(Scenario(dead, {HOSTS[0]: silent, **names}), rows, conditions=lambda: Early(True))
    assert {codes(finding)[0] for finding in findings if finding["outcome"] == "fail"} == {"connect-timeout"}
