"""``python -m tests.torture [FAULT ...]``: random faults over a farm of known truth, and a table of the results."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import zstandard

from benchmarks.measure import raise_file_limit
from benchmarks.server_programs import Unavailable
from tests.torture import namespaces
from tests.torture.case_run import Limits, UndisturbedRun, run_case
from tests.torture.cases import FAULTS, Case, make_case
from tests.torture.farm import Farm, start_farm
from tests.torture.namespaces import Slot, make_slot
from tests.torture.rows import make_rows, write_inventory
from tests.torture.scanner_process import missing_readers, start_scanner
from tests.torture.table import Result, details, table

SECONDS_PER_START: Final = 240.0
SHORT_SECONDS_PER_START: Final = 120.0
SHORT_TARGETS: Final = 300


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    about = "\n".join(f"  {fault.name:<10} {fault.about}" for fault in FAULTS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.torture", description=__doc__, epilog=f"faults:\n{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="default: all")
    parser.add_argument(
        "--times", type=int, help="cases of each fault (default: a number of its own, some minutes for all)"
    )
    parser.add_argument("--nightly", action="store_true", help="as many cases as a release needs: an hour or two")
    parser.add_argument("--short", action="store_true", help="one case of each fault in the form that takes seconds")
    parser.add_argument("--seed", type=int, help="what makes the cases (default: chosen and printed)")
    parser.add_argument("--only", type=int, metavar="N", help="case N of each fault and no other")
    parser.add_argument("--minutes", type=float, help="begin no further case after so many minutes")
    parser.add_argument("--targets", type=int, default=2000, help="rows of each scan (default: %(default)s)")
    parser.add_argument("--together", type=int, default=3, help="scans side by side (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files of cases that go wrong")
    parser.add_argument(
        "--tree", type=Path, metavar="DIR", help="a source tree whose scanner is tried instead of this one's"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result of every case")
    parser.add_argument("--verbose", action="store_true", help="one line for each case that ends")
    options = parser.parse_args(arguments)
    if unknown := [fault for fault in options.faults if fault not in FAULTS]:
        parser.error(f"no such fault: {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    if options.seed is None:
        options.seed = secrets.randbelow(1_000_000)
    if options.short:
        options.targets = min(options.targets, SHORT_TARGETS)
    return options


def plan(options: argparse.Namespace) -> list[Case]:
    """Return the cases to run. The faults alternate, so that an early end has had some of each."""
    wanted = [fault for fault in FAULTS.values() if not options.faults or fault.name in options.faults]
    cases: list[tuple[int, Case]] = []
    for fault in wanted:
        if options.only is not None:
            numbers: Sequence[int] = [options.only]
        elif options.short:
            numbers = [fault.short_number]
        else:
            numbers = range(options.times or (fault.nightly_times if options.nightly else fault.default_times))
        cases += [
            (turn, make_case(fault.name, number, options.seed, short=options.short))
            for turn, number in enumerate(numbers)
        ]
    return [case for _, case in sorted(cases, key=lambda each: each[0])]


def measure_undisturbed(farm: Farm, slot: Slot, work: Path, limits: Limits) -> UndisturbedRun:
    """Run a scan without faults, to measure how many packets it sends and how long its output is."""
    directory = work / "undisturbed"
    (directory / "disk").mkdir(parents=True)
    rows = make_rows(limits.targets, seed=limits.seed)
    write_inventory(directory / "inventory.csv", rows)
    resolver = farm.start_resolver(slot, rows, "unbound")
    scanner = start_scanner(
        slot, inventory=directory / "inventory.csv", output=directory / "disk" / "findings.ndjson", root=farm.root,
        workers=1, resume=False, tree=limits.tree,
    )  # fmt: skip
    status = scanner.wait(time.monotonic() + limits.seconds_per_start)
    resolver.kill()
    resolver.wait()
    farm.processes.remove(resolver)
    if status != 0:
        raise Unavailable(f"an undisturbed scan ended with {status}: {scanner.error_text()}")
    content = (directory / "disk" / "findings.ndjson").read_bytes()
    sizes = {
        "ndjson": len(content),
        "ndjson.gz": len(gzip.compress(content, 6)),
        "ndjson.zst": len(zstandard.compress(content)),
    }
    return UndisturbedRun(scanner.packets(), sizes)


def run_all(options: argparse.Namespace, cases: Sequence[Case]) -> tuple[list[Result], list[str]]:
    """Run the cases, some in parallel, until Ctrl-C; return their results, and the failures of the harness itself."""
    seconds = SHORT_SECONDS_PER_START if options.short else SECONDS_PER_START
    limits = Limits(options.targets, options.seed, seconds, options.keep, options.tree)
    farm = start_farm(namespaces.WORK / "farm", seed=options.seed, small_chain=options.short)
    slots: SimpleQueue[Slot] = SimpleQueue()
    first = make_slot(0)
    for number in range(1, options.together):
        slots.put(make_slot(number))
    undisturbed = measure_undisturbed(farm, first, namespaces.WORK, limits)
    slots.put(first)
    end = time.monotonic() + options.minutes * 60 if options.minutes else float("inf")
    results: list[Result] = []
    failures: list[str] = []
    lock = threading.Lock()

    def run_one(case: Case) -> None:
        if time.monotonic() >= end:
            return
        slot = slots.get()
        try:
            result = run_case(case, slot, farm, namespaces.WORK, undisturbed, limits)
        except (OSError, subprocess.SubprocessError, Unavailable) as error:
            with lock:
                failures.append(f"{case.describe()}: the harness itself failed: {error}")
            return
        finally:
            slots.put(slot)
        with lock:
            results.append(result)
            if options.verbose or result.is_bad():
                figures = ", ".join(f"{name} {value}" for name, value in result.figures().items() if value)
                state = "BAD" if result.is_bad() else "ok"
                print(f"{state}: {case.describe()}: {figures}; {result.seconds:.0f} s", file=sys.stderr, flush=True)

    pool = ThreadPoolExecutor(options.together)
    futures = [pool.submit(run_one, case) for case in cases]
    try:
        for future in futures:
            future.result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
    return results, failures


def commit(tree: Path | None) -> str:
    """Return the Git description of the tested scanner."""
    command = [
        "git",
        "-C",
        str(tree or Path(__file__).parent),
        "-c",
        "safe.directory=*",
        "describe",
        "--always",
        "--dirty",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def report(options: argparse.Namespace, cases: Sequence[Case], results: Sequence[Result]) -> int:
    """Print the table and return the exit status."""
    print(table(results))
    if text := details(results):
        print(f"\n{text}")
    for result in results:
        for note in result.notes:
            if note.startswith("skipped"):
                print(f"{result.case.fault} {result.case.number}: {note}")
    print(
        f"\nseed {options.seed}, {options.targets:,} targets a scan; {len(results)} of {len(cases)} cases; "
        f"commit {commit(options.tree)}"
    )
    if options.json is not None:
        options.json.write_text(json.dumps([each.as_json() for each in results], indent=1) + "\n", encoding="utf-8")
    return int(any(result.is_bad() for result in results))


def main(arguments: Sequence[str]) -> int:
    """Enter namespaces by running the harness again; inside of them, run the cases and report."""
    options = parse(arguments)
    if not namespaces.is_inside():
        if reason := namespaces.unavailable() or missing_readers():
            print(f"torture: {reason}", file=sys.stderr)
            return 2
        if options.keep is not None:
            options.keep.mkdir(parents=True, exist_ok=True)
        if options.json is not None:
            options.json.parent.mkdir(parents=True, exist_ok=True)
        print(f"seed {options.seed}", file=sys.stderr, flush=True)
        return namespaces.run_inside([*arguments, "--seed", str(options.seed)])
    namespaces.enter()
    # Shells start background commands with these signals ignored, which the scanners would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    raise_file_limit()
    cases = plan(options)
    try:
        results, failures = run_all(options, cases)
    except Unavailable as error:
        print(f"torture: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    status = report(options, cases, results)
    for failure in failures:
        print(failure)
    return 2 if failures else status


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    # Ends the threads of cases that Ctrl-C interrupted.
    os._exit(status)
