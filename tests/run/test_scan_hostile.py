"""Hostile certificates beside healthy targets: nobody's finding changes, and each chain ends within its budget."""

from __future__ import annotations

from collections import Counter

import pytest

from scanner.trust import paths
from scanner.trust.step_budget import MAX_STEPS, StepBudget
from scanner.x509.certificate import Certificate
from scanner.x509.name_constraints import ConstrainedNames
from tests.helpers import pki
from tests.helpers.network import Scenario, Step
from tests.helpers.scanning import codes, healthy, row, scanned, sending
from tests.trust.test_path_search import maze

HEALTHY = 500
# Work is charged before it is done; the last piece alone may be more than was left, and it is not done.
LAST_PIECE = 10_000


def test_hostile_chains_do_not_change_findings_of_healthy_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets: list[StepBudget] = []
    made = Counter[str]()

    class Watched(StepBudget):
        def __init__(self, limit: int = MAX_STEPS) -> None:
            super().__init__(limit)
            budgets.append(self)
            made.clear()

    prepare = paths.constrained_names

    def counted(certificate: Certificate) -> ConstrainedNames:
        made[certificate.sha256] += 1
        assert made[certificate.sha256] == 1, "the names of a certificate are prepared once for a chain"
        return prepare(certificate)

    monkeypatch.setattr(paths, "StepBudget", Watched)
    monkeypatch.setattr(paths, "constrained_names", counted)
    nowhere = pki.root("Nowhere")
    shapes = [(kind, *shape) for kind in ("directory", "address", "dns") for shape in ((4, 2), (24, 10), (24, 3))]
    mazes = [maze(issuers, depth, kind=kind, names=60, constraints=40, top=nowhere) for kind, issuers, depth in shapes]
    mazes.append(maze(24, 10, top=nowhere))
    hosts = [f"h{number}.example" for number in range(HEALTHY)] + [f"m{number}.example" for number in range(len(mazes))]
    steps = {
        f"10.0.{place >> 8}.{place & 255}": Step(0.05, healthy if place < HEALTHY else sending(*mazes[place - HEALTHY]))
        for place in range(len(hosts))
    }
    scenario = Scenario(steps, {host: [address] for host, address in zip(hosts, steps, strict=True)})
    # the hostile ones first, so that all others come after them
    rows = [row(number, host) for number, host in enumerate([*hosts[HEALTHY:], *hosts[:HEALTHY]], 1)]
    findings = scanned(scenario, rows)
    outcomes = {name: Counter[str]() for name in "hm"}
    for finding in findings:
        outcomes[str(finding["target"]["host"])[0]][finding["outcome"]] += 1
    assert outcomes == {"h": {"ok": HEALTHY}, "m": {"fail": len(mazes)}}
    costly = [finding for finding in findings if "too-costly-to-judge" in codes(finding)]
    assert len(costly) >= 4
    assert all(finding["cause"] == "chain-validation" for finding in costly)
    assert all(budget.left > -LAST_PIECE for budget in budgets)
    # for the follow-ups and for the finding, at most; what is met again is remembered
    assert len(mazes) <= len(budgets) <= 4 * len(mazes) + 10
