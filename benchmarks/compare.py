"""Compares scanners that scan one farm in turn: hosts per second, hosts per CPU second, and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Final

from benchmarks import tools
from benchmarks.farm import Farm, running_farm
from benchmarks.measure import CommandError, Cost, against_bar, run, table
from benchmarks.nameserver import running_nameserver
from benchmarks.tools import Check, Job

# Bars: the most CPU per target that tlsweep may take, relative to the peer.
BARS: Final = {
    ("shared", "tlsx"): 0.6,
    ("shared", "zgrab2"): 0.4,
    ("distinct", "tlsx"): 0.8,
    ("distinct", "zgrab2"): 0.5,
    ("reread", "tlsx"): 0.8,
    ("reread", "zgrab2"): 0.5,
    ("name", "zgrab2"): 0.6,
}
RUN_SECONDS: Final = 300.0
# sslyze makes many handshakes per host and takes seconds for a few, so it gets fewer hosts.
SSLYZE_HOSTS: Final = 40


@dataclass(slots=True)
class Line:
    """One tool in a comparison; ``starts`` is the CPU of scans of a single target, which is mostly start-up."""

    tool: str
    job: Job
    costs: list[Cost] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    check: Check | None = None
    skipped: str | None = None

    @property
    def wall(self) -> float:
        return statistics.median(cost.wall for cost in self.costs)

    @property
    def cpu(self) -> float:
        return statistics.median(cost.cpu for cost in self.costs)

    @property
    def per_target(self) -> float:
        """CPU seconds of the whole process per target, including start-up."""
        return self.cpu / self.job.targets

    @property
    def marginal(self) -> float:
        """CPU seconds per additional target, without start-up."""
        start = statistics.median(self.starts) if self.starts else 0.0
        return max(0.0, self.cpu - start) / max(1, self.job.targets - 1)

    @property
    def complete(self) -> bool:
        if self.check is None or self.skipped is not None:
            return False
        leaves = 1 if self.job.kind == "shared" else self.job.targets
        return self.check.good == self.job.targets and self.check.leaves == leaves

    def record(self) -> dict[str, Any]:
        """Return the figures for the results file."""
        return {
            "tool": self.tool,
            "skipped": self.skipped,
            "targets": self.job.targets,
            "good": self.check.good if self.check else None,
            "wall_s": [round(cost.wall, 4) for cost in self.costs],
            "cpu_s": [round(cost.cpu, 4) for cost in self.costs],
            "start_cpu_s": [round(start, 4) for start in self.starts],
            "peak_bytes": max((cost.peak for cost in self.costs), default=None),
        }


def _once(line: Line, job: Job, output: Path, *, look: bool) -> Cost | None:
    """Run one tool once and return its cost; with ``look``, check its output. The output is removed."""
    argv = tools.command(line.tool, job, output)
    if argv is None:
        line.skipped = tools.why_not(line.tool, job)
        return None
    log = output.with_suffix(".log")
    try:
        cost = run(argv, home=job.farm.directory, timeout=RUN_SECONDS, log=log)
        if cost.exit != 0:
            words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            line.skipped = f"exit status {cost.exit}: {words[-1] if words else 'without a word'}"
            return None
        if look:
            line.check = tools.check(line.tool, job, output)
    except CommandError as error:
        line.skipped = str(error)
        return None
    finally:
        output.unlink(missing_ok=True)
    return cost


def compare(title: str, lines: Sequence[Line], *, rounds: int) -> dict[str, Any]:
    """Run the tools in turn for some rounds, and print a table."""
    print(f"\n{title}", flush=True)
    directory = lines[0].job.farm.directory
    for number in range(rounds):
        for line in lines:
            if line.skipped is not None:
                continue
            one = Job(line.job.farm, line.job.version, line.job.kind, line.job.concurrency, line.job.resolver, 1)
            start = _once(line, one, directory / "out.json", look=False)
            cost = _once(line, line.job, directory / "out.json", look=number == rounds - 1)
            if start is not None and cost is not None:
                line.starts.append(start.cpu)
                line.costs.append(cost)
    done = [line for line in lines if line.skipped is None]
    head = ("", "hosts/s", "hosts/CPU-s", "CPU µs/target", "less start", "start s", "peak MB", "complete")
    rows = [
        (
            line.tool,
            f"{line.job.targets / line.wall:.0f}",
            f"{1 / line.per_target:.0f}",
            f"{line.per_target * 1e6:.0f}",
            f"{line.marginal * 1e6:.0f}",
            f"{statistics.median(line.starts):.2f}",
            f"{max(cost.peak for cost in line.costs) / 1e6:.0f}",
            "all" if line.complete else f"{line.check.good if line.check else 0} of {line.job.targets}",
        )
        for line in done
    ]
    print(table(head, rows))
    for line in lines:
        if line.skipped is not None:
            print(f"{line.tool}: skipped: {line.skipped}")
        elif not line.complete and line.check is not None:
            print(f"{line.tool}: not compared, its output is not complete: {line.check.wrong or 'hosts are missing'}")
    result = {"title": title, "lines": [line.record() for line in lines], "ratios": _ratios(done)}
    # It is an error if the scanner itself did not complete, but not if a peer is missing.
    if not any(line.tool == "tlsweep" and line.complete for line in lines):
        result["error"] = "tlsweep did not complete the scan"
    return result


def _ratios(lines: Sequence[Line]) -> dict[str, float]:
    ours = next((line for line in lines if line.tool == "tlsweep" and line.complete), None)
    ratios: dict[str, float] = {}
    if ours is None:
        return ratios
    for line in lines:
        if line is ours or not line.complete:
            continue
        ratio = ours.per_target / line.per_target
        ratios[line.tool] = round(ratio, 3)
        bar = BARS.get(("name" if ours.job.resolver is not None else ours.job.kind, line.tool))
        shown = f"{ratio:.2f}" if bar is None else against_bar(ratio, bar)
        print(
            f"CPU per target, tlsweep / {line.tool}: {shown}; less start {ours.marginal / line.marginal:.2f}; "
            f"hosts/s, tlsweep / {line.tool}: {line.wall / ours.wall:.2f}"
        )
    return ratios


def _compare_settings(
    farm: Farm,
    names: Sequence[str],
    settings: Iterable[tuple[int, str, str]],
    *,
    rounds: int,
    resolver: int | None = None,
) -> list[dict[str, Any]]:
    """Compare the tools for each (concurrency, kind of certificate, TLS version)."""
    results = []
    how = "By address" if resolver is None else "By name"
    for limit, kind, version in settings:
        title = (
            f"{how}, TLS {version}, {kind} certificate: {len(farm.hosts)} hosts, concurrency {limit}, {rounds} rounds"
        )
        lines = [Line(name, Job(farm, version, kind, limit, resolver)) for name in names]
        results.append(compare(title, lines, rounds=rounds))
    return results


def by_address(
    *,
    hosts: int,
    rounds: int,
    concurrency: Sequence[int],
    versions: Sequence[str],
    kinds: Sequence[str],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Scan every host by its address, with its name as SNI."""
    with running_farm(hosts, versions=tuple(versions), kinds=tuple(kinds)) as farm:
        quick = [name for name in names if name != "sslyze"]
        results = _compare_settings(farm, quick, product(concurrency, kinds, versions), rounds=rounds)
        if "sslyze" in names:
            results.append(_sslyze(farm, versions[0], kinds[-1], concurrency[0]))
    return results


def _sslyze(farm: Farm, version: str, kind: str, concurrency: int) -> dict[str, Any]:
    few = min(SSLYZE_HOSTS, len(farm.hosts))
    title = (
        f"sslyze --certinfo (several handshakes for each host), TLS {version}, {kind} certificate: {few} hosts, 1 round"
    )
    lines = [Line(name, Job(farm, version, kind, concurrency, first=few)) for name in ("tlsweep", "sslyze")]
    return compare(title, lines, rounds=1)


def by_name(
    *,
    hosts: int,
    rounds: int,
    concurrency: Sequence[int],
    versions: Sequence[str],
    kinds: Sequence[str],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Scan every host by its name, resolved by a local name server."""
    with (
        running_farm(hosts, versions=tuple(versions), kinds=tuple(kinds)) as farm,
        running_nameserver(farm.hosts) as resolver,
    ):
        able = [name for name in names if name in ("tlsweep", "zgrab2")]
        return _compare_settings(farm, able, product(concurrency, kinds, versions), rounds=rounds, resolver=resolver)
