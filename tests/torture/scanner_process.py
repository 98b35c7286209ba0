"""Starts and observes a scanner process, and reads its output with standard tools."""

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
from tests.helpers.process_trees import descendants, send
from tests.torture.namespaces import Slot

# Seconds between two checks of a scanner.
POLL_SECONDS: Final = 0.01
# A run that has sent packets, but none for so long, waits for something or is nearly done.
QUIET_SECONDS: Final = 1.0
# Characters of standard error that are kept for the report
MAX_ERROR_TEXT: Final = 300
# Separates the output of each start in that file
_HEADING: Final = "--- "


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
        """Return how many packets the scanner has sent since its start."""
        return self.slot.packets() - self.first_packets

    def workers(self) -> list[int]:
        """Return its processes except for the first."""
        return descendants(self.process.pid)

    def all_processes(self) -> list[int]:
        return [self.process.pid, *self.workers()]

    def wait_for_moment(self, moment: float, undisturbed_packets: int, deadline: float) -> bool:
        """Wait for a moment as in ``cases.Injection``; return False if it does not come."""
        if moment < 0:
            wanted, after = 0, -moment
        elif moment < 1:
            wanted, after = int(moment * undisturbed_packets), 0.0
        else:
            # the exact number of packets differs between runs
            wanted, after = int(0.97 * undisturbed_packets), moment - 1
        last, last_change = -1, time.monotonic()
        while self.is_running() and (seen := self.packets()) < wanted:
            if time.monotonic() > deadline:
                return False
            if seen != last:
                last, last_change = seen, time.monotonic()
            elif seen and time.monotonic() - last_change > QUIET_SECONDS:
                break
            time.sleep(POLL_SECONDS)
        base = self.started if moment < 0 else time.monotonic()
        while self.is_running() and time.monotonic() < base + after:
            time.sleep(POLL_SECONDS)
        return self.is_running()

    def wait(self, deadline: float) -> int | None:
        """Wait for the exit status; after ``deadline``, kill all processes and return ``None``."""
        while self.is_running() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        if self.is_running():
            send(self.all_processes(), signal.SIGKILL)
            self.process.wait()
            return None
        return self.process.returncode

    def error_text(self) -> str:
        """Return the end of its standard error in one line."""
        _, _, text = self.errors.read_text(encoding="utf-8", errors="replace").rpartition(_HEADING)
        _, _, text = text.partition("\n")
        return " / ".join(line.strip() for line in text.splitlines() if line.strip())[-MAX_ERROR_TEXT:]


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
    """Start a scan with default options in the namespace of a slot.

    ``before`` is a command that runs the scanner (``prlimit``); ``tree`` is the source tree of the scanner.
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
    """Return the lines of an output, as gzip or zstd reads it, and what is wrong with the file, or ``None``."""
    if not path.exists():
        return [], "no output"
    if not path.stat().st_size:
        return [], None  # not damaged, although gzip and zstd refuse an empty file
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
    """Return the reason why outputs cannot be read on this machine, or ``None``."""
    for program, *_ in _READERS.values():
        if shutil.which(program, path=PROGRAM_PATH) is None:
            return f"{program} is not installed (Debian: apt-get install {program})"
    return None
