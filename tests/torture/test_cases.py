from __future__ import annotations

from collections import Counter

import pytest

from tests.torture.cases import FAULTS, FORMS, SLOW_EVERY, WORKERS, make_case
from tests.torture.injecting import _ACTIONS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_case_of_a_seed_can_be_repeated_alone(fault: str) -> None:
    assert [make_case(fault, number, 7) for number in range(20)] == [
        make_case(fault, number, 7) for number in range(20)
    ]


def test_other_seeds_and_numbers_give_other_cases() -> None:
    assert make_case("kill", 0, 1).blows != make_case("kill", 0, 2).blows != make_case("kill", 6, 2).blows


def test_six_cases_have_every_output_with_one_worker_and_with_two() -> None:
    seen = {(case.form, case.workers) for case in (make_case("kill", number, 1) for number in range(6))}
    assert seen == {(form, workers) for form in FORMS for workers in WORKERS}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("short", [False, True])
def test_every_blow_can_be_done(fault: str, short: bool) -> None:
    for number in range(50):
        case = make_case(fault, number, 1, short=short)
        assert all(blow.action in _ACTIONS for blow in case.blows)
        assert case.describe().startswith(f"{fault} {number}: ")


def test_nights_have_the_numbers_that_a_release_needs() -> None:
    nightly = {
        name: [make_case(name, number, 1) for number in range(fault.nightly_times)] for name, fault in FAULTS.items()
    }
    assert [blow.seconds for case in nightly["stop"] for blow in case.blows] == [20] * 50
    assert [blow.seconds for case in nightly["outage-5"] for blow in case.blows] == [5] * 50
    assert [blow.seconds for case in nightly["outage-60"] for blow in case.blows] == [60] * 50
    # A blow that comes when the scan is through is none: a tenth of them does.
    assert sum(len(case.blows) for case in nightly["kill"]) >= 350
    assert sum(len(case.blows) for case in nightly["disk"]) >= 50


def test_every_kind_of_outage_and_kill_comes_up() -> None:
    outages = Counter(make_case("outage-5", number, 1).blows[0].action for number in range(50))
    assert set(outages) == {"link down", "silence", "no carrier"}
    kills = Counter(blow.action for number in range(130) for blow in make_case("kill", number, 1).blows)
    assert len(kills) == 7


def test_short_cases_have_no_slow_rows() -> None:
    assert make_case("none", 2, 1).slow
    assert not any(make_case("none", number, 1, short=True).slow for number in range(SLOW_EVERY))
