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
from tests.torture.judging import judge
from tests.torture.namespaces import Slot
from tests.torture.rows import make_rows, write_inventory
from tests.torture.running import TICK, read_output, send, start_scanner
from tests.torture.table import Result

# Starts after the last blow: an interrupted scan goes on by --resume as often as this.
UNDISTURBED_STARTS: Final = 3
DONE: Final = (0, 1)


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


def _play(stage: Stage, inventory: Path, output: Path, limits: Limits) -> Result:
    case, statuses, notes, done, hung, damaged = stage.case, list[int](), list[str](), 0, False, 0
    for start in range(len(case.blows) + UNDISTURBED_STARTS):
        blow = case.blows[start] if start < len(case.blows) else None
        try:
            preparation = prepare(stage, blow)
        except Skipped as reason:
            return Result(case, 0, judge([], []), 0, (0,), notes=[f"skipped: {reason}"])
        scanner = start_scanner(
            stage.slot, inventory=inventory, output=output, root=stage.farm.root, workers=case.workers,
            resume=start > 0, options=case.options, environment=dict(preparation.environment), before=preparation.before,
        )  # fmt: skip
        deadline = time.monotonic() + limits.seconds_per_start + (0 if blow is None else blow.seconds)
        hit = blow is not None and inject(stage, scanner, blow)
        status = scanner.wait(deadline)
        hung |= status is None
        statuses.append(-9 if status is None else status)
        # A disk that had room for everything was not full.
        done += hit and not (blow is not None and blow.is_of_disk and status in DONE)
        if orphans := _end_orphans(stage.workers):
            notes.append(f"{orphans} workers outlived their parent by {ORPHANS_END:g} s")
        if blow is not None:
            restore(stage, blow)
        if status is not None and status >= 0:
            # Scanners that end by themselves, even on a full disk, leave whole files; one that is killed cannot.
            whole = status in DONE or (output.exists() and min(statuses) >= 0)
            if whole and (problem := read_output(output)[1]):
                damaged = 1
                notes.append(f"start {start + 1}, status {status}: the output is damaged: {problem}")
            if status not in DONE:
                notes.append(f"start {start + 1}: status {status}: {scanner.last_words()}")
        if status is None or status in DONE:
            break
    lines, problem = read_output(output)
    if problem and not hung:  # else it was killed while it wrote
        notes.append(f"at the end the output is damaged: {problem}")
    counts = judge(stage.rows, lines)
    return Result(
        case, len(stage.rows), counts, done, tuple(statuses),
        damaged=int(bool(damaged or (problem and not hung) or counts.unreadable)), hung=hung, notes=notes,
    )  # fmt: skip
