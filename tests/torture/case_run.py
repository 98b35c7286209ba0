"""Runs one case from the first start to the last ``--resume``, and checks the findings."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.helpers.process_trees import send
from tests.torture.cases import OUTPUT_FORMATS, Case
from tests.torture.farm import Farm
from tests.torture.injection import ORPHANS_END, CaseSetup, Skipped, inject, prepare, restore
from tests.torture.namespaces import Slot
from tests.torture.rows import make_rows, write_inventory
from tests.torture.scanner_process import POLL_SECONDS, read_output, start_scanner
from tests.torture.table import Result
from tests.torture.truth_check import Counts, count_wrong

# Starts after the last injection: how often an interrupted scan is continued with --resume.
UNDISTURBED_STARTS: Final = 3
# No case uses --fail-on, so 1 means that a signal ended Python before our code was loaded.
DONE: Final = (0,)


@dataclass(slots=True)
class UndisturbedRun:
    """Measurements of a scan without faults, by which injections are timed."""

    packets: int = 1000
    output_bytes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(OUTPUT_FORMATS, 100_000))


@dataclass(frozen=True, slots=True)
class Limits:
    """The size of each scan, and its time limit."""

    targets: int
    seed: int
    seconds_per_start: float
    keep: Path | None = None
    tree: Path | None = None


def _end_orphans(pids: list[int]) -> int:
    """Wait for workers whose parent is gone; return how many had to be killed."""
    deadline = time.monotonic() + ORPHANS_END
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    send(left, signal.SIGKILL)
    return len(left)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def run_case(case: Case, slot: Slot, farm: Farm, work: Path, undisturbed: UndisturbedRun, limits: Limits) -> Result:
    """Run a case in a directory of its own, which is copied to ``keep`` if the case goes wrong, and removed."""
    directory = work / f"{case.fault}-{case.number}"
    directory.mkdir()
    rows = make_rows(limits.targets, slow=case.slow, hostile=case.hostile, seed=limits.seed)
    inventory, output = directory / "inventory.csv", directory / "disk" / f"findings.{case.output_format}"
    write_inventory(inventory, rows)
    setup = CaseSetup(
        case=case, slot=slot, farm=farm, rows=rows, directory=directory,
        random=Random(f"{limits.seed}/{case.fault}/{case.number}/victims"),
        undisturbed_packets=undisturbed.packets, output_bytes=undisturbed.output_bytes[case.output_format],
    )  # fmt: skip
    began = time.monotonic()
    setup.mount()
    try:
        setup.start_resolver()
        result = _run_starts(setup, inventory, output, limits)
        result.seconds = time.monotonic() - began
        if limits.keep is not None and result.is_bad():
            shutil.copytree(directory, limits.keep / directory.name, dirs_exist_ok=True)
        return result
    finally:
        setup.stop_resolver()
        setup.unmount()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(slots=True)
class _Progress:
    """The exit statuses and problems of a case so far."""

    statuses: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: int = 0
    damaged: bool = False
    hung: bool = False

    @property
    def is_finished(self) -> bool:
        return self.hung or self.statuses[-1] in DONE

    def check_after_start(self, output: Path, error_text: str) -> None:
        """Check the output after a start: a scanner that was not killed must leave an intact file.

        If an earlier one was killed, only a scan that completes must.
        """
        status, start = self.statuses[-1], len(self.statuses)
        if status < 0:
            return
        if status in DONE or (output.exists() and min(self.statuses) >= 0):
            self._check(output, f"start {start}, status {status}")
        if status not in DONE:
            self.notes.append(f"start {start}: status {status}: {error_text}")

    def finish(self, output: Path) -> list[bytes]:
        """Check the output at the end and return its lines."""
        if not self.hung:  # else the scanner was killed, maybe while writing
            self._check(output, "at the end")
        return read_output(output)[0]

    def _check(self, output: Path, when: str) -> None:
        problem = read_output(output)[1]
        if problem is not None:
            self.damaged = True
            self.notes.append(f"{when}: the output is damaged: {problem}")


def _run_starts(setup: CaseSetup, inventory: Path, output: Path, limits: Limits) -> Result:
    case, progress = setup.case, _Progress()
    for start in range(len(case.injections) + UNDISTURBED_STARTS):
        injection = case.injections[start] if start < len(case.injections) else None
        try:
            preparation = prepare(setup, injection)
        except Skipped as reason:
            return Result(case, 0, Counts(), 0, (0,), notes=[f"skipped: {reason}"])
        left = 1 - len(read_output(output)[0]) / len(setup.rows) if start else 1.0
        scanner = start_scanner(
            setup.slot, inventory=inventory, output=output, root=setup.farm.root, workers=case.workers,
            resume=start > 0, options=case.options, environment=dict(preparation.environment), before=preparation.before,
            tree=limits.tree,
        )  # fmt: skip
        deadline = scanner.started + limits.seconds_per_start + (0 if injection is None else injection.seconds)
        hit = injection is not None and inject(setup, scanner, injection, left, deadline)
        status = scanner.wait(deadline)
        progress.hung = status is None
        progress.statuses.append(-signal.SIGKILL if status is None else status)
        if hit and not (injection is not None and injection.limits_disk and status in DONE):
            progress.done += 1  # not counted if the disk had room for everything
        if orphans := _end_orphans(setup.workers):
            progress.notes.append(f"{orphans} workers outlived their parent by {ORPHANS_END:g} s")
        if injection is not None:
            restore(setup, injection)
        progress.check_after_start(output, scanner.error_text())
        if progress.is_finished:
            break
    counts = count_wrong(setup.rows, progress.finish(output))
    return Result(
        case, len(setup.rows), counts, progress.done, tuple(progress.statuses),
        damaged=int(progress.damaged or counts.unreadable > 0), hung=progress.hung, notes=progress.notes,
    )  # fmt: skip
