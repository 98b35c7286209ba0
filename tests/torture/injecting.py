"""How each fault is done to a running scanner, and undone."""

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

from tests.torture.cases import Blow, Case
from tests.torture.farm import Farm
from tests.torture.namespaces import Slot, run
from tests.torture.rows import Row
from tests.torture.running import TICK, Scanner, send

FAKETIME: Final = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
# No file system is smaller than some pages.
SMALLEST_DISK: Final = 16_384
# Room on the disk of a case where nothing is full
WHOLE_DISK: Final = "1g"
# Seconds until the workers of a dead parent must have ended
ORPHANS_END: Final = 10.0


class Skipped(Exception):
    """The fault cannot be done on this machine; the message says why."""


@dataclass(slots=True)
class Stage:
    """Everything that a case plays on."""

    case: Case
    slot: Slot
    farm: Farm
    rows: Sequence[Row]
    directory: Path
    random: Random
    usual_packets: int
    output_bytes: int
    resolver: subprocess.Popen[bytes] | None = None
    # The processes beside the scanner's first one when the last blow fell
    workers: list[int] = field(default_factory=list)

    @property
    def disk(self) -> Path:
        """Where the output is: a file system of its own."""
        return self.directory / "disk"

    @property
    def clock(self) -> Path:
        """The file by which libfaketime shifts the scanner's wall clock."""
        return self.directory / "clock"

    def mount(self) -> None:
        """Make the file system of the output."""
        self.disk.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={WHOLE_DISK}", "tmpfs", str(self.disk))

    def unmount(self) -> None:
        run("umount", "-l", str(self.disk))

    def start_resolver(self, mode: str | None = None) -> None:
        """Start the slot's resolver in place of the one that is there."""
        self.stop_resolver()
        self.resolver = self.farm.start_resolver(self.slot, self.rows, mode or self.case.resolver)

    def stop_resolver(self) -> None:
        if self.resolver is not None:
            self.resolver.kill()
            self.resolver.wait()
            self.farm.processes.remove(self.resolver)
            self.resolver = None

    def set_clock(self, seconds: float) -> None:
        """Shift the scanner's wall clock at once."""
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}\n", encoding="ascii")
        new.replace(self.clock)

    def pause(self, scanner: Scanner, seconds: float) -> None:
        """Let time pass, at most until the scanner ends; 0 is for ever."""
        end = time.monotonic() + seconds
        while scanner.is_running() and (not seconds or time.monotonic() < end):
            if not seconds:
                return
            time.sleep(TICK)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a start of the scanner needs so that a blow can be done to it."""

    before: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()


def prepare(stage: Stage, blow: Blow | None) -> Preparation:
    """Get ready for a blow, before the scanner starts. Raises ``Skipped``."""
    action = "" if blow is None else blow.action
    room = 0 if blow is None else max(SMALLEST_DISK, int(blow.amount * stage.output_bytes))
    used = sum(each.stat().st_size for each in stage.disk.iterdir())
    size = f"{used + room}" if action == "disk full" else WHOLE_DISK
    # Spelled out, since mount would add the options of the mount that is there, which no user namespace may repeat.
    run("mount", "-i", "-n", "-t", "tmpfs", "-o", f"remount,size={size}", "tmpfs", str(stage.disk))
    if action == "file limit":
        return Preparation(before=("prlimit", f"--fsize={used + room}", "--"))
    if stage.case.fault == "clock":
        if FAKETIME is None:
            raise Skipped("libfaketime is not installed (Debian: apt-get install libfaketime)")
        stage.set_clock(0)
        return Preparation(
            environment=(
                ("LD_PRELOAD", str(FAKETIME)),
                ("FAKETIME_TIMESTAMP_FILE", str(stage.clock)),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("DONT_FAKE_MONOTONIC", "1"),
            )
        )
    return Preparation()


def _stop(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    victims = _victims(stage, scanner, blow.action)
    send(victims, signal.SIGSTOP)
    time.sleep(blow.seconds)
    send(victims, signal.SIGCONT)


def _victims(stage: Stage, scanner: Scanner, action: str) -> list[int]:
    workers = scanner.workers()
    if action.endswith("all"):
        return [scanner.process.pid, *workers]
    if action.endswith("worker") and workers:
        return [stage.random.choice(workers)]
    return [scanner.process.pid]


def _kill(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    name, _, _ = blow.action.partition(" ")
    victims = _victims(stage, scanner, blow.action)
    send(victims, signal.Signals[name])
    if blow.action.endswith("twice"):
        time.sleep(stage.random.uniform(0.0, 0.3))
        send(victims, signal.Signals[name])


def _cut(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    stage.slot.cut(blow.action)
    try:
        stage.pause(scanner, blow.seconds)
    finally:
        stage.slot.mend(blow.action)


def _jump(stage: Stage, _scanner: Scanner, blow: Blow) -> None:
    stage.set_clock(blow.amount)


def _kill_resolver(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    stage.stop_resolver()
    stage.pause(scanner, blow.seconds)
    if blow.seconds:
        stage.start_resolver()


def _silence_resolver(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    assert stage.resolver is not None
    os.kill(stage.resolver.pid, signal.SIGSTOP)
    stage.pause(scanner, blow.seconds)
    if blow.seconds:
        os.kill(stage.resolver.pid, signal.SIGCONT)


def _refuse(stage: Stage, scanner: Scanner, blow: Blow) -> None:
    stage.start_resolver("refuse")
    stage.pause(scanner, blow.seconds)
    if blow.seconds:
        stage.start_resolver()


def _nothing(_stage: Stage, _scanner: Scanner, _blow: Blow) -> None:
    """The disk was made small before the start."""


_ACTIONS: Final[dict[str, Callable[[Stage, Scanner, Blow], None]]] = {
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


def inject(stage: Stage, scanner: Scanner, blow: Blow, left: float, deadline: float) -> bool:
    """Do it at its moment; False where the scanner was through before, or did not get so far by the deadline.

    ``left`` is the share of the rows that this start still has to do.
    """
    if not scanner.wait_for_moment(blow.moment, int(stage.usual_packets * left), deadline):
        return False
    stage.workers = scanner.workers()
    _ACTIONS[blow.action](stage, scanner, blow)
    return True


def restore(stage: Stage, blow: Blow) -> None:
    """What a fault that lasts for ever has broken is mended before the scanner starts again."""
    if blow.action.startswith("resolver") and not blow.seconds:
        stage.start_resolver()
