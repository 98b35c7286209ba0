"""Runs whole scans over the simulated network of a ``Scenario``, with a verifier that trusts one root."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import trio
from trio.testing import MockClock

from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Probe, Target
from scanner.model.findings import Finding
from scanner.run.judgement import Judgement
from scanner.run.row_queue import Row
from scanner.run.scan import WAITING_WORKERS, Callbacks, Scan, Services
from tests.helpers import evidence, pki
from tests.helpers.network import Connection, Scenario, Step, observer_in, pacer_for
from tests.helpers.schema import validate

HOSTS = [f"host{number}.example" for number in range(12)]


def row(number: int, host: str, **changes: Any) -> Target:
    """Return a row of the inventory."""
    given: dict[str, Any] = {"port": 443, "protocol": "https", "sni": host, **changes}
    return Target(row=number, host=host, **given)


def rows_of(hosts: Iterable[str]) -> list[Row]:
    """Return a row for each host."""
    return [row(number, host) for number, host in enumerate(hosts, 1)]


def healthy(connection: Connection) -> Probe:
    """Answer with a healthy chain for the server name of the connection."""
    return evidence.answered(evidence.chain(connection.sni or HOSTS[0]))


def sending(*certificates: pki.Issued) -> Probe:
    """Return a probe with a whole flight that has only these certificates."""
    return evidence.answered(certificates)


def address_of(host: str) -> str:
    """Return the address of one of ``HOSTS``."""
    return f"192.0.2.{HOSTS.index(host) + 1}"


def everywhere(outcome: Any = healthy, delay: float = 0.05) -> Scenario:
    """Return a network with one outcome for all hosts."""
    return Scenario(
        {address_of(host): Step(delay, outcome) for host in HOSTS}, {host: [address_of(host)] for host in HOSTS}
    )


def run(main: Any, *, threshold: float = 0) -> Any:
    """``trio.run`` on a clock that jumps after ``threshold`` idle seconds, of which a scan's reading thread needs some."""
    return trio.run(main, clock=MockClock(autojump_threshold=threshold))


@dataclass
class Run:
    """A scan under test; ``findings`` are those emitted so far."""

    scenario: Scenario
    config: ScanConfig = field(default_factory=lambda: ScanConfig(retries=0))
    findings: list[Finding] = field(default_factory=list)
    scan: Scan = field(init=False)
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = dict(self.options)
        self.pacer = pacer_for(self.config)
        self.verifier = given.pop("verifier", None) or evidence.verifier()
        self.judgement = Judgement(self.config, self.verifier, run_id="test")
        self.scan = Scan(
            self.config,
            self.judgement,
            self.pacer,
            Callbacks(on_finding=given.pop("emit", self.findings.append), on_judged=given.pop("judged", None)),
            clock=lambda: evidence.AT,
            load=given.pop("load", None),
            waiting_workers=given.pop("waiting_workers", WAITING_WORKERS),
        )
        self.post_probe = given.pop("post_probe", None)
        self.conditions = given.pop("conditions", None)
        self.observer = observer_in(self.scenario, self.config, pacer=self.pacer, **given)

    async def of(self, rows: Any) -> list[Finding]:
        """Scan these rows and return the findings."""
        try:
            await self.scan.run(
                iter(rows) if isinstance(rows, list) else rows,
                Services(
                    observer=self.observer,
                    post_probe=self.post_probe,
                    conditions=self.conditions() if self.conditions is not None else None,
                ),
            )
        finally:
            self.scenario.check_closed()
        return self.findings


def scanned(
    scenario: Scenario, rows: Sequence[Row], config: ScanConfig | None = None, *, threshold: float = 0, **options: Any
) -> list[Finding]:
    """Run a whole scan on a mock clock and return its findings, of which each row has one that is complete and valid."""

    async def main() -> Run:
        watched = Run(scenario, config or ScanConfig(retries=0), options=options)
        await watched.of(list(rows))
        return watched

    done: Run = run(main, threshold=threshold)
    check_complete(rows, done.findings)
    seen = done.scan.statistics()
    assert (seen.read, seen.done, seen.held, seen.reading_finished) == (len(rows), len(rows), 0, True)
    assert seen.outcomes == Counter(finding["outcome"] for finding in done.findings)
    assert (seen.pacing.in_flight, seen.pacing.waiting_for_address) == (0, 0)
    assert seen.pacing.started == len(scenario.connections) + scenario.completions + seen.pacing.exhausted
    return done.findings


def check_complete(rows: Sequence[Row], findings: Sequence[Finding]) -> None:
    """Check that every row has exactly one valid finding."""
    assert sorted(finding["target"]["row"] for finding in findings) == sorted(each.row for each in rows)
    by_row = {each.row: each for each in rows}
    for finding in findings:
        check_whole(finding)
        of, told = by_row[finding["target"]["row"]], finding["target"]
        assert (told["id"], told["host"], told["tags"]) == (of.id, of.host, of.tags)
        assert (finding["outcome"] == "invalid") is isinstance(of, InvalidRow)


def check_whole(finding: Finding) -> None:
    """Check that a finding is valid as written to a file."""
    validate(json.loads(orjson.dumps(finding)))


def codes(finding: Finding) -> list[str]:
    """Codes in their order."""
    return [diagnosis["code"] for diagnosis in finding["diagnoses"]]


def by_host(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Return the findings by host."""
    return {str(finding["target"]["host"]): finding for finding in findings}
