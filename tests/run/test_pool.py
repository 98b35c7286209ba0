"""Several processes: every row becomes one finding, whatever happens to the processes."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio
from msgspec.structs import replace

from scanner.fleet.stats.run_counts import RunCounts
from scanner.inventory import read_inventory
from scanner.inventory.exclude import Exclusions
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Target
from scanner.run import pool as workers
from scanner.run.inputs import RunInputs
from scanner.run.pool import WorkerPool, WorkersFailed, shard_of, shares
from scanner.run.row_queue import Row
from scanner.run.worker import Assignment, Report
from scanner.starttls import PROTOCOLS
from tests.helpers.dying_worker import DEADLY
from tests.helpers.fleet import fleet_of, named

# Loopback addresses that rows lead to, so that both processes get some.
ADDRESSES = 8
CONFIG = ScanConfig(connect_timeout=1.0, timeout=3.0, retries=0, rate_per_address=None, concurrency_per_address=None)


class Watched:
    """A pool whose findings are kept."""

    def __init__(self, count: int = 2, inputs: RunInputs | None = None, **changes: Any) -> None:
        self.findings: list[dict[str, Any]] = []
        self.reports: list[Report] = []
        self.logged: list[str] = []
        self.stats = RunCounts()
        assignment = Assignment(
            config=replace(CONFIG, **changes),
            inputs=inputs or RunInputs(trust_stores=["system"]),
            run_id="test",
            certificates=True,
        )
        self.pool = WorkerPool(
            assignment, count, on_finding=self.findings.append, on_report=self._collect, log=self.logged.append  # type: ignore[arg-type]
        )  # fmt: skip

    def _collect(self, report: Report) -> None:
        assert len(report.rows) == len(report.lines)
        self.reports.append(report)
        self.findings += map(orjson.loads, report.lines)
        self.stats.merge(report.stats)

    @property
    def rows(self) -> list[int]:
        return sorted(finding["target"]["row"] for finding in self.findings)


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is taken and refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def targets(count: int, port: int, first: int = 1) -> Iterator[Row]:
    for row in range(first, first + count):
        yield Target(
            row=row,
            host=f"host{row}.test",
            port=port,
            protocol="tls",
            sni=None,
            address=f"127.3.0.{row % ADDRESSES + 1}",
        )


def test_limits_are_divided_among_processes() -> None:
    config = ScanConfig(concurrency=10, rate=30.0, rate_per_address=9.0, concurrency_per_address=8)

    parts = shares(config, 3)

    assert [part.concurrency for part in parts] == [4, 3, 3]
    assert sum(part.rate or 0 for part in parts) == pytest.approx(30.0)
    assert sum(part.rate_per_address or 0 for part in parts) == pytest.approx(9.0)
    assert [part.concurrency_per_address for part in parts] == [2, 2, 2]
    assert [part.max_memory for part in shares(ScanConfig(max_memory=4000), 3)] == [1000, 1000, 1000]
    assert [part.max_memory for part in parts] == [None, None, None]
    unlimited = shares(ScanConfig(rate_per_address=None, concurrency_per_address=None), 2)[0]
    assert (unlimited.rate, unlimited.rate_per_address, unlimited.concurrency_per_address) == (None, None, None)


def test_rows_of_a_host_are_in_one_shard() -> None:
    def target(**changes: Any) -> Target:
        return Target(**{"row": 1, "host": "a.test", "port": 443, "protocol": "tls", "sni": "a.test", **changes})

    assert len({shard_of(target(port=port), 7) for port in range(100)}) == 1
    assert len({shard_of(target(host=f"{n}.test"), 7) for n in range(100)}) == 7
    assert len({shard_of(target(host=f"{n}.test", address="192.0.2.1"), 7) for n in range(100)}) == 1


def test_every_row_has_one_finding(closed_port: int) -> None:
    watched = Watched()
    rows = [*targets(40, closed_port), InvalidRow(row=41, reason="no host"), *targets(5, closed_port, 42)]

    trio.run(watched.pool.run, iter(rows))

    assert watched.rows == list(range(1, 47))
    assert watched.logged == []
    statistics = watched.pool.statistics()
    assert (statistics.read, statistics.done, statistics.reading_finished) == (46, 46, True)
    assert dict(statistics.outcomes) == {"fail": 45, "invalid": 1}
    assert watched.stats.total.findings == 45  # the invalid one needed no process
    words = {"any", "connection-refused", "network-blocked"}
    assert set().union(*(report.words for report in watched.reports)) == words


def test_excluded_rows_reach_no_process(closed_port: int) -> None:
    exclusions = Exclusions()
    exclusions.add("host1.test")
    watched = Watched(inputs=RunInputs(trust_stores=["system"], exclusions=exclusions))

    trio.run(watched.pool.run, targets(1, closed_port))

    assert watched.findings[0]["outcome"] == "invalid"
    assert "host1.test" in watched.findings[0]["error"]
    assert watched.reports == []


def test_only_the_row_that_kills_its_process_is_given_up(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_CHILD", workers._CHILD.replace("scanner.run.worker", "tests.helpers.dying_worker"))
    watched = Watched()
    deadly = Target(row=6, host=DEADLY, port=closed_port, protocol="tls", sni=DEADLY, address="127.3.1.1")

    trio.run(watched.pool.run, iter([*targets(5, closed_port), deadly, *targets(6, closed_port, 7)]))

    assert watched.rows == list(range(1, 13))
    by_row = {finding["target"]["row"]: finding for finding in watched.findings}
    assert by_row[6]["outcome"] == "warn"
    assert "died" in by_row[6]["error"]
    assert {by_row[row]["cause"] for row in by_row if row != 6} == {"network-blocked"}
    (logged,) = watched.logged
    assert "SIGKILL" in logged


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port at which connections are taken and never answered."""
    with ExitStack() as held:
        port = 0
        for number in range(ADDRESSES):
            listener = held.enter_context(socket.create_server((f"127.3.0.{number + 1}", port), backlog=200))
            port = listener.getsockname()[1]
        yield port


