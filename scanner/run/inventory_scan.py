"""Scans a whole inventory into its outputs, in this process or in several, until the end, a signal, or a lost network.

What can be wrong with the inputs is read and checked when an ``InventoryScan`` is made, before an output is touched or a target
contacted.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from msgspec import Struct, field
from msgspec.structs import replace

from scanner.codec.certificate_dedup import Fragments
from scanner.errors import UsageProblem, innermost
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.fleet.stats.run_counts import RunCounts
from scanner.inventory import Inventory, count_rows_hint, open_inventory
from scanner.model.config import ScanConfig
from scanner.net.clocks import WallClock
from scanner.net.outage import NetworkLost
from scanner.output import Completed, OutputClosed
from scanner.output.reader import read_findings
from scanner.process import signals
from scanner.process.limits import collect_seldom, raise_file_limit
from scanner.run.inputs import RunInputs, make_judgement, new_run_id
from scanner.run.outputs import open_outputs
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks, ScanStatistics
from scanner.run.wiring import open_run
from scanner.starttls import PROTOCOLS
from scanner.text import span

if TYPE_CHECKING:
    from scanner.run.worker import Report

# Tries, and seconds between them, for closing an inventory that a thread is reading.
CLOSING_TRIES: Final = 250
CLOSING_WAIT: Final = 0.02

# Shows the statistics until it is cancelled: the arguments return the counts, the number of all rows if it is known, and the
# rows that the resumed run had done.
ShowProgress = Callable[[Callable[[], ScanStatistics], Callable[[], int | None], int], Awaitable[None]]


class ScanOptions(Struct, frozen=True, kw_only=True):
    """What the command line of a scan asks for."""

    inventory: str
    config: ScanConfig
    inputs: RunInputs
    fail_on: frozenset[str] = frozenset()
    output: str | None = None
    certificates: str | None = None
    force: bool = False
    resume: bool = False
    workers: int = 1
    # only say what is not as it always is
    brief: bool = False
    # meaning -> column of the inventory that has it, where that is said by hand
    columns: Mapping[str, str] = field(default_factory=dict)


class InventoryScan:
    """One scan of an inventory, whose inputs and outputs are open.

    ``log`` is called with lines for the user, ``wanted`` selects rows. ``fragments`` are those of an earlier scan into the same
    output, which has their certificates in full. The default ``clock`` is this machine's.
    """

    def __init__(
        self,
        options: ScanOptions,
        log: Callable[[str], None],
        *,
        clock: Callable[[], float] | None = None,
        fragments: Fragments | None = None,
        wanted: Callable[[Row], bool] | None = None,
    ) -> None:
        """Open the inputs and outputs. Raises a ``TlsweepError`` if anything is wrong with them; nothing is contacted."""
        self.fragments = fragments or Fragments()
        self.interrupted = False
        self._log = log
        self._clock = clock or WallClock()
        self._logged: set[str] = set()
        self._clock_logged = False
        self._show_progress: ShowProgress | None = None
        self._total: int | None = None
        if options.inputs.earlier is not None:
            next(read_findings([options.inputs.earlier]), None)  # raises if no line is a finding
        with ExitStack() as files:
            inventory = _open_inventory(options, files, log)
            rows = inventory.rows
            warnings = inventory.layout.warnings()
            if warnings:
                options = replace(options, inputs=replace(options.inputs, warnings=tuple(warnings)))
            self._judgement = make_judgement(
                options.config, options.inputs, run_id=new_run_id(time.time()), fragments=self.fragments
            )
            self._outputs, done = open_outputs(
                files,
                options.output,
                options.certificates,
                force=options.force,
                resume=options.resume,
                fail_on=options.fail_on,
            )
            self._already = 0 if done is None else len(done)
            if done is not None:
                rows = _remaining(rows, done)
            self._rows = rows if wanted is None else filter(wanted, rows)
            self._files = files.pop_all()
        self._options = options
        for remark in inventory.remarks(brief=options.brief):
            log(remark)
        for warning in warnings:
            log(f"warning: {warning}")

    @property
    def counts(self) -> RunCounts:
        """The counts over all findings of the output."""
        return self._outputs.counts

    @property
    def matched(self) -> bool:
        """Whether a finding of the output matches ``--fail-on``."""
        return self._outputs.fail_on.matched

    async def run(self, show_progress: ShowProgress | None = None) -> None:
        """Scan to the end or to a signal, then close the files. ``interrupted`` tells which."""
        raise_file_limit()
        collect_seldom()
        self._show_progress = show_progress
        try:
            with self._files:
                await self._run()
        except* OutputClosed:
            # the reader of our standard output has gone, as after `| head`
            self.interrupted = True
        except* NetworkLost as group:
            self.interrupted = True
            self._log(str(innermost(group)))

    async def _run(self) -> None:
        async with trio.open_nursery() as nursery:

            def stop() -> None:
                self.interrupted = True
                nursery.cancel_scope.cancel()

            with signals.on_signal(partial(trio.lowlevel.current_trio_token().run_sync_soon, stop)):
                nursery.start_soon(self._outputs.keep_flushing)
                if self._options.workers == 1:
                    await self._scan(nursery)
                else:
                    await self._scan_with_workers(nursery)
                nursery.cancel_scope.cancel()

    async def _scan(self, nursery: trio.Nursery) -> None:
        options = self._options
        callbacks = Callbacks(
            on_finding=self._outputs.on_finding,
            on_judged=self._outputs.on_judged,
            on_clock_wrong=lambda fleet: self._on_clock_wrong(fleet.clock),
            log=self._log,
        )
        async with open_run(options.config, options.inputs, self._judgement, callbacks, clock=self._clock) as run:
            self._show(nursery, run.scan.statistics)
            await run.run(self._rows)

    async def _scan_with_workers(self, nursery: trio.Nursery) -> None:
        from scanner.run.pool import WorkerPool
        from scanner.run.worker import Assignment  # most runs have one process

        assignment = Assignment(
            config=self._options.config,
            inputs=self._options.inputs,
            run_id=self._judgement.run_id,
            certificates=self._outputs.on_judged is not None,
            wall_offset=self._clock.offset if isinstance(self._clock, WallClock) else None,
        )
        on_finding = self._outputs.on_finding
        pool = WorkerPool(
            assignment, self._options.workers, on_finding=on_finding, on_report=self._on_report, log=self._log
        )
        self._show(nursery, pool.statistics)
        await pool.run(self._rows)

    def _on_report(self, report: Report) -> None:
        self._outputs.on_report(report)
        if report.clock is not None:
            self._on_clock_wrong(report.clock)
        for warning in report.warnings:
            if warning not in self._logged:  # other processes may have the same
                self._logged.add(warning)
                self._log(warning)

    def _on_clock_wrong(self, clock: ClockVerdict) -> None:
        if not self._clock_logged:
            self._clock_logged = True
            self._log(clock_warning(clock))

    def _show(self, nursery: trio.Nursery, statistics: Callable[[], ScanStatistics]) -> None:
        if self._show_progress is not None:
            nursery.start_soon(self._count_rows)
            nursery.start_soon(self._show_progress, statistics, lambda: self._total, self._already)

    async def _count_rows(self) -> None:
        self._total = await trio.to_thread.run_sync(count_rows_hint, self._options.inventory, abandon_on_cancel=True)


def _open_inventory(options: ScanOptions, files: ExitStack, log: Callable[[str], None]) -> Inventory:
    """Return the inventory, whose rows are closed with ``files``. Raises ``InventoryError``."""
    inventory = open_inventory(
        options.inventory,
        default_protocol=options.config.default_protocol,
        default_port=options.config.default_port,
        protocols=PROTOCOLS,
        columns=options.columns,
        log=log,
    )
    rows = inventory.rows
    if isinstance(rows, Generator):
        files.callback(_close_rows, rows, patient=options.inventory != "-")
    return inventory


def _remaining(rows: Iterator[Row], done: Completed) -> Iterator[Row]:
    """Yield the rows without a finding. Raises ``UsageProblem`` if a row's finding is about another target."""
    for row in rows:
        status = done.status(row)
        if status == "changed":
            if isinstance(rows, Generator):
                rows.close()
            raise UsageProblem(
                f"cannot resume: row {row.row} of the inventory is not the target that its finding is about;"
                " the inventory has changed, so start a new output"
            )
        if status == "todo":
            yield row


