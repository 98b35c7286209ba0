"""Statistics by several processes: files are cut into parts, each is counted by itself, and the statistics are merged."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import pairwise
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Final

from scanner.fleet.stats.columns import Columns, columns_of
from scanner.fleet.stats.fleet_stats import FleetStats
from scanner.fleet.stats.run_counts import CountingFailed
from scanner.lines import compression_of
from scanner.output import NotFindings, Unreadable, read_batches, read_part
from scanner.output.reader import Batch
from scanner.process.limits import collect_seldom
from scanner.process.signals import SIGNALS
from scanner.text import quoted

# A part smaller than this costs more to hand out than to read.
LEAST_PART: Final = 8 << 20
# Where there is enough, each process has so many parts to do: one that others hold up then takes fewer. More would only be
# added up oftener, which takes some 10 ms each.
PARTS_EACH: Final = 4
ENOUGH: Final = 8 * LEAST_PART
# More processes than this read one disk no faster.
MAX_WORKERS: Final = 64
# Bytes of lines that are counted together: beside the work on so many, what each batch costs by itself is little.
BATCH_BYTES: Final = 1 << 20

Part = tuple[str, int, int]  # path, first byte, byte after the last; an end below zero is all of the file


def fold_files(paths: Sequence[str], by: Sequence[str], workers: int = 1, max_targets: int = 0) -> FleetStats:
    """Return statistics of all findings in the files; ``max_targets`` as for ``FleetStats``.

    Raises what reading them raises, and ``CountingFailed``.
    """
    parts = [part for path in paths for part in parts_of(path, workers)] if workers > 1 else []
    if len(parts) < 2:
        return _fold_here(paths, by, max_targets)
    total = FleetStats(by, max_targets)
    found: dict[str, int] = dict.fromkeys(paths, 0)
    try:
        with ProcessPoolExecutor(min(workers, len(parts)), mp_context=_context(), initializer=_begin) as pool:
            try:
                fold = partial(_fold_part, by=tuple(by), max_targets=max_targets)
                for part, folded in zip(parts, pool.map(fold, parts), strict=True):
                    found[part[0]] += folded.counts.total.findings
                    total.merge(folded)
            except BaseException:
                for child in multiprocessing.active_children():  # their results are not needed any more
                    child.kill()
                raise
    except BrokenProcessPool as error:
        raise CountingFailed("a process that counted was ended from outside; try fewer --workers") from error
    for path, findings in found.items():
        if not findings:
            raise NotFindings(f"{quoted(path, 200)[1:-1]} holds no findings")
    return total


def _begin() -> None:
    """Prepare a process of the pool: a signal to all processes ends only their parent, and they end when it does."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    collect_seldom()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _context() -> BaseContext:
    """Return how to start processes: a fork need not load all modules again, which takes a second; with threads it may hang."""
    forks = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if forks else "spawn")


def parts_of(path: str, workers: int) -> list[Part]:
    """Return a plain file in parts of whole lines; anything else (compressed, standard input, a pipe) as one."""
    whole = [(path, 0, -1)]
    if path == "-" or not os.path.isfile(path):
        return whole
    try:
        with open(path, "rb") as file:
            if compression_of(file.read(8)) != "none":
                return whole
        size = os.path.getsize(path)
    except OSError:
        return whole
    count = max(min(workers, max(1, size // LEAST_PART)), min(PARTS_EACH * workers, size // ENOUGH))
    if count == 1:
        return whole
    edges = [size * number // count for number in range(count + 1)]
    return [(path, start, end) for start, end in pairwise(edges)]


def _fold_here(paths: Sequence[str], by: Sequence[str], max_targets: int) -> FleetStats:
    make = partial(columns_of, by=by, samples=max_targets > 0)
    return _fold(FleetStats(by, max_targets), read_batches(paths, make, batch_bytes=BATCH_BYTES))


def _fold_part(part: Part, by: Sequence[str], max_targets: int) -> FleetStats:
    path, start, end = part
    if end < 0:
        return _fold_here([path], by, max_targets)
    make = partial(columns_of, by=by, samples=max_targets > 0)
    return _fold(FleetStats(by, max_targets), read_part(path, start, end, make, batch_bytes=BATCH_BYTES))


def _fold(statistics: FleetStats, batches: Iterable[Batch[Columns]]) -> FleetStats:
    for columns, others in batches:
        if columns is not None:
            statistics.fold(columns)
        for one in others:
            if isinstance(one, Unreadable):
                statistics.add_line(one)
            else:
                statistics.add(one)
    return statistics
