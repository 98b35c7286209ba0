"""A resolution's seconds, and what is noted on the way."""

from __future__ import annotations

from scanner.net.dns.query_budget import QueryBudget


def test_a_budget_begins_whole_and_with_nothing_noted() -> None:
    plain, patient = QueryBudget(3.0), QueryBudget(6.0, unhurried=True)
    assert (plain.left, plain.unhurried, plain.crowded, plain.mark) == (3.0, False, False, 0)
    assert (patient.left, patient.unhurried, patient.crowded, patient.mark) == (6.0, True, False, 0)
