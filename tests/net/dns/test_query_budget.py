"""A resolution's seconds, and what is noted on the way."""

from __future__ import annotations

from scanner.net.dns.query_budget import QueryBudget


def test_budget_is_spent_when_nothing_is_left() -> None:
    budget = QueryBudget(3.0)
    assert [budget.spent, budget.unhurried, budget.crowded] == [False] * 3
    budget.left -= 3.0
    assert budget.spent
    assert QueryBudget(1.0, unhurried=True).unhurried
