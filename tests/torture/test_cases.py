from __future__ import annotations

from collections import Counter

import pytest

from tests.torture.cases import FAULTS, OUTPUT_FORMATS, SLOW_EVERY, WORKERS, make_case
from tests.torture.injection import _ACTIONS


@pytest.mark.parametrize("fault", FAULTS)
def test_a_case_of_a_seed_can_be_repeated_alone(fault: str) -> None:
    assert [make_case(fault, number, 7) for number in range(20)] == [
        make_case(fault, number, 7) for number in range(20)
    ]


def test_other_seeds_and_numbers_give_other_cases() -> None:
    assert (
        make_case("kill", 0, 1).injections != make_case("kill", 0, 2).injections != make_case("kill", 6, 2).injections
    )


def test_six_cases_have_every_output_with_one_worker_and_with_two() -> None:
    seen = {(case.output_format, case.workers) for case in (make_case("kill", number, 1) for number in range(6))}
    assert seen == {(output_format, workers) for output_format in OUTPUT_FORMATS for workers in WORKERS}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("short", [False, True])
def test_every_injection_has_an_action(fault: str, short: bool) -> None:
    for number in range(50):
        case = make_case(fault, number, 1, short=short)
        assert all(injection.action in _ACTIONS for injection in case.injections)
        assert case.describe().startswith(f"{fault} {number}: ")


def test_nightly_runs_have_the_numbers_that_a_release_needs() -> None:
    nightly = {
        name: [make_case(name, number, 1) for number in range(fault.nightly_times)] for name, fault in FAULTS.items()
    }
    assert [injection.seconds for case in nightly["stop"] for injection in case.injections] == [20] * 50
    assert [injection.seconds for case in nightly["outage-5"] for injection in case.injections] == [5] * 50
    assert [injection.seconds for case in nightly["outage-60"] for injection in case.injections] == [60] * 50
    # About a tenth of the injections come after the scan has ended and do not count.
    assert sum(len(case.injections) for case in nightly["kill"]) >= 350
    assert sum(len(case.injections) for case in nightly["disk"]) >= 50


def test_every_kind_of_outage_and_kill_comes_up() -> None:
    outages = Counter(make_case("outage-5", number, 1).injections[0].action for number in range(50))
    assert set(outages) == {"link down", "silence", "no carrier"}
    kills = Counter(injection.action for number in range(130) for injection in make_case("kill", number, 1).injections)
    assert len(kills) == 7


def test_short_cases_have_no_slow_rows() -> None:
    assert make_case("none", 2, 1).slow
    assert not any(make_case("none", number, 1, short=True).slow for number in range(SLOW_EVERY))
