"""What a command costs: wall time, CPU of its own process with all of its threads, and memory."""

from __future__ import annotations

import os
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent

# How often memory is looked at while a command runs: enough for a plateau of seconds, too rarely to cost anything.
SAMPLE_SECONDS: Final = 0.1


class CommandError(Exception):
    """A command that should have run did not: it failed, or did not end in its time."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one run of a command used. Times are seconds, memory is bytes.

    ``samples`` are (seconds since the start, resident bytes); ``peak`` is the kernel's own high-water mark.
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


@dataclass(slots=True)
class Series:
    """The same command several times; figures are medians, so that one disturbed round does not decide."""

    costs: list[Cost] = field(default_factory=list)

    def add(self, cost: Cost) -> None:
        self.costs.append(cost)

    @property
    def wall(self) -> float:
        return statistics.median(cost.wall for cost in self.costs)

    @property
    def cpu(self) -> float:
        return statistics.median(cost.cpu for cost in self.costs)

    @property
    def peak(self) -> float:
        return statistics.median(cost.peak for cost in self.costs)


def clean_environment(home: Path) -> dict[str, str]:
    """No proxy, no configuration of whoever runs this: every tool starts as freshly installed."""
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "" if os.access(ROOT, os.W_OK) else "1",
    }


def tlsweep(*arguments: str) -> list[str]:
    """The scanner as a command, run by the interpreter that runs this."""
    return [sys.executable, "-m", "scanner", *arguments]


def run(
    argv: Sequence[str],
    *,
    home: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Cost:
    """Run a command to its end. Standard output and error go to ``log`` or nowhere; standard input is empty."""
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
            # wait4 counts this child alone, with its threads and the children that it waited for.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            os.close(pidfd)
    return Cost(wall, used.ru_utime, used.ru_stime, process.returncode, peak, tuple(samples))


def memory_of(pid: int) -> tuple[int, int]:
    """Resident bytes of a process now and at their highest; zeros when it has gone."""
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
    """CPU seconds that this process has used, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def raise_file_limit() -> int:
    """Every loopback peer and probe is a file: take all that the hard limit gives, and say how many that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = []
    for row in (head, *rows):
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        cells = [row[0].ljust(len(first)), *others]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def against_bar(value: float, bar: float) -> str:
    """A ratio beside the most that it should be."""
    return f"{value:.2f} (bar {bar:g}: {'within' if value <= bar else 'ABOVE'})"
