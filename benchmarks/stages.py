"""Samples which stages of a probe the scanner's CPU time goes to."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from benchmarks.farm import running_farm
from benchmarks.measure import run, table
from benchmarks.nameserver import running_nameserver
from benchmarks.tools import Job, check, command

RUN_SECONDS: Final = 300.0
# Functions listed below the stages.
PLACES: Final = 12


def shares(
    *, hosts: int, concurrency: int, versions: Sequence[str], kinds: Sequence[str], by_name: bool, places: bool
) -> list[dict[str, Any]]:
    """Sample one scan for each kind of farm."""
    results = []
    with running_farm(hosts, versions=tuple(versions), kinds=tuple(kinds)) as farm:
        for kind in kinds:
            for version in versions:
                results.append(_one(Job(farm, version, kind, concurrency), "by address", places=places))
        if by_name:
            with running_nameserver(farm.hosts) as resolver:
                results.append(_one(Job(farm, versions[0], kinds[0], concurrency, resolver), "by name", places=places))
    return results


def _one(job: Job, how: str, *, places: bool) -> dict[str, Any]:
    title = (
        f"Stages {how}, TLS {job.version}, {job.kind} certificate: {job.targets} hosts, concurrency {job.concurrency}"
    )
    print(f"\n{title}", flush=True)
    directory = job.farm.directory
    output, profile, log = directory / "out.json", directory / "profile.json", directory / "scan.log"
    argv = command("tlsweep", job, output)
    assert argv is not None
    # The arguments after ``python -m scanner`` are unchanged.
    cost = run(
        [sys.executable, "-m", "benchmarks.sampler", str(profile), *argv[3:]],
        home=directory,
        timeout=RUN_SECONDS,
        log=log,
    )
    if cost.exit != 0:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        print(f"tlsweep: exit status {cost.exit}: {words[-1] if words else 'without a word'}")
        return {"title": title, "error": cost.exit}
    good = check("tlsweep", job, output).good
    output.unlink()
    sampled = json.loads(profile.read_text(encoding="utf-8"))
    total = sum(sampled["stages"].values())
    ordered = sorted(sampled["stages"].items(), key=lambda item: -item[1])
    rows = [
        (stage, f"{count / total:.1%}", f"{count / total * cost.cpu / job.targets * 1e6:.0f}")
        for stage, count in ordered
    ]
    print(table(("", "share", "CPU µs/target"), rows))
    if places:
        rows = [
            (place, f"{count / total:.1%}", f"{count / total * cost.cpu / job.targets * 1e6:.0f}")
            for place, count in list(sampled["places"].items())[:PLACES]
        ]
        print(table(("", "share", "CPU µs/target"), rows))
    print(f"{total} samples, {cost.cpu:.2f} s of CPU, {good} of {job.targets} hosts ok")
    return {"title": title, "cpu_s": cost.cpu, "samples": sampled["stages"], "good": good}
