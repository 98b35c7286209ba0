"""Scans targets that never answer: memory per probe in flight, and time lost beyond the timeouts."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.farm import host
from benchmarks.measure import Cost, against_bar, raise_file_limit, run, table, tlsweep
from benchmarks.quiet import accepting_and_silent, dropping

BAR_BYTES: Final = 20_000
BAR_TIME: Final = 1.15
# Long enough for all probes to be in flight before the first one times out.
MEMORY_TIMEOUT: Final = 12
DEAD_TIMEOUT: Final = 3
# Files that a process has open in addition to its probes.
SPARE_FILES: Final = 200


def _inventory(path: Path, targets: int, port: int) -> Path:
    with path.open("w", encoding="ascii") as out:
        out.write("host,port,address\n")
        for index in range(targets):
            item = host(index)
            out.write(f"{item.name},{port},{item.address}\n")
    return path


def _scan(
    directory: Path, port: int, *, targets: int, concurrency: int, timeout: float, expected: float
) -> tuple[Cost, Counter[str]]:
    """Scan silent targets; return the cost, and the number of findings by ``stage/cause``."""
    inventory = _inventory(directory / "targets.csv", targets, port)
    output = directory / "findings.ndjson"
    output.unlink(missing_ok=True)
    argv = tlsweep(
        "scan", str(inventory), "-o", str(output), "--no-progress", "--revocation", "off", "--retries", "0",
        "--concurrency", str(concurrency), "--timeout", f"{timeout:g}", "--connect-timeout", f"{timeout:g}",
    )  # fmt: skip
    log = directory / "scan.log"
    cost = run(argv, home=directory, timeout=expected * 3 + 60, log=log)
    if cost.exit != 0:
        words = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(f"exit status {cost.exit}: {words[-1] if words else 'without a word'}")
    found: Counter[str] = Counter()
    with output.open(encoding="utf-8") as lines:
        for line in lines:
            finding = json.loads(line)
            found[f"{finding['stage']}/{finding['cause']}"] += 1
    return cost, found


def memory(*, probes: int, rounds: int) -> dict[str, Any]:
    """Measure resident memory with ``probes`` connections waiting, less that of a scan of one target."""
    probes = min(probes, raise_file_limit() - SPARE_FILES)
    print(f"\nMemory: {probes} probes in flight against peers that take the connection and never answer", flush=True)
    rows = []
    each: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tlsweep-memory-") as name, accepting_and_silent() as peer:
        directory = Path(name)
        for _ in range(rounds):
            one, _ = _scan(directory, peer.port, targets=1, concurrency=probes, timeout=3, expected=3)
            many, found = _scan(
                directory,
                peer.port,
                targets=probes,
                concurrency=probes,
                timeout=MEMORY_TIMEOUT,
                expected=MEMORY_TIMEOUT,
            )
            # Memory while waiting: samples before the first timeout.
            flying = max(resident for when, resident in many.samples if when < MEMORY_TIMEOUT)
            base = max(resident for _, resident in one.samples)
            each.append((flying - base) / probes)
            rows.append(
                (
                    f"{peer.highest()} together",
                    f"{base / 1e6:.1f}",
                    f"{flying / 1e6:.1f}",
                    f"{(flying - base) / probes / 1e3:.1f}",
                    f"{(many.peak - one.peak) / probes / 1e3:.1f}",
                    f"{many.cpu / probes * 1e6:.0f}",
                    " ".join(f"{what}={count}" for what, count in found.most_common(3)),
                )
            )
        together = peer.highest()
    print(table(("", "one MB", "in flight MB", "KB/probe", "KB/probe at the end", "CPU µs/target", "findings"), rows))
    worst = max(each)
    if together < probes:
        print(f"only {together} of {probes} probes were in flight together: the figure is not one of {probes}")
    print(f"KB per probe in flight: {against_bar(worst / 1e3, BAR_BYTES / 1e3)}")
    return {"title": "memory", "probes": probes, "together": together, "bytes_per_probe": each}


def dead(*, targets: int, concurrency: int, rounds: int) -> dict[str, Any]:
    """Measure wall time for targets that all time out, relative to ``targets x timeout / concurrency``."""
    concurrency = min(concurrency, raise_file_limit() - SPARE_FILES)
    arithmetic = targets * DEAD_TIMEOUT / concurrency
    print(
        f"\nDead targets: {targets}, timeout {DEAD_TIMEOUT} s, concurrency {concurrency}: arithmetic {arithmetic:.1f} s",
        flush=True,
    )
    rows = []
    ratios: dict[str, list[float]] = {}
    kinds = (("SYN never answered", dropping), ("connects, hello never answered", accepting_and_silent))
    with tempfile.TemporaryDirectory(prefix="tlsweep-dead-") as name:
        directory = Path(name)
        for label, peer_kind in kinds:
            with peer_kind() as peer:
                for _ in range(rounds):
                    cost, found = _scan(
                        directory,
                        peer.port,
                        targets=targets,
                        concurrency=concurrency,
                        timeout=DEAD_TIMEOUT,
                        expected=arithmetic,
                    )
                    ratio = cost.wall / arithmetic
                    ratios.setdefault(label, []).append(ratio)
                    rows.append(
                        (
                            label,
                            f"{cost.wall:.2f}",
                            f"{ratio:.3f}",
                            f"{cost.cpu / targets * 1e6:.0f}",
                            " ".join(f"{what}={count}" for what, count in found.most_common(3)),
                        )
                    )
    print(table(("", "seconds", "ratio", "CPU µs/target", "findings"), rows))
    for label, values in ratios.items():
        print(f"{label}: time by the arithmetic {against_bar(max(values), BAR_TIME)}")
    return {"title": "dead", "targets": targets, "concurrency": concurrency, "ratios": ratios}
