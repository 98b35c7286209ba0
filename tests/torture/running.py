"""A scanner under observation: start, progress, signals, end; and its output as standard tools read it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.server_programs import PROGRAM_PATH, find_program
from tests.torture.namespaces import Slot

# Seconds between two looks at a scanner.
TICK: Final = 0.01
# A run that has sent packets and none for so long waits for something, or has less to do than an undisturbed one.
QUIET_SECONDS: Final = 1.0
# Of standard error, what is kept for the report
LAST_WORDS: Final = 300
# Before what each start wrote there
_HEADING: Final = "--- "


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    except OSError:
        return []


def descendants(pid: int) -> list[int]:
    """The process's children, and theirs."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def send(pids: Sequence[int], number: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile needs none."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@dataclass(slots=True)
class Scanner:
    """One start of the scanner."""

    slot: Slot
    process: subprocess.Popen[bytes]
    errors: Path
    started: float
    first_packets: int

    def is_running(self) -> bool:
        return self.process.poll() is None

    def packets(self) -> int:
        """How many packets it has sent since its start."""
        return self.slot.packets() - self.first_packets

    def workers(self) -> list[int]:
        """Its processes but the first."""
        return descendants(self.process.pid)

    def everyone(self) -> list[int]:
        return [self.process.pid, *self.workers()]

    def wait_for_moment(self, moment: float, usual_packets: int, deadline: float) -> bool:
        """Wait for a moment of ``cases.Blow``; False where it does not come."""
        if moment < 0:
            wanted, after = 0, -moment
        elif moment < 1:
            wanted, after = int(moment * usual_packets), 0.0
        else:
            # the last packets of a run differ from run to run
            wanted, after = int(0.97 * usual_packets), moment - 1
        last, last_change = -1, time.monotonic()
        while self.is_running() and (seen := self.packets()) < wanted:
            if time.monotonic() > deadline:
                return False
            if seen != last:
                last, last_change = seen, time.monotonic()
            elif seen and time.monotonic() - last_change > QUIET_SECONDS:
                break
            time.sleep(TICK)
        base = self.started if moment < 0 else time.monotonic()
        while self.is_running() and time.monotonic() < base + after:
            time.sleep(TICK)
        return self.is_running()

    def wait(self, deadline: float) -> int | None:
        """Its exit status; None where it did not end in time and had to be killed, workers and all."""
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(TICK)
        if self.is_running():
            send(self.everyone(), signal.SIGKILL)
            self.process.wait()
            return None
        return self.process.returncode

    def last_words(self) -> str:
        """The end of what it wrote to standard error, in one line."""
        _, _, text = self.errors.read_text(encoding="utf-8", errors="replace").rpartition(_HEADING)
        _, _, text = text.partition("\n")
        return " / ".join(line.strip() for line in text.splitlines() if line.strip())[-LAST_WORDS:]


def start_scanner(
    slot: Slot,
    *,
    inventory: Path,
    output: Path,
    root: Path,
    workers: int,
    resume: bool,
    options: Sequence[str] = (),
    environment: dict[str, str] | None = None,
    before: Sequence[str] = (),
    tree: Path | None = None,
) -> Scanner:
    """Start a scan at its defaults at the slot's end of the link.

    ``before`` stands before the command (``prlimit``); ``tree`` is the source tree whose scanner it is.
    """
    errors = output.parent.parent / "stderr.log"
    command = slot.command(
        *before, sys.executable, "-m", "scanner", "scan", str(inventory), "-o", str(output), "--no-progress",
        "--trust-store", str(root), "--resolver", f"{slot.farm_address}:53", "--workers", str(workers),
        "--lang", "en", *options, *(["--resume"] if resume else []),
    )  # fmt: skip
    packets = slot.packets()
    with errors.open("ab") as log:
        log.write(f"{_HEADING}{' '.join(command[command.index('scan') :])}\n".encode())
        log.flush()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            cwd=tree,  # where ``-m`` looks first
            env=os.environ | {"XDG_CACHE_HOME": str(output.parent.parent / "cache")} | (environment or {}),
        )  # fmt: skip
    return Scanner(slot, process, errors, time.monotonic(), packets)


_READERS: Final = {".gz": ("gzip", "-dc"), ".zst": ("zstd", "-dcq")}


def read_output(path: Path) -> tuple[list[bytes], str | None]:
    """The lines of an output as the usual tool reads it, and what is wrong with the file, if anything is."""
    if not path.exists():
        return [], "no output"
    if not path.stat().st_size:
        return [], None  # nothing was written: no member is broken, though the tools want one
    reader = _READERS.get(path.suffix)
    if reader is None:
        content, problem = path.read_bytes(), None
    else:
        done = subprocess.run([find_program(reader[0]), *reader[1:], str(path)], capture_output=True, check=False)
        content = done.stdout
        problem = (
            done.stderr.decode(errors="replace").strip()[:100] or f"status {done.returncode}"
            if done.returncode
            else None
        )
    lines = content.split(b"\n")
    if lines.pop():
        problem = problem or "the last line has no end"
    return lines, problem


def missing_readers() -> str | None:
    """Why outputs cannot be read on this machine; None where they can."""
    for program, *_ in _READERS.values():
        if shutil.which(program, path=PROGRAM_PATH) is None:
            return f"{program} is not installed (Debian: apt-get install {program})"
    return None