def _close_rows(rows: Generator[Row], *, patient: bool) -> None:
    """Close the inventory, which a thread may be reading at this moment.

    ``patient`` waits for the thread: the next rows of a file are there soon. Those of standard input may never come, and its
    thread ends with the process.
    """
    for _ in range(CLOSING_TRIES if patient else 1):
        try:
            rows.close()
        except ValueError:  # "generator already executing"
            time.sleep(CLOSING_WAIT)
        else:
            return


def clock_warning(clock: ClockVerdict) -> str:
    """Return what a wrong local clock means for the run."""
    if clock.servers is not None and clock.offset is not None:
        ours, theirs = ("behind", "ahead") if clock.offset > 0 else ("ahead", "behind")
        return (
            f"THE CLOCK OF THIS MACHINE, OR OF ALL SERVERS, IS WRONG: either ours is {span(abs(clock.offset))} {ours}, or those of"
            f" {clock.servers} servers that agree with each other are as much {theirs}, and their certificates are out of their"
            " time; nothing else in this run tells the time. Compare this machine's clock, or scan with --ntp"
        )
    witnesses = ", ".join(f"{witness.get('who')} ({witness.get('kind')})" for witness in clock.witnesses)
    off = ""
    if clock.offset is not None:
        off = f" by {span(abs(clock.offset))}: it is {'behind' if clock.offset > 0 else 'ahead'}"
    return (
        f"THE CLOCK OF THIS MACHINE IS WRONG{off}, say {witnesses}; certificates that seem expired or not yet valid"
        " may be in order. Set the clock and scan again"
    )
