"""The report of a torture run: one line for each fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.torture.cases import FAULTS, Case
from tests.torture.truth_check import Counts

COLUMNS: Final = ("cases", "done", "findings", "false", "not judged", "left", "lost", "doubled", "damaged", "hung")
# Any of these makes the run fail.
BAD: Final = ("false", "left", "lost", "doubled", "damaged", "hung")


@dataclass(slots=True)
class Result:
    """The result of one case; ``done`` counts the faults injected while the scanner was still running."""

    case: Case
    rows: int
    counts: Counts
    done: int
    statuses: tuple[int, ...]
    damaged: int = 0
    hung: bool = False
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, int]:
        """Return the figures for the columns of the table."""
        missing = self.counts.missing
        # Rows are not lost if the scanner reports that it was interrupted.
        interrupted = self.hung or (bool(self.statuses) and self.statuses[-1] == 3)
        return {
            "cases": 1,
            "done": self.done,
            "findings": self.rows - missing,
            "false": self.counts.false.total(),
            "not judged": self.counts.not_judged.total(),
            "left": missing if interrupted else 0,
            "lost": 0 if interrupted else missing,
            "doubled": self.counts.doubled,
            "damaged": self.damaged,
            "hung": int(self.hung),
        }

    def is_bad(self) -> bool:
        """Return whether the scanner did anything wrong in this case."""
        figures = self.figures()
        return any(figures[column] for column in BAD)

    def as_json(self) -> dict[str, Any]:
        """Return all details as a JSON object."""
        return {
            "fault": self.case.fault,
            "number": self.case.number,
            "case": self.case.describe(),
            **self.figures(),
            "false_findings": dict(self.counts.false),
            "not_judged_findings": dict(self.counts.not_judged),
            "statuses": list(self.statuses),
            "seconds": round(self.seconds, 1),
            "notes": self.notes,
        }


def totals(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """Return the figures of each fault, in the order of the faults."""
    by_fault: dict[str, Counter[str]] = {}
    for result in sorted(results, key=lambda each: list(FAULTS).index(each.case.fault)):
        by_fault.setdefault(result.case.fault, Counter()).update(result.figures())
    return by_fault


def table(results: Sequence[Result]) -> str:
    """Return the report as a Markdown table."""
    lines = ["| fault | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for fault, figures in totals(results).items():
        lines.append(f"| {fault} | " + " | ".join(f"{figures[column]:,}" for column in COLUMNS) + " |")
    return "\n".join(lines)


def details(results: Sequence[Result], *, most: int = 8) -> str:
    """Return, for below the table, what the false findings said and which cases to repeat."""
    lines: list[str] = []
    for fault in totals(results):
        bad = [each for each in results if each.case.fault == fault and each.is_bad()]
        false: Counter[str] = Counter()
        for result in bad:
            false.update(result.counts.false)
        if bad:
            lines.append(
                f"{fault}: cases {', '.join(str(each.case.number) for each in bad)} (repeat one: --only N {fault})"
            )
            lines += [f"    {times} x {what}" for what, times in false.most_common(most)]
            lines += [f"    case {each.case.number}: {note}" for each in bad for note in each.notes][:most]
    return "\n".join(lines)
