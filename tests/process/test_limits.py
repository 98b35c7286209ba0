from __future__ import annotations

import gc
import os
import resource

import pytest

from scanner.process.limits import GC_THRESHOLD, collect_seldom, files_left, places, raise_file_limit


def test_the_file_limit_is_raised_to_the_hard_limit() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 200), before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_garbage_collector_still_runs() -> None:
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == GC_THRESHOLD
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@pytest.mark.parametrize(
    ("wanted", "left", "expected"), [(1000, None, 1000), (1000, 5000, 1000), (1000, 100, 30), (1000, 5, 1), (2, 100, 2)]
)
def test_places_are_as_many_as_files_allow_and_at_least_one(wanted: int, left: int | None, expected: int) -> None:
    assert places(wanted, left, each=3, reserved=10) == expected


def test_each_open_file_leaves_one_less() -> None:
    before = files_left()
    assert before is not None
    with open(os.devnull) as _, open(os.devnull) as _:
        assert files_left() == before - 2
    assert files_left() == before
