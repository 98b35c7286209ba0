from __future__ import annotations

import gc
import resource

from scanner.process import GC_THRESHOLD, collect_seldom, raise_file_limit


def test_the_file_limit_is_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(before[0], 200), before[1]))
        raise_file_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_collector_still_runs() -> None:
    before = gc.get_threshold()
    try:
        collect_seldom()
        assert gc.isenabled()
        assert gc.get_threshold()[0] == GC_THRESHOLD
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