async def until(condition: Any) -> None:
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.02)


def test_a_killed_process_loses_nothing(closed_port: int, silent_port: int) -> None:
    watched = Watched(timeout=1.0)
    rows = [*targets(20, closed_port), *targets(20, silent_port, 21)]

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.pool.run, iter(rows))
            await until(lambda: watched.pool.statistics().pacing.in_flight > 10)
            os.kill(watched.pool.processes()[0], signal.SIGKILL)

    trio.run(main)

    assert watched.rows == list(range(1, 41))
    (logged,) = watched.logged
    assert "was ended by SIGKILL" in logged
    assert {finding["outcome"] for finding in watched.findings} == {"fail"}


def test_stopping_keeps_what_was_found_and_leaves_no_process(closed_port: int, silent_port: int) -> None:
    watched = Watched(timeout=600.0)  # a run that does not stop outlasts the limit of this test
    pids: list[int] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.pool.run, iter([*targets(20, silent_port), *targets(30, closed_port, 21)]))
            await until(lambda: watched.pool.statistics().done >= 30)
            pids.extend(watched.pool.processes())
            nursery.cancel_scope.cancel()

    trio.run(main)

    assert watched.rows == list(range(21, 51))
    assert watched.logged == []
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_processes_that_cannot_start_end_the_run_with_one_line(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_CHILD", "raise SystemExit(7)")
    watched = Watched()

    with pytest.raises(BaseExceptionGroup) as raised:
        trio.run(watched.pool.run, targets(1000, closed_port))

    matched, rest = raised.value.split(WorkersFailed)
    assert rest is None
    assert matched is not None
    assert "ended with status 7" in str(leaf(matched))


def leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def test_an_inventory_error_stops_all_processes(closed_port: int) -> None:
    def rows() -> Iterator[Row]:
        yield from targets(300, closed_port)
        raise KeyError("the inventory has changed")

    watched = Watched()
    with pytest.raises(BaseExceptionGroup) as raised:
        trio.run(watched.pool.run, rows())

    assert isinstance(leaf(raised.value), KeyError)
    assert watched.pool.processes() == []


def test_an_output_error_stops_all_processes(closed_port: int) -> None:
    watched = Watched()

    def full(report: Report) -> None:
        raise OSError("no space left")

    watched.pool._on_report = full
    with pytest.raises(BaseExceptionGroup) as raised:
        trio.run(watched.pool.run, targets(300, closed_port))

    assert isinstance(leaf(raised.value), OSError)
    assert watched.pool.processes() == []


# Times; what servers choose anew for each connection, and the length of signatures, which goes with it; DER, which stands
# in the first finding that has the certificate.
NOT_SHARED = {
    "run",
    "local",
    "at",
    "started",
    "duration_ms",
    "timing_ms",
    "seconds",
    "local_time",
    "random",
    "bytes_received",
    "der",
}


def comparable(value: Any) -> Any:
    """Without what no two runs share."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in NOT_SHARED}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def test_one_and_several_processes_find_the_same(tmp_path: Path) -> None:
    cases = named(
        "healthy", "tls12", "mx", "no-such-name", "port-closed", "plain-http", "tls11-only", "expired", "self-signed",
        "sends-intermediate", "intermediate-not-sent", "untrusted-root", "malformed-certificate",
    )  # fmt: skip
    with fleet_of(tmp_path, cases) as fleet:
        inputs = RunInputs(resolvers=[fleet.resolver], trust_stores=[str(fleet.roots)])
        found = []
        for count in (1, 2, 5):
            watched = Watched(count, inputs, **fleet.config_hints)
            trio.run(watched.pool.run, read_inventory(str(fleet.inventory), protocols=PROTOCOLS))
            found.append(
                sorted((comparable(each) for each in watched.findings), key=lambda each: each["target"]["row"])
            )
            for each in found[-1]:
                if each["target"]["host"].startswith("intermediate-not-sent"):
                    without_what_was_asked(each)
            digests = [digest for report in watched.reports for digest, _ in report.certificates]
            assert len(set(digests)) > 10

    assert found[0] == found[1] == found[2]
    # the intermediate that one host forgets was met at another, which may well be in another process
    shards = {shard_of(target, 5) for target in named_targets(found[0])}
    assert len(shards) == 2, "choose another number of processes: the two hosts are to be in different ones"
    (incomplete,) = [each for each in found[2] if each["cause"] == "missing-intermediate"]
    assert incomplete["diagnoses"][0]["code"] == "intermediate-not-sent"


def without_what_was_asked(finding: dict[str, Any]) -> None:
    """Fewer questions are asked if the intermediate was met before; which host comes first is chance."""
    del finding["attempts"], finding["certificates"]
    for endpoint in finding["endpoints"]:
        for key in ("application", "observed", "followups"):
            endpoint.pop(key, None)


def named_targets(findings: list[dict[str, Any]]) -> Iterator[Target]:
    for finding in findings:
        host = finding["target"]["host"]
        if host.startswith(("sends-intermediate", "intermediate-not-sent")):
            yield Target(row=1, host=host, port=1, protocol="tls", sni=None)
