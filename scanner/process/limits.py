"""Limits of this process: cores, open files, and how often the interpreter collects garbage."""

from __future__ import annotations

import gc
import os
from typing import Final

# Objects made between two garbage collections: twice what loading makes, or those of some hundred probes.
GC_THRESHOLD: Final = 100_000
# More processes than this would only wait for the one that reads and writes.
MAX_WORKERS: Final = 256


def cores() -> int:
    """Return the number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def files_left() -> int | None:
    """Return how many more files this process may open; ``None`` if there is no limit or it is not known."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        # the listing counts its own descriptor
        return max(limit - len(os.listdir("/dev/fd")) + 1, 0)
    except (ImportError, OSError):
        return None


def places(wanted: int, left: int | None, *, each: int, reserved: int) -> int:
    """Return how many of ``wanted`` fit into ``left`` files, at ``each`` files apiece beside ``reserved`` ones; at least one."""
    return wanted if left is None else max(1, min(wanted, (left - reserved) // each))


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard one: thousands of connections need thousands of files."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            pass  # macOS reports a hard limit that cannot be set


def collect_seldom() -> None:
    """Make the cyclic garbage collector run seldom, and ignore what was loaded before a scan.

    By default it walks all modules several times a second for next to nothing: a probe leaves hardly any cycles.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
