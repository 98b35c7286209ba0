"""What a process that scans asks of its system and of its interpreter, once, before it starts."""

from __future__ import annotations

import gc
import os
from typing import Final

# Objects made between two collections: twice what loading makes, or some hundred probes' worth.
GC_THRESHOLD: Final = 100_000
# More processes than this would wait for the one that reads and writes.
MAX_WORKERS: Final = 256


def cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def files_left() -> int | None:
    """How many more files this process may open; ``None`` where that cannot be told or there is no limit."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        # the listing itself is one of them
        return max(limit - len(os.listdir("/dev/fd")) + 1, 0)
    except (ImportError, OSError):
        return None


def places(wanted: int, left: int | None, *, each: int, reserved: int) -> int:
    """As many of ``wanted`` as ``left`` files allow, at ``each`` files apiece beside those ``reserved``; at least one."""
    return wanted if left is None else max(1, min(wanted, (left - reserved) // each))


def raise_file_limit() -> None:
    """The open-file limit goes up to the hard one: thousands of connections need thousands of files."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            pass  # macOS reports a hard limit that may not be set: go on with what there is


def collect_seldom() -> None:
    """Have the cyclic collector look at what a scan makes, seldom, and never again at what was loaded before it.

    By default it walks all modules several times a second for next to nothing: a probe leaves hardly any cycles.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
