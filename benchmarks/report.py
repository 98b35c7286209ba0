"""Measures ``tlsweep report`` on a large estate: CPU, memory, and the size of the page."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks.measure import CommandError, against_bar, run, table, tlsweep
from tests.helpers.estate import estate

BAR_CPU_SECONDS: Final = 10.0
BAR_BYTES: Final = 3_000_000
# Share of unhealthy targets: of a well-kept estate, and of the demo's fleet.
BROKEN: Final = (0.1, 0.75)


def page(*, findings: int, rounds: int) -> dict[str, Any]:
    """Measure reports on findings derived from those of the demo, also with a comparison to the night before."""
    results: list[dict[str, Any]] = []
    print(f"\nA report on {findings:,} findings, best of {rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(prefix="tlsweep-report-") as name:
        home = Path(name)
        cost = run(tlsweep("demo", str(home / "demo")), home=home, timeout=120)
        if cost.exit != 0:
            raise CommandError(f"the demo ended with {cost.exit}")
        templates = [orjson.loads(line) for line in (home / "demo" / "findings.ndjson").read_bytes().splitlines()]
        for broken in BROKEN:
            nights = [_night(home / f"{night}.ndjson", templates, findings, broken, night) for night in (0, 1)]
            for since in (False, True):
                if since and broken != BROKEN[0]:
                    continue
                words = ["report", str(nights[1]), "-o", str(home / "report.html"), "--force"]
                words += ["--since", str(nights[0])] if since else []
                costs = [run(tlsweep(*words), home=home, timeout=600) for _ in range(rounds)]
                if any(cost.exit for cost in costs):
                    raise CommandError("the report was not made")
                results.append(
                    {
                        "broken": broken,
                        "since": since,
                        "input_bytes": nights[1].stat().st_size,
                        "cpu_s": min(cost.cpu for cost in costs),
                        "peak_bytes": max(cost.peak for cost in costs),
                        "page_bytes": (home / "report.html").stat().st_size,
                    }
                )
    rows = [
        (
            f"{one['broken']:.0%} not in order{', since the night before' if one['since'] else ''}",
            f"{one['input_bytes'] / 1e6:.0f}",
            f"{one['cpu_s']:.1f}",
            f"{one['peak_bytes'] / 1e6:.0f}",
            f"{one['page_bytes'] / 1e6:.2f}",
        )
        for one in results
    ]
    print(table(("", "findings, MB", "CPU s", "memory, MB", "page, MB"), rows))
    print(f"CPU seconds: {against_bar(results[0]['cpu_s'], BAR_CPU_SECONDS)}")
    print(f"MB of the largest page: {against_bar(max(one['page_bytes'] for one in results) / 1e6, BAR_BYTES / 1e6)}")
    return {"title": "report", "findings": findings, "results": results}


def _night(path: Path, templates: list[dict[str, Any]], findings: int, broken: float, night: int) -> Path:
    with open(path, "wb") as file:
        file.writelines(estate(templates, findings, broken=broken, night=night))
    return path
