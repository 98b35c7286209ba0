"""Injects each fault into a running scanner, and undoes it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.helpers.process_trees import send
from tests.torture.cases import Case, Injection
from tests.torture.farm import Farm
from tests.torture.namespaces import Slot, run
from tests.torture.rows import Row
from tests.torture.scanner_process import POLL_SECONDS, Scanner

FAKETIME: Final = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
# The smallest tmpfs: some pages.
MIN_DISK: Final = 16_384
# Size of the disk in cases without a disk fault
LARGE_DISK: Final = "1g"
# Seconds within which workers must end after their parent
ORPHANS_END: Final = 10.0


class Skipped(Exception):
    """The fault cannot be injected on this machine; the message gives the reason."""


@dataclass(slots=True)
class CaseSetup:
    """The environment of a case: its network slot, servers, files and resolver."""

    case: Case
    slot: Slot
    farm: Farm
    rows: Sequence[Row]
    directory: Path
    random: Random
    undisturbed_packets: int
    output_bytes: int
    resolver: subprocess.Popen[bytes] | None = None
    # The scanner's worker processes at the time of the last injection
    workers: list[int] = field(default_factory=list)

    @property
    def disk(self) -> Path:
        """The mount point of the file system for the output."""
        return self.directory / "disk"

    @property
    def clock(self) -> Path:
        """The file from which libfaketime reads the offset of the scanner's wall clock."""
        return self.directory / "clock"

    def mount(self) -> None:
        """Mount the file system for the output."""
        self.disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={LARGE_DISK}", "tmpfs", str(self.disk))

    def unmount(self) -> None:
        run("umount", "-l", str(self.disk))

    def start_resolver(self, mode: str | None = None) -> None:
        """Start the slot's resolver, replacing the current one."""
        self.stop_resolver()
        self.resolver = self.farm.start_resolver(self.slot, self.rows, mode or self.case.resolver)

    def stop_resolver(self) -> None:
        if self.resolver is not None:
            self.resolver.kill()
            self.resolver.wait()
            self.farm.processes.remove(self.resolver)
            self.resolver = None

    def set_clock(self, seconds: float) -> None:
        """Set the offset of the scanner's wall clock, effective at once."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n", encoding="ascii")
        new.replace(self.clock)

    def pause(self, scanner: Scanner, seconds: float) -> None:
        """Wait for ``seconds`` or until the scanner ends; 0 means a permanent fault and does not wait."""
        end = time.monotonic() + seconds
        while scanner.is_running() and (not seconds or time.monotonic() < end):
            if not seconds:
                return
            time.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a start of the scanner needs for an injection: a command to run it with, and environment variables."""

    before: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def prepare(setup: CaseSetup, injection: Injection | None) -> Preparation:
    """Prepare an injection before the scanner starts. Raises ``Skipped``."""
    action = "" if injection is None else injection.action
    room = 0 if injection is None else max(MIN_DISK, int(injection.amount * setup.output_bytes))
    used = sum(each.stat().st_size for each in setup.disk.iterdir())
    size = f"{used + room}" if action == "disk full" else LARGE_DISK
    # All options are given, since mount would otherwise repeat those of the existing mount, which fails in a user namespace.
    run("mount", "-i", "-n", "-t", "tmpfs", "-o", f"remount,size={size}", "tmpfs", str(setup.disk))
    if action == "file limit":
        return Preparation(before=("prlimit", f"--fsize={used + room}", "--"))
    if setup.case.fault == "clock":
        if FAKETIME is None:
            raise Skipped("libfaketime is not installed (Debian: apt-get install libfaketime)")
        setup.set_clock(0)
        return Preparation(
            environment=(
                ("LD_PRELOAD", str(FAKETIME)),
                ("FAKETIME_TIMESTAMP_FILE", str(setup.clock)),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("DONT_FAKE_MONOTONIC", "1"),
            )
        )
    return Preparation()


def _stop(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    victims = _victims(setup, scanner, injection.action)
    send(victims, signal.SIGSTOP)
    time.sleep(injection.seconds)
    send(victims, signal.SIGCONT)


def _victims(setup: CaseSetup, scanner: Scanner, action: str) -> list[int]:
    workers = scanner.workers()
    if action.endswith("all"):
        return [scanner.process.pid, *workers]
    if action.endswith("worker") and workers:
        return [setup.random.choice(workers)]
    return [scanner.process.pid]


def _kill(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    name, _, _ = injection.action.partition(" ")
    victims = _victims(setup, scanner, injection.action)
    send(victims, signal.Signals[name])
    if injection.action.endswith("twice"):
        time.sleep(setup.random.uniform(0.0, 0.3))
        send(victims, signal.Signals[name])


def _cut(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    setup.slot.cut(injection.action)
    try:
        setup.pause(scanner, injection.seconds)
    finally:
        setup.slot.restore(injection.action)


def _jump(setup: CaseSetup, _scanner: Scanner, injection: Injection) -> None:
    setup.set_clock(injection.amount)


def _kill_resolver(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    setup.stop_resolver()
    setup.pause(scanner, injection.seconds)
    if injection.seconds:
        setup.start_resolver()


def _silence_resolver(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    assert setup.resolver is not None
    os.kill(setup.resolver.pid, signal.SIGSTOP)
    setup.pause(scanner, injection.seconds)
    if injection.seconds:
        os.kill(setup.resolver.pid, signal.SIGCONT)


def _refuse(setup: CaseSetup, scanner: Scanner, injection: Injection) -> None:
    setup.start_resolver("refuse")
    setup.pause(scanner, injection.seconds)
    if injection.seconds:
        setup.start_resolver()


def _nothing(_setup: CaseSetup, _scanner: Scanner, _injection: Injection) -> None:
    """Do nothing: the disk was limited before the start."""


_ACTIONS: Final[dict[str, Callable[[CaseSetup, Scanner, Injection], None]]] = {
    "stop all": _stop,
    "stop parent": _stop,
    "stop a worker": _stop,
    "link down": _cut,
    "silence": _cut,
    "no carrier": _cut,
    "clock jump": _jump,
    "SIGKILL all": _kill,
    "SIGKILL parent": _kill,
    "SIGKILL a worker": _kill,
    "SIGTERM parent": _kill,
    "SIGINT parent": _kill,
    "SIGINT twice": _kill,
    "SIGHUP parent": _kill,
    "disk full": _nothing,
    "file limit": _nothing,
    "resolver killed": _kill_resolver,
    "resolver silent": _silence_resolver,
    "resolver refuses": _refuse,
}


def inject(setup: CaseSetup, scanner: Scanner, injection: Injection, left: float, deadline: float) -> bool:
    """Inject a fault at its moment; return False if the scanner ended before, or did not get there by the deadline.

    ``left`` is the share of the rows that this start still has to scan.
    """
    if not scanner.wait_for_moment(injection.moment, int(setup.undisturbed_packets * left), deadline):
        return False
    setup.workers = scanner.workers()
    _ACTIONS[injection.action](setup, scanner, injection)
    return True


def restore(setup: CaseSetup, injection: Injection) -> None:
    """Undo a permanent fault before the scanner is started again."""
    if injection.action.startswith("resolver") and not injection.seconds:
        setup.start_resolver()
