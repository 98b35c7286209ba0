"""Measures ``tlsweep stats`` relative to parsing each line, with one process and with two, and its memory.

Parsing and counting alternate in one process: ``python -m benchmarks.counting FILE ROUNDS``.
"""

from __future__ import annotations

import gc
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.farm import running_farm
from benchmarks.measure import CommandError, against_bar, clean_environment, memory_of, run, table, tlsweep
from tests.helpers.estate import estate

BAR: Final = 1.6
FARM_HOSTS: Final = 500
BROKEN: Final = 0.1
FEW: Final = 10_000
TIMEOUT: Final = 3600.0
# Findings from which the others are derived, each with a certificate, host and row of its own.
TEMPLATES: Final = 500


def counts(*, findings: int, rounds: int, most: int) -> dict[str, Any]:
    """Measure ratios on findings of the farm and of a made-up estate, and memory for up to ``most`` findings."""
    print(f"\nStatistics over {findings:,} findings, medians of {rounds} rounds", flush=True)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tlsweep-counting-") as name:
        home = Path(name)
        scanned, demo = _scanned(home), _demo(home)
        files = {
            "a scan of the farm": _written(home / "farm.ndjson", islice(_alike(scanned), findings)),
            f"an estate, {BROKEN:.0%} not in order": _written(
                home / "estate.ndjson", estate([orjson.loads(line) for line in demo], findings, broken=BROKEN)
            ),
        }
        for label, path in files.items():
            results.append({"what": label, "bytes": path.stat().st_size, **_ratios(path, home, rounds)})
        print(
            table(
                ("", "MB", "us to parse", "counting to parsing", "2 processes to 1, wall"),
                [
                    (
                        one["what"],
                        f"{one['bytes'] / 1e6:.0f}",
                        f"{one['parse_s'] / findings * 1e6:.1f}",
                        f"{one['ratio']:.2f}",
                        f"{one['workers_ratio']:.2f}",
                    )
                    for one in results
                ],
            )
        )
        print(f"counting to parsing, farm: {against_bar(results[0]['ratio'], BAR)}")
        peaks = {str(number): _peak(islice(_alike(demo), number), home) for number in (FEW, most)}
    print(", ".join(f"{int(number):,} findings: {peak / 1e6:.0f} MB" for number, peak in peaks.items()))
    return {"title": "statistics", "findings": findings, "results": results, "peaks": peaks}


def _scanned(home: Path) -> list[bytes]:
    """Scan the farm, each host with a certificate of its own, and return the findings."""
    with running_farm(FARM_HOSTS, versions=("1.3",), kinds=("distinct",)) as farm:
        path = home / "scanned.ndjson"
        inventory = farm.inventory("tlsweep", "1.3", "distinct")
        words = ["scan", str(inventory), "-o", str(path), "--trust-store", str(farm.root), "--no-progress"]
        if run(tlsweep(*words), home=home, timeout=120).exit != 0:
            raise CommandError("the farm was not scanned")
    return path.read_bytes().splitlines(keepends=True)


def _demo(home: Path) -> list[bytes]:
    if run(tlsweep("demo", str(home / "demo")), home=home, timeout=120).exit != 0:
        raise CommandError("the demo failed")
    return (home / "demo" / "findings.ndjson").read_bytes().splitlines(keepends=True)


def _written(path: Path, lines: Iterator[bytes]) -> Path:
    with path.open("wb") as file:
        file.writelines(lines)
    return path


def _alike(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Yield findings without end, derived from ``lines``, each with its own row, host and leaf certificate."""
    cut = [_cut(line) for line in lines[:TEMPLATES]]
    number = 0
    while True:
        for row, host, sha256, line in cut:
            number += 1
            line = line.replace(row, b'"row":%d,' % number, 1)
            if host:
                line = line.replace(host, b"n%d.%s" % (number, host))
            if sha256:
                line = line.replace(sha256, hashlib.sha256(b"%d" % number).hexdigest().encode())
            yield line


def _cut(line: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    finding = orjson.loads(line)
    leaf = finding["certificates"][0]["sha256"] if finding["certificates"] else ""
    return b'"row":%d,' % finding["target"]["row"], (finding["target"]["host"] or "").encode(), leaf.encode(), line


def _ratios(path: Path, home: Path, rounds: int) -> dict[str, float]:
    words = [sys.executable, "-m", "benchmarks.counting", str(path), str(rounds)]
    done = subprocess.run(words, env=clean_environment(home), capture_output=True, check=True, timeout=TIMEOUT)
    times: list[tuple[float, float]] = json.loads(done.stdout)
    walls: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(rounds):
        for workers, wall in walls.items():
            cost = run(tlsweep("stats", str(path), "--workers", workers), home=home, timeout=TIMEOUT)
            if cost.exit != 0:
                raise CommandError("stats failed")
            wall.append(cost.wall)
    return {
        "parse_s": statistics.median(parsed for parsed, _ in times),
        "ratio": statistics.median(counted / parsed for parsed, counted in times),
        "workers_ratio": statistics.median(two / one for one, two in zip(*walls.values(), strict=True)),
    }


def _peak(lines: Iterator[bytes], home: Path) -> int:
    """Return the peak memory of ``stats`` while it reads these lines from a pipe, in bytes."""
    process = subprocess.Popen(
        tlsweep("stats", "-", "--format", "json"),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=clean_environment(home),
        bufsize=1 << 20,
    )
    assert process.stdin is not None
    process.stdin.writelines(lines)
    process.stdin.close()
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid)[1])
        time.sleep(0.001)
    if process.returncode:
        raise CommandError("stats failed")
    return peak


def main(path: str, rounds: str) -> None:
    """Print the CPU seconds of parsing each line and of counting, measured in turn."""
    from scanner.fleet.stats.parallel import fold_files
    from scanner.process.limits import GC_THRESHOLD

    gc.set_threshold(GC_THRESHOLD)  # as the command line does
    times = []
    for _ in range(int(rounds)):
        started = time.process_time()
        with open(path, "rb") as file:
            for line in file:
                orjson.loads(line)
        parsed = time.process_time()
        fold_files([path], ())
        times.append((parsed - started, time.process_time() - parsed))
    print(json.dumps(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
