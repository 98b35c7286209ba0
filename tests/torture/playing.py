"""One case from the first start to the last ``--resume``, and then the findings against the truth."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.torture.cases import FORMS, Case
from tests.torture.farm import Farm
from tests.torture.injecting import ORPHANS_END, Skipped, Stage, inject, prepare, restore
from tests.torture.judging import Counts, judge
from tests.torture.namespaces import Slot
from tests.torture.rows import make_rows, write_inventory
from tests.torture.running import TICK, read_output, send, start_scanner
from tests.torture.table import Result

# Starts after the last blow: an interrupted scan goes on by --resume as often as this.
UNDISTURBED_STARTS: Final = 3
# No case asks for --fail-on, so 1 is Python's own word: a signal came before it had loaded anything of ours.
DONE: Final = (0,)


@dataclass(slots=True)
class Usual:
    """What an undisturbed run of the inventory does, so that faults can be placed in it."""

    packets: int = 1000
    output_bytes: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(FORMS, 100_000))


@dataclass(frozen=True, slots=True)
class Limits:
    """How large and how long."""

    targets: int
    seed: int
    seconds_per_start: float
    keep: Path | None = None
    tree: Path | None = None


def _end_orphans(pids: list[int]) -> int:
    """Wait for workers whose parent is gone; how many had to be killed."""
    deadline = time.monotonic() + ORPHANS_END
    while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(TICK)
    send(left, signal.SIGKILL)
    return len(left)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def play(case: Case, slot: Slot, farm: Farm, work: Path, usual: Usual, limits: Limits) -> Result:
    """Play the case in a directory of its own, which is taken away unless the case goes wrong and ``keep`` is set."""
    directory = work / f"{case.fault}-{case.number}"
    directory.mkdir()
    rows = make_rows(limits.targets, slow=case.slow, hostile=case.hostile, seed=limits.seed)
    inventory, output = directory / "inventory.csv", directory / "disk" / f"findings.{case.form}"
    write_inventory(inventory, rows)
    stage = Stage(
        case=case, slot=slot, farm=farm, rows=rows, directory=directory,
        random=Random(f"{limits.seed}/{case.fault}/{case.number}/victims"),
        usual_packets=usual.packets, output_bytes=usual.output_bytes[case.form],
    )  # fmt: skip
    began = time.monotonic()
    stage.mount()
    try:
        stage.start_resolver()
        result = _play(stage, inventory, output, limits)
        result.seconds = time.monotonic() - began
        if limits.keep is not None and result.is_bad():
            shutil.copytree(directory, limits.keep / directory.name, dirs_exist_ok=True)
        return result
    finally:
        stage.stop_resolver()
        stage.unmount()
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(slots=True)
class _Course:
    """How a case has gone so far."""

    statuses: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: int = 0
    damaged: bool = False
    hung: bool = False

    @property
    def is_over(self) -> bool:
        return self.hung or self.statuses[-1] in DONE

    def look_at(self, output: Path, last_words: str) -> None:
        """Check the file after a start: a scanner that ends by itself leaves it whole, but for what a killed one tore."""
        status, start = self.statuses[-1], len(self.statuses)
        if status < 0:
            return
        if status in DONE or (output.exists() and min(self.statuses) >= 0):
            self._check(output, f"start {start}, status {status}")
        if status not in DONE:
            self.notes.append(f"start {start}: status {status}: {last_words}")

    def finish(self, output: Path) -> list[bytes]:
        """Read the file at the end."""
        if not self.hung:  # else the scanner was killed while it wrote
            self._check(output, "at the end")
        return read_output(output)[0]

    def _check(self, output: Path, when: str) -> None:
        problem = read_output(output)[1]
        if problem is not None:
            self.damaged = True
            self.notes.append(f"{when}: the output is damaged: {problem}")


def _play(stage: Stage, inventory: Path, output: Path, limits: Limits) -> Result:
    case, course = stage.case, _Course()
    for start in range(len(case.blows) + UNDISTURBED_STARTS):
        blow = case.blows[start] if start < len(case.blows) else None
        try:
            preparation = prepare(stage, blow)
        except Skipped as reason:
            return Result(case, 0, Counts(), 0, (0,), notes=[f"skipped: {reason}"])
        left = 1 - len(read_output(output)[0]) / len(stage.rows) if start else 1.0
        scanner = start_scanner(
            stage.slot, inventory=inventory, output=output, root=stage.farm.root, workers=case.workers,
            resume=start > 0, options=case.options, environment=dict(preparation.environment), before=preparation.before,
            tree=limits.tree,
        )  # fmt: skip
        deadline = scanner.started + limits.seconds_per_start + (0 if blow is None else blow.seconds)
        hit = blow is not None and inject(stage, scanner, blow, left, deadline)
        status = scanner.wait(deadline)
        course.hung = status is None
        course.statuses.append(-signal.SIGKILL if status is None else status)
        if hit and not (blow is not None and blow.is_of_disk and status in DONE):
            course.done += 1  # a disk that had room for everything was not full
        if orphans := _end_orphans(stage.workers):
            course.notes.append(f"{orphans} workers outlived their parent by {ORPHANS_END:g} s")
        if blow is not None:
            restore(stage, blow)
        course.look_at(output, scanner.last_words())
        if course.is_over:
            break
    counts = judge(stage.rows, course.finish(output))
    return Result(
        case, len(stage.rows), counts, course.done, tuple(course.statuses),
        damaged=int(course.damaged or counts.unreadable > 0), hung=course.hung, notes=course.notes,
    )  # fmt: skip
