"""Measures the start of ``tlsweep --help``, and of an idle interpreter."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.measure import against_bar, run, table, tlsweep

BAR_SECONDS: Final = 0.25


def start_up(*, rounds: int) -> dict[str, Any]:
    """Measure ``rounds`` starts of each in turn, after one that fills the file system cache; print the medians."""
    commands = {"tlsweep --help": tlsweep("--help"), "python -c pass": [sys.executable, "-c", "pass"]}
    walls: dict[str, list[float]] = {name: [] for name in commands}
    cpus: dict[str, list[float]] = {name: [] for name in commands}
    print(f"\nStart-up, {rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="tlsweep-start-") as home:
        for number in range(rounds + 1):
            for name, argv in commands.items():
                cost = run(argv, home=Path(home), timeout=30)
                if cost.exit != 0:
                    print(f"{name}: exit status {cost.exit}")
                    return {"title": "start-up", "error": f"{name}: exit status {cost.exit}"}
                if number:
                    walls[name].append(cost.wall)
                    cpus[name].append(cost.cpu)
    rows = [
        (name, f"{statistics.median(walls[name]):.3f}", f"{statistics.median(cpus[name]):.3f}") for name in commands
    ]
    print(table(("", "seconds", "CPU s"), rows))
    wall = statistics.median(walls["tlsweep --help"])
    print(f"tlsweep --help, seconds: {against_bar(wall, BAR_SECONDS)}")
    return {"title": "start-up", "wall_s": walls, "cpu_s": cpus}
