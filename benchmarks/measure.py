"""Measures commands: wall time, CPU of the process with all of its threads, and memory."""

from __future__ import annotations

import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# Between two samples of memory: often enough for a plateau of seconds, and too rare to cost anything.
SAMPLE_SECONDS: Final = 0.1


class CommandError(Exception):
    """A command failed or did not end in time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The resources that one run of a command used, in seconds and bytes.

    ``samples`` are (seconds since the start, resident bytes); ``peak`` is the kernel's high-water mark.
    """

    wall: float
    user: float
    system: float
    exit: int
    peak: int
    samples: tuple[tuple[float, int], ...] = ()

    @property
    def cpu(self) -> float:
        return self.user + self.system


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment without proxies and user configuration, so that every tool runs with its defaults."""
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "" if os.access(ROOT, os.W_OK) else "1",
    }


def tlsweep(*arguments: str) -> list[str]:
    """Return the command line of the scanner, run by this interpreter."""
    return [sys.executable, "-m", "scanner", *arguments]


def run(
    argv: Sequence[str],
    *,
    home: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Cost:
    """Run a command and return its cost. Output goes to ``log`` or is discarded; standard input is empty.

    Raises ``CommandError`` if it does not end within ``timeout`` seconds.
    """
    with open(log or os.devnull, "wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=home,
            env={**clean_environment(home), **(environment or {})},
        )
        samples: list[tuple[float, int]] = []
        peak = 0
        pidfd = os.pidfd_open(process.pid)
        try:
            poller = select.poll()
            poller.register(pidfd, select.POLLIN)
            while not poller.poll(SAMPLE_SECONDS * 1000):
                now = time.perf_counter() - started
                resident, high = memory_of(process.pid)
                if resident:
                    samples.append((now, resident))
                    peak = max(peak, high)
                if now > timeout:
                    process.kill()
                    process.wait()
                    raise CommandError(f"{argv[0]}: not done after {timeout:.0f} s")
            wall = time.perf_counter() - started
            # wait4 counts this child with its threads and the children that it waited for.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            os.close(pidfd)
    return Cost(wall, used.ru_utime, used.ru_stime, process.returncode, peak, tuple(samples))


def memory_of(pid: int) -> tuple[int, int]:
    """Return the current and the highest resident bytes of a process; zeros if it has ended."""
    now = high = 0
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("VmRSS:"):
                    now = int(line.split()[1]) * 1024
                elif line.startswith("VmHWM:"):
                    high = int(line.split()[1]) * 1024
    except OSError:
        pass
    return now, high


def own_cpu() -> float:
    """Return the CPU seconds (user and system) that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def raise_file_limit() -> int:
    """Raise the limit of open files to the hard limit, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a plain text table; the first column is left-aligned, the others right-aligned."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for row in (head, *rows):
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        cells = [row[0].ljust(len(first)), *others]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def against_bar(value: float, bar: float) -> str:
    """Return a ratio with its bar, and whether it is within."""
    return f"{value:.2f} (bar {bar:g}: {'within' if value <= bar else 'ABOVE'})"
