"""``python -m benchmarks [PART ...]``: run some or all benchmarks, on loopback only, bounded in count and time."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    checkouts,
    compare,
    counting,
    crowd,
    farm,
    handshake,
    hostile,
    judging,
    large,
    loading,
    patience,
    peers,
    report,
    resolving,
    stages,
    startup,
)
from benchmarks.measure import raise_file_limit

Results = list[dict[str, Any]]


def _compare(options: argparse.Namespace) -> Results:
    return compare.by_address(
        hosts=options.hosts,
        rounds=options.rounds,
        concurrency=options.concurrency,
        versions=options.tls,
        kinds=options.certificates,
        names=["tlsweep", *options.peers],
    )


def _names(options: argparse.Namespace) -> Results:
    return compare.by_name(
        hosts=options.hosts,
        rounds=options.rounds,
        concurrency=options.concurrency,
        versions=options.tls[:1],
        kinds=options.certificates,
        names=["tlsweep", *options.peers],
    )


def _handshake(options: argparse.Namespace) -> Results:
    return handshake.handshakes(
        hosts=options.hosts,
        rounds=options.rounds,
        concurrency=options.concurrency[0],
        versions=options.tls,
        kinds=options.certificates,
    )


def _stages(options: argparse.Namespace) -> Results:
    return stages.shares(
        hosts=options.hosts,
        concurrency=options.concurrency[0],
        versions=options.tls,
        kinds=options.certificates,
        by_name=True,
        places=options.places,
    )


def _checkouts(options: argparse.Namespace) -> Results:
    if options.against is None:
        print("\ncheckouts: skipped, --against names no other checkout")
        return []
    return checkouts.against(
        options.against.resolve(),
        hosts=options.hosts,
        rounds=options.rounds,
        concurrency=options.concurrency[0],
        versions=options.tls,
        kinds=options.certificates,
    )


PARTS: Final[dict[str, tuple[str, Callable[[argparse.Namespace], Results]]]] = {
    "startup": (
        "tlsweep --help, compared with an idle interpreter",
        lambda o: [startup.start_up(rounds=max(o.rounds, 11))],
    ),
    "handshake": ("the TLS engine, compared with connecting and closing", _handshake),
    "compare": ("one scan by tlsweep, tlsx, zgrab2 and sslyze, by address with SNI", _compare),
    "names": ("one scan by tlsweep and zgrab2, by name through a local name server", _names),
    "checkouts": ("this checkout compared with another, --against DIR: scans, stats, --help and memory", _checkouts),
    "crowd": (
        "many names through one resolver with its defaults: false findings, and wall time compared with zgrab2",
        lambda o: [crowd.crowd(hosts=2 * o.hosts, rounds=o.rounds, concurrency=o.concurrency[0])],
    ),
    "stages": ("share of the scanner's CPU by stage", _stages),
    "judging": (
        "the cost of verification if 10 certificates serve all hosts, without a network",
        lambda o: judging.judging(hosts=o.judged, rounds=o.rounds),
    ),
    "hostile": (
        "the worst that 256 KB of one peer cost, and healthy targets together with ten hostile ones",
        lambda o: hostile.hostile(rounds=o.rounds),
    ),
    "resolver": (
        "CPU of our resolver per name, A and AAAA",
        lambda o: [resolving.names(hosts=o.hosts, rounds=o.rounds, concurrency=o.concurrency[0])],
    ),
    "statistics": (
        "CPU of counting findings, compared with parsing them, and its memory",
        lambda o: [counting.counts(findings=o.findings, rounds=o.rounds, most=o.most)],
    ),
    "load": (
        "memory and CPU of loading a large estate into DuckDB and Parquet files",
        lambda o: [loading.loads(findings=10 * o.findings)],
    ),
    "report": (
        "CPU, memory and size of a report on a large estate",
        lambda o: [report.page(findings=o.findings, rounds=o.rounds)],
    ),
    "memory": ("memory per probe in flight", lambda o: [patience.memory(probes=o.probes, rounds=1)]),
    "large": (
        "memory of a scan in which each server has its own certificate of 236 kB",
        lambda o: [large.scan_of_large_certificates(hosts=o.large, limit=o.max_memory)],
    ),
    "dead": (
        "targets that never answer: time lost beyond the timeouts",
        lambda o: [patience.dead(targets=o.dead, concurrency=o.dead_concurrency, rounds=1)],
    ),
}


def _parser() -> argparse.ArgumentParser:
    parts = "\n".join(f"  {name:10} {about}" for name, (about, _) in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the scanner, and compare it with others. Without a PART: peers, then all below farm.",
        epilog=f"parts:\n  peers      build the other scanners into {peers.CACHE}\n"
        f"  farm       run the local farm until Ctrl-C, to examine it by hand\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", nargs="*", metavar="PART", help="what to do, see below")
    parser.add_argument("--hosts", type=int, default=5000, help="hosts of the farm (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts (default 3)")
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1000], metavar="N", help="connections in flight (default 1000)"
    )
    parser.add_argument("--against", type=Path, metavar="DIR", help="checkouts: the other one")
    parser.add_argument("--tls", nargs="+", default=list(farm.VERSIONS), choices=farm.VERSIONS, help="TLS versions")
    parser.add_argument("--certificates", nargs="+", default=list(farm.USUAL_KINDS), choices=farm.KINDS)
    parser.add_argument(
        "--peers", nargs="*", default=list(peers.NAMES), choices=peers.NAMES, help="other scanners (default all)"
    )
    parser.add_argument("--judged", type=int, default=20000, help="judging: hosts (default 20000)")
    parser.add_argument(
        "--findings",
        type=int,
        default=100_000,
        help="report, statistics: findings (default 100,000); load: ten times as many",
    )
    parser.add_argument(
        "--most", type=int, default=5_000_000, help="statistics: findings for memory (default 5 million)"
    )
    parser.add_argument("--large", type=int, default=3500, help="large: servers (default 3500)")
    parser.add_argument("--max-memory", default="512M", help="large: the limit (default 512M)")
    parser.add_argument("--probes", type=int, default=5000, help="memory: probes in flight (default 5000)")
    parser.add_argument("--dead", type=int, default=20000, help="dead: targets that never answer (default 20000)")
    parser.add_argument(
        "--dead-concurrency", type=int, default=1000, metavar="N", help="dead: in flight (default 1000)"
    )
    parser.add_argument("--places", action="store_true", help="stages: the costliest functions too")
    parser.add_argument("--rebuild", action="store_true", help="peers: build again those that are built")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _one_part(name: str, options: argparse.Namespace) -> Results:
    """Run one part; if it fails, print why and return the error, so that the other parts still run."""
    try:
        return PARTS[name][1](options)
    except Exception as error:
        print(f"{name}: not measured: {type(error).__name__}: {error}", file=sys.stderr)
        return [{"title": name, "error": str(error)}]


def main() -> int:
    parser = _parser()
    options = parser.parse_args()
    asked = options.part
    if unknown := [part for part in asked if part not in (*PARTS, "peers", "farm")]:
        parser.error(f"no such part: {unknown[0]}")
    raise_file_limit()
    # As an exception, so that servers are stopped and temporary directories removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if asked == ["farm"]:
        farm.serve(options.hosts)
        return 0
    if not asked or "peers" in asked:
        peers.build(tuple(options.peers), again=options.rebuild)
    results: Results = []
    for name in [part for part in asked if part in PARTS] if asked else PARTS:
        results += _one_part(name, options)
    if options.json is not None:
        machine = {"python": platform.python_version(), "system": platform.system(), "peers": peers.VERSIONS}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"machine": machine, "results": results}, indent=1), encoding="utf-8")
    return 1 if any("error" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
