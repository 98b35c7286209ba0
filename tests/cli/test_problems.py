from __future__ import annotations

import pytest

from scanner.cli import UsageProblem
from scanner.cli.problems import one_line_problems
from scanner.inventory import InventoryError
from scanner.output import OutputError
from scanner.run.pool import WorkersFailed


@pytest.mark.parametrize(
    "error",
    [
        InventoryError("is empty"),
        ExceptionGroup("nursery", [OutputError("is empty")]),
        ExceptionGroup("outer", [ExceptionGroup("inner", [WorkersFailed("is empty")])]),
        ExceptionGroup("two", [OutputError("is empty"), OutputError("other")]),
        UsageProblem("is empty"),
    ],
)
def test_what_a_person_can_mend_is_told(error: Exception) -> None:
    with pytest.raises(UsageProblem, match="is empty"), one_line_problems():
        raise error


@pytest.mark.parametrize(
    "error", [ValueError("ours"), ExceptionGroup("mixed", [OutputError("theirs"), ValueError("ours")])]
)
def test_our_own_faults_are_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, one_line_problems():
        raise error
    assert raised.value is error


def test_a_reader_that_has_gone_is_no_problem() -> None:
    with pytest.raises(BrokenPipeError), one_line_problems():
        raise ExceptionGroup("nursery", [BrokenPipeError()])
