"""The scan of the demo's fleet: the command line that a user would type, and a second scan by a clock that is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from scanner.demo.fleet import Fleet
from scanner.errors import UsageProblem
from scanner.run.inventory_scan import InventoryScan, ScanOptions, ShowProgress

# Files that the demo makes; a directory with other files is not its own and is left alone.
FILES: Final = frozenset(
    {"inventory.csv", "roots.pem", "ctlogs.json", "findings.ndjson", "certificates.ndjson", "report.html"}
)
# Its DNS server is on this machine: what has not answered after so many seconds never will.
DNS_PATIENCE: Final = 2.0


def use_directory(directory: str) -> Path:
    """Return the path of the demo's directory, made if it does not exist. Raises ``UsageProblem`` if it holds other files."""
    path = Path(directory)
    try:
        path.mkdir(parents=True, exist_ok=True)
        foreign = {entry.name for entry in path.iterdir()} - FILES
    except OSError as error:
        raise UsageProblem(f"cannot use {directory}: {error.strerror}") from None
    if foreign:
        raise UsageProblem(f"{directory} holds other files ({sorted(foreign)[0]}): name an empty or a new directory")
    return path


async def scan_fleet(
    fleet: Fleet,
    path: Path,
    parse: Callable[[list[str]], ScanOptions],
    show_progress: ShowProgress | None,
    log: Callable[[str], None],
    announce: Callable[[str], None],
) -> InventoryScan:
    """Scan the fleet, and return the last scan, whose output has all findings.

    ``parse`` reads the words of a command line; ``announce`` is called with a line before a further scan.
    """
    other_clocks = {row.host: row.case.clock_offset for row in fleet.rows if row.case.clock_offset}
    options = _patient(parse(command_line(fleet, path)))
    scan = InventoryScan(options, log, wanted=lambda row: row.host not in other_clocks)
    await scan.run(show_progress)
    for clock_offset in sorted(set(other_clocks.values())):
        if scan.interrupted:
            break
        announce(
            f"Once more, by a clock that is {abs(clock_offset.days)} days {'behind' if clock_offset.days < 0 else 'ahead'} ..."
        )
        options = _patient(parse(command_line(fleet, path, again=True)))
        scan = InventoryScan(options, log, clock=partial(_time_by_clock, clock_offset), fragments=scan.fragments)
        await scan.run()
    return scan


def _time_by_clock(off: timedelta) -> float:
    return time.time() + off.total_seconds()


def _patient(options: ScanOptions) -> ScanOptions:
    return replace(options, config=replace(options.config, dns_patience=DNS_PATIENCE))


def command_line(fleet: Fleet, path: Path, *, again: bool = False) -> list[str]:
    """Return the words with which a user would scan the fleet."""
    words = [str(fleet.inventory), "-o", str(path / "findings.ndjson"), "--resume" if again else "--force"]
    for server in fleet.time_servers:
        words += ["--ntp", server]
    words += ["--certificates", str(path / "certificates.ndjson")]
    words += ["--resolver", fleet.resolver, "--trust-store", str(fleet.roots)]
    words += ["--public-roots", str(fleet.roots), "--ct-logs", str(fleet.ct_logs)]
    for name, value in fleet.config_hints.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(str(value))
    return words
