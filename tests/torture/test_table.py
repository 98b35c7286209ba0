from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.torture.cases import make_case
from tests.torture.table import Result, details, table
from tests.torture.truth_check import Counts


def result(fault: str = "stop", number: int = 0, *, statuses: tuple[int, ...] = (0,), **changes: Any) -> Result:
    counts = Counts(
        **{key: changes.pop(key) for key in ("false", "not_judged", "missing", "doubled") if key in changes}
    )
    return Result(make_case(fault, number, 1), 100, counts, 1, statuses, **changes)


def test_each_fault_has_a_line_with_the_sums_of_its_cases() -> None:
    lines = table(
        [result("kill", missing=2, statuses=(-9, 0)), result(false=Counter(x=3)), result(number=1, false=Counter(y=4))]
    ).splitlines()
    assert lines[0] == (
        "| fault | cases | done | findings | false | not judged | left | lost | doubled | damaged | hung |"
    )
    assert lines[2] == "| stop | 2 | 2 | 200 | 7 | 0 | 0 | 0 | 0 | 0 | 0 |"
    assert lines[3] == "| kill | 1 | 1 | 98 | 0 | 0 | 0 | 2 | 0 | 0 | 0 |"
    assert len(lines) == 4


@pytest.mark.parametrize(("statuses", "column"), [((0,), "lost"), ((3, 2), "lost"), ((3, 3), "left")])
def test_missing_rows_of_an_interrupted_scan_are_left_not_lost(statuses: tuple[int, ...], column: str) -> None:
    figures = result(missing=5, statuses=statuses).figures()
    assert {name: figures[name] for name in ("left", "lost")} == {"left": 0, "lost": 0} | {column: 5}


def test_missing_rows_of_a_killed_scan_are_left() -> None:
    figures = result(missing=5, statuses=(-9,), hung=True).figures()
    assert (figures["left"], figures["lost"], figures["hung"]) == (5, 0, 1)


@pytest.mark.parametrize(
    "changes",
    [{"false": Counter(x=1)}, {"missing": 1}, {"doubled": 1}, {"damaged": 1}, {"hung": True}],
    ids=lambda changes: next(iter(changes)),
)
def test_anything_wrong_makes_a_case_bad(changes: dict[str, Any]) -> None:
    assert result(**changes).is_bad()


def test_targets_that_were_not_judged_do_not_make_a_case_bad() -> None:
    assert not result(not_judged=Counter(x=1)).is_bad()
    assert details([result(not_judged=Counter(x=1))]) == ""


def test_details_name_the_cases_to_repeat_and_the_false_findings() -> None:
    text = details(
        [result(), result(number=3, false=Counter({"tls13: fail": 9})), result("disk", 2, damaged=1, notes=["no end"])]
    )
    assert text.splitlines() == [
        "stop: cases 3 (repeat one: --only N stop)",
        "    9 x tls13: fail",
        "disk: cases 2 (repeat one: --only N disk)",
        "    case 2: no end",
    ]
