from __future__ import annotations

from collections import Counter

import pytest

from tests.torture.__main__ import SHORT_TARGETS, parse, plan
from tests.torture.cases import FAULTS, make_case


def test_every_fault_is_run_and_the_faults_alternate() -> None:
    cases = plan(parse(["--seed", "3", "--times", "2"]))
    assert Counter(case.fault for case in cases) == dict.fromkeys(FAULTS, 2)
    assert [case.fault for case in cases[: len(FAULTS)]] == list(FAULTS)


def test_one_case_can_be_repeated_alone() -> None:
    assert plan(parse(["kill", "--seed", "7", "--only", "17"])) == [make_case("kill", 17, 7)]


def test_nightly_runs_have_more_cases() -> None:
    day, night = (Counter(case.fault for case in plan(parse(["--seed", "1", *more]))) for more in ([], ["--nightly"]))
    assert all(night[fault] >= day[fault] > 0 for fault in FAULTS)
    assert night == {fault.name: fault.nightly_times for fault in FAULTS.values()}


def test_short_has_one_small_case_of_each_fault() -> None:
    options = parse(["--short", "--seed", "1"])
    assert options.targets == SHORT_TARGETS
    assert [case.fault for case in plan(options)] == list(FAULTS)
    assert all(injection.seconds <= 8 for case in plan(options) for injection in case.injections)


def test_a_seed_is_chosen_if_none_is_given() -> None:
    assert len({parse([]).seed for _ in range(20)}) > 1


def test_unknown_faults_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(["kill", "earthquake"])
    assert refused.value.code == 2
    assert "no such fault: earthquake" in capsys.readouterr().err
