"""Compares this checkout with another over one farm: CPU per target, statistics, ``--help``, and memory.

Every figure is the median of the ratios of its rounds, this checkout to the other. Both are measured within seconds of
each other, so that a machine that is slow for a minute does not distort the ratio.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.farm import Farm, running_farm
from benchmarks.measure import ROOT, CommandError, Cost, run, table, tlsweep
from benchmarks.nameserver import running_nameserver
from benchmarks.tools import Job, command

# Bar: the most that an estate under one expired intermediate may cost, relative to a healthy one.
EXPIRED_BAR: Final = 1.25
# Bar: the most CPU per target, relative to the other checkout.
BAR: Final = 1.03
TIMEOUT: Final = 300.0


@dataclass(slots=True)
class Row:
    """One command in both checkouts; its CPU is divided by ``targets``."""

    title: str
    targets: int
    here: list[Cost] = field(default_factory=list)
    there: list[Cost] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """CPU of this checkout relative to the other."""
        return median_ratio(self.here, self.there)

    @property
    def memory(self) -> float:
        """Peak memory relative to the other checkout; 1 if the commands end before their memory is sampled."""
        pairs = zip(self.here, self.there, strict=True)
        return statistics.median(one.peak / other.peak if other.peak else 1.0 for one, other in pairs)

    def cells(self) -> tuple[str, ...]:
        here, there = (statistics.median(cost.cpu for cost in costs) for costs in (self.here, self.there))
        peak = max(cost.peak for cost in self.here) / 1e6
        scale = 1e6 / self.targets
        return (
            self.title,
            f"{there * scale:.0f}",
            f"{here * scale:.0f}",
            f"{self.ratio:.3f}",
            f"{peak:.0f}",
            f"{self.memory:.2f}",
        )

    def record(self) -> dict[str, Any]:
        """Return every round's CPU seconds, for the results file."""
        return {
            "what": self.title,
            "ratio": round(self.ratio, 4),
            "memory": round(self.memory, 4),
            "here_cpu_s": [round(cost.cpu, 4) for cost in self.here],
            "there_cpu_s": [round(cost.cpu, 4) for cost in self.there],
        }


def median_ratio(costs: Sequence[Cost], others: Sequence[Cost]) -> float:
    """Return the median, over rounds, of the CPU of one command relative to another."""
    return statistics.median([one.cpu / other.cpu for one, other in zip(costs, others, strict=True)])


def against(
    other: Path, *, hosts: int, rounds: int, concurrency: int, versions: Sequence[str], kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """Compare with the checkout in ``other``. Raises ``CommandError`` if the two have different findings."""
    if not (other / "scanner" / "__main__.py").exists():
        raise CommandError(f"{other} is no checkout of tlsweep")
    print(f"\nThis checkout beside {other}: {hosts} hosts, concurrency {concurrency}, {rounds} rounds", flush=True)
    rows = [Row("tlsweep --help", 1)]
    with running_farm(hosts, versions=tuple(versions), kinds=tuple(kinds)) as farm:
        _take_turns(rows[0], other, farm, tlsweep("--help"), rounds=max(rounds, 11))
        for kind in kinds:
            for version in versions:
                row = Row(f"scan by address, TLS {version}, {kind}", hosts)
                rows.append(row)
                _scans(row, other, Job(farm, version, kind, concurrency), rounds=rounds)
        with running_nameserver(farm.hosts) as resolver:
            for kind in kinds:
                row = Row(f"scan by name, TLS {versions[0]}, {kind}", hosts)
                rows.append(row)
                _scans(row, other, Job(farm, versions[0], kind, concurrency, resolver), rounds=rounds)
        found = farm.directory / "found.ndjson"
        row = Row("stats of the last scan's findings", hosts)
        rows.append(row)
        _take_turns(row, other, farm, tlsweep("stats", str(found)), rounds=rounds)
    print(table(("", "there, CPU µs", "here", "ratio", "peak MB", "ratio"), [row.cells() for row in rows]))
    worst = max(rows[1:], key=lambda row: row.ratio)
    print(f"worst: {worst.title}, {worst.ratio:.3f} (bar {BAR})")
    by_title = {row.title: row for row in rows}
    for version in versions:
        healthy, broken = (by_title.get(f"scan by address, TLS {version}, {kind}") for kind in ("distinct", "expired"))
        if healthy is not None and broken is not None:
            ratio = median_ratio(broken.here, healthy.here)
            print(f"one expired intermediate to a healthy estate, TLS {version}: {ratio:.2f} (bar {EXPIRED_BAR})")
    return [{"title": "checkouts", "rows": [row.record() for row in rows]}]


def _scans(row: Row, other: Path, job: Job, *, rounds: int) -> None:
    output = job.farm.directory / "found.ndjson"
    argv = command("tlsweep", job, output)
    assert argv is not None
    _take_turns(row, other, job.farm, argv, rounds=rounds, output=output)


def _take_turns(row: Row, other: Path, farm: Farm, argv: list[str], *, rounds: int, output: Path | None = None) -> None:
    """Run one command in each checkout in turn, after a warm-up run of each."""
    said: list[Any] = [None, None]
    for number in range(rounds + 1):
        for place, (tree, costs) in enumerate(((other, row.there), (ROOT, row.here))):
            cost = run(argv, home=farm.directory, timeout=TIMEOUT, environment={"PYTHONPATH": str(tree)})
            if cost.exit not in (0, 1):
                raise CommandError(f"{row.title}: exit status {cost.exit} in {tree}")
            if number:
                costs.append(cost)
            if output is not None:
                said[place] = _outcomes(output)
    if said[0] != said[1]:
        raise CommandError(f"{row.title}: {said[1]} here, {said[0]} there")


def _outcomes(findings: Path) -> Counter[tuple[str, str | None]]:
    with findings.open("rb") as lines:
        return Counter((one["outcome"], one["cause"]) for one in map(orjson.loads, lines))
