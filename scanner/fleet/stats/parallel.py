"""Statistics by several processes: files are cut into parts, each is folded by itself, and the folds are added."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import pairwise
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from typing import Any, Final

from scanner.fleet.stats.columns import Batch
from scanner.fleet.stats.counts import CountingFailed
from scanner.fleet.stats.statistics import Statistics
from scanner.lines import compression_of
from scanner.output import NotFindings, Unreadable, read_made, read_part
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

Part = tuple[str, int, int]  # path, first byte, byte after the last; an end below zero is all of the file


def fold_files(paths: Sequence[str], by: Sequence[str], workers: int = 1) -> Statistics:
    """Statistics of all findings in the files. Raises what reading them raises, and ``CountingFailed``."""
    parts = [part for path in paths for part in parts_of(path, workers)] if workers > 1 else []
    if len(parts) < 2:
        return _fold_here(paths, by)
    total = Statistics(by)
    found: dict[str, int] = dict.fromkeys(paths, 0)
    try:
        with ProcessPoolExecutor(min(workers, len(parts)), mp_context=_context(), initializer=_begin) as pool:
            try:
                for part, folded in zip(parts, pool.map(_fold_part, parts, [tuple(by)] * len(parts)), strict=True):
                    found[part[0]] += folded.total.findings
                    total.merge(folded)
            except BaseException:
                for child in multiprocessing.active_children():  # nobody wants what they are at any more
                    child.kill()
                raise
    except BrokenProcessPool as error:
        raise CountingFailed("a process that counted was ended from outside; try fewer --workers") from error
    for path, findings in found.items():
        if not findings:
            raise NotFindings(f"{quoted(path, 200)[1:-1]} holds no findings")
    return total


def _begin() -> None:
    """Prepare a process of the pool: a signal to all of them ends only their parent, and they end when it does."""
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
    """A fork has all modules at hand, which saves the second that loading them again takes; with threads it may hang."""
    forks = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork" if forks else "spawn")


def parts_of(path: str, workers: int) -> list[Part]:
    """A plain file in parts of whole lines; anything else (compressed, standard input, a pipe) as one."""
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


def _fold_here(paths: Sequence[str], by: Sequence[str]) -> Statistics:
    statistics = Statistics(by)
    return _fold(statistics, read_made(paths, statistics.batch))


def _fold_part(part: Part, by: Sequence[str]) -> Statistics:
    path, start, end = part
    if end < 0:
        return _fold_here([path], by)
    statistics = Statistics(by)
    return _fold(statistics, read_part(path, start, end, statistics.batch))


def _fold(
    statistics: Statistics, read: Iterator[tuple[Batch[Any] | None, list[dict[str, Any] | Unreadable]]]
) -> Statistics:
    for batch, others in read:
        if batch is not None:
            statistics.fold(batch)
        for one in others:
            if isinstance(one, Unreadable):
                statistics.add_line(one)
            else:
                statistics.add(one)
    return statistics
