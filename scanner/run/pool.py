"""A pool of worker processes for one run: it distributes the rows, and collects the findings for the one process that writes.

Design: each process runs a whole scan (``scanner.run.worker``) over its shard of the rows; nothing is shared but what is sent over
three pipes per process. Rows are sharded by host, so that targets named twice share a probe, and the limits of the run are divided
among the processes. They are started anew instead of forked: a fork of a process with an event loop and threads may inherit a
locked lock. They never see the signals that stop a run, since their last reports are wanted.

What a finding needs from other processes (intermediates, the facts of the fleet) comes at the end: when all processes are idle,
each gets what all have learnt, and settles what it had spooled.

A process that dies, as a bug in native code or the kernel's memory killer ends it, is replaced, and its unfinished rows are scanned
again at the end in processes of their own. If such a process dies too, its rows are bisected until the row that kills it is
alone; that row gets a finding that says so.

What breaks if touched: a row leaves ``outstanding`` only with the report that has its finding, or it is lost with its process; and
reports have to be read to their end, or a process that writes one never ends.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import trio
from msgspec.structs import replace

from scanner.diagnosis.assembly import finding_record
from scanner.diagnosis.case import Context
from scanner.diagnosis.engine import diagnose
from scanner.errors import TlsweepError
from scanner.fleet.correlate.fold import Fold
from scanner.inventory.exclude import mark_excluded
from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence, InvalidRow, Target
from scanner.model.findings import Finding
from scanner.net.outage import NetworkLost
from scanner.net.pacing import PacingStatistics
from scanner.process.limits import files_left, places
from scanner.process.signals import SIGNALS
from scanner.run.ipc import MessageStream, encode_message
from scanner.run.row_queue import Row, RowBatches
from scanner.run.scan import ScanStatistics
from scanner.run.worker import Assignment, Report

# Batches of rows that wait for one process while another is served.
WAITING_BATCHES: Final = 16
# Seconds for the last reports of the processes when the run is stopped; then they are killed.
STOP_SECONDS: Final = 3.0
# Pipes to one process; and files for what else the run has open, and for starting a process.
FILES_PER_PROCESS: Final = 3
RESERVED_FILES: Final = 10
# Processes in a row that may end before their first report; after that, starting processes is taken to be impossible.
MAX_FAILED_STARTS: Final = 3

_CHILD: Final = (
    "import sys; sys.path[:] = sys.argv[4:]; from scanner.run.worker import main; sys.exit(main(sys.argv[1:4]))"
)


class WorkersFailed(TlsweepError):
    """Worker processes cannot be started."""


def shares(config: ScanConfig, count: int) -> list[ScanConfig]:
    """Return the configuration of each of ``count`` processes: the limits of ``config``, divided, at least one connection each."""
    per_address = config.concurrency_per_address
    return [
        replace(
            config,
            concurrency=max(config.concurrency // count + (number < config.concurrency % count), 1),
            rate=None if config.rate is None else config.rate / count,
            # names in different processes may lead to one address
            rate_per_address=None if config.rate_per_address is None else config.rate_per_address / count,
            concurrency_per_address=None if per_address is None else max(per_address // count, 1),
            # one share is for the process that collects
            max_memory=None if config.max_memory is None else config.max_memory // (count + 1),
        )
        for number in range(count)
    ]


def shard_of(target: Target, count: int) -> int:
    """Return the number of the process, out of ``count``, that gets a target."""
    return zlib.crc32((target.address or target.host).encode("utf-8", "surrogatepass")) % count


class _Worker:
    """A process, the pipes to it, and the rows that it has not reported yet."""

    def __init__(self, process: subprocess.Popen[bytes], rows: int, control: int, reports: int) -> None:
        self.process = process
        self.rows = trio.lowlevel.FdStream(rows)
        self.control = trio.lowlevel.FdStream(control)
        self.reports = trio.lowlevel.FdStream(reports)
        self.messages = MessageStream(self.reports)
        self.outstanding: dict[int, Target] = {}
        self.in_flight = 0
        self.held = 0
        self.started = False
        self.done = False


class WorkerPool:
    """The processes of one run.

    ``on_finding`` is called with the findings of rows that need no process, ``on_report`` with the reports of the processes,
    ``log`` with lines for the user. ``clock`` returns seconds since the epoch.
    """

    def __init__(
        self,
        assignment: Assignment,
        count: int,
        *,
        on_finding: Callable[[Finding], None],
        on_report: Callable[[Report], None],
        log: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        count = max(1, min(count, assignment.config.concurrency))
        count = places(count, files_left(), each=FILES_PER_PROCESS, reserved=RESERVED_FILES)
        self._assignments = [replace(assignment, config=share) for share in shares(assignment.config, count)]
        self._on_finding = on_finding
        self._on_report = on_report
        self._log = log
        self._clock = clock
        self._workers: set[_Worker] = set()
        self._lost: list[Target] = []
        self._learnt: dict[bytes, None] = {}
        self._fold = Fold(judge_clock=assignment.config.at is None)
        self._idle: set[int] = set()
        self._all_idle = trio.Event()
        self._settle = trio.Event()
        self._failed_starts = 0
        self._output_failed = False
        self._read = 0
        self._done = 0
        self._finished_reading = False
        self._outcomes: Counter[str] = Counter()

    def statistics(self) -> ScanStatistics:
        """Return the current counts over all processes."""
        in_flight = sum(worker.in_flight for worker in self._workers)
        limit = sum(each.config.concurrency for each in self._assignments)
        return ScanStatistics(
            read=self._read,
            done=self._done,
            held=sum(worker.held for worker in self._workers),
            outcomes=dict(+self._outcomes),
            pacing=PacingStatistics(in_flight, in_flight, limit, self._done, 0, 0),
            reading_finished=self._finished_reading,
        )

    def processes(self) -> list[int]:
        """Return the ids of the running processes."""
        return [worker.process.pid for worker in self._workers]

    # --- the run -------------------------------------------------------------------------------

    async def run(self, rows: Iterator[Row]) -> None:
        """Make one finding of every row. If cancelled, what the processes have found so far is kept. Raises ``WorkersFailed``."""
        async with trio.open_nursery() as nursery:
            channels = []
            for number in range(len(self._assignments)):
                send, receive = trio.open_memory_channel[list[Target]](WAITING_BATCHES)
                channels.append(send)
                nursery.start_soon(self._shard, number, receive)
            await self._distribute(rows, channels)
            await self._all_idle.wait()
            await self._rescan_lost()
            self._settle.set()
        await self._rescan_lost()

    async def _distribute(self, rows: Iterator[Row], channels: list[trio.MemorySendChannel[list[Target]]]) -> None:
        inputs = self._assignments[0].inputs
        exclusions = inputs.exclusions
        read = RowBatches(mark_excluded(rows, exclusions) if len(exclusions) else rows)
        while batch := await trio.to_thread.run_sync(read, abandon_on_cancel=True):
            self._read += len(batch)
            shards: list[list[Target]] = [[] for _ in channels]
            for row in batch:
                if isinstance(row, InvalidRow):
                    finding = finding_record.invalid_finding(
                        row, self._assignments[0].run_id, started=self._clock(), run_warnings=inputs.warnings
                    )
                    self._write(finding)
                else:
                    shards[shard_of(row, len(channels))].append(row)
            for channel, shard in zip(channels, shards, strict=True):
                if shard:
                    await channel.send(shard)
        self._finished_reading = True
        for channel in channels:
            channel.close()

    async def _shard(self, number: int, batches: trio.MemoryReceiveChannel[list[Target]]) -> None:
        """Run the process of one shard, and those that replace it."""
        async for batch in batches:  # a process is started when there are rows for it
            lost = await self._run_child(number, batch, batches)
            if lost is None:
                break
            self._lost += lost
        self._on_idle(number)

    def _on_idle(self, number: int) -> None:
        self._idle.add(number)
        if len(self._idle) == len(self._assignments):
            self._all_idle.set()

    async def _rescan_lost(self) -> None:
        lost, self._lost = sorted(self._lost, key=lambda target: target.row), []
        await self._rescan(lost)

    async def _rescan(self, lost: list[Target]) -> None:
        """Scan rows whose process died in a process of their own, and bisect them if it dies too."""
        if not lost:
            return
        unfinished = await self._run_child(None, lost, None)
        if not unfinished:
            return
        if len(unfinished) == 1:
            self._give_up(unfinished[0])
            return
        half = len(unfinished) // 2
        await self._rescan(unfinished[:half])
        await self._rescan(unfinished[half:])

    def _give_up(self, target: Target) -> None:
        evidence = Evidence(target=target, started=self._clock(), bug="each process that probed this target died")
        diagnosis = diagnose(evidence, [], Context(at=evidence.started))
        self._write(
            finding_record.finding(evidence, diagnosis, self._assignments[0].run_id, finding_record.NOTHING_SEEN)
        )

    def _write(self, finding: Finding) -> None:
        self._done += 1
        self._outcomes[finding["outcome"]] += 1
        self._on_finding(finding)

    # --- one process ---------------------------------------------------------------------------

    async def _run_child(
        self,
        number: int | None,
        first: list[Target],
        more: trio.MemoryReceiveChannel[list[Target]] | None,
    ) -> list[Target] | None:
        """Run one process to its end. Return ``None`` if it finished all of its rows, else those that are left.

        ``number`` is that of the shard, or ``None`` for a process that gets only its ``first`` rows and settles at once.
        """
        async with self._open(self._assignments[number or 0]) as worker:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_rows, worker, first, more)
                while (report := await _next_report(worker)) is not None:
                    self._take(worker, report)
                    if report.phase == "idle" and number is not None:
                        self._on_idle(number)
                nursery.cancel_scope.cancel()
        if worker.done:
            return None
        lost = list(worker.outstanding.values())
        self._on_exit(worker, lost, quiet=number is None)
        return lost

    async def _send_rows(
        self,
        worker: _Worker,
        first: list[Target],
        more: trio.MemoryReceiveChannel[list[Target]] | None,
    ) -> None:
        """Send a process its rows, then what all processes have learnt: at once if there are no ``more`` rows than its first."""
        try:
            await self._send_batch(worker, first)
            if more is not None:
                async for batch in more:
                    await self._send_batch(worker, batch)
            await worker.rows.aclose()
            if more is not None:
                await self._settle.wait()
            await worker.control.send_all(encode_message((list(self._learnt), self._fold)))
        except trio.BrokenResourceError:
            return  # the process has died, and so its reports end too

    async def _send_batch(self, worker: _Worker, batch: list[Target]) -> None:
        worker.outstanding.update((target.row, target) for target in batch)
        await worker.rows.send_all(encode_message(batch))

    def _take(self, worker: _Worker, report: Report) -> None:
        worker.started = True
        self._failed_starts = 0
        worker.done = report.phase == "done"
        worker.in_flight, worker.held = report.in_flight, report.held
        self._learnt.update(dict.fromkeys(report.learnt))
        if report.fold is not None:
            self._fold.merge(report.fold)
        for row in report.rows:
            worker.outstanding.pop(row, None)
        self._done += len(report.rows)
        self._outcomes.update(report.stats.total.outcomes)
        self._on_report(report)
        if report.network_lost is not None:
            raise NetworkLost(report.network_lost)

    def _on_exit(self, worker: _Worker, lost: list[Target], *, quiet: bool) -> None:
        status = worker.process.returncode
        how = f"ended with status {status}" if status >= 0 else f"was ended by {_signal_name(-status)}"
        if not worker.started:
            self._failed_starts += 1
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise WorkersFailed(f"worker processes cannot be started: the last one {how}")
        if not quiet:
            targets = "1 target" if len(lost) == 1 else f"{len(lost)} targets"
            self._log(f"worker process {worker.process.pid} {how}; {targets} it had not finished will be scanned again")

    @asynccontextmanager
    async def _open(self, assignment: Assignment) -> AsyncIterator[_Worker]:
        worker = _start()
        self._workers.add(worker)
        try:
            try:
                await worker.control.send_all(encode_message(assignment))
            except trio.BrokenResourceError:
                pass  # the process has died already, and so its reports end too
            yield worker
        except NetworkLost:
            raise
        except Exception:
            self._output_failed = True
            raise
        finally:
            with trio.CancelScope(shield=True):
                await worker.rows.aclose()
                await worker.control.aclose()
                try:
                    with trio.move_on_after(STOP_SECONDS):
                        await self._take_last(worker)
                        while worker.process.poll() is None:  # noqa: ASYNC110 - its end comes right after its last report
                            await trio.sleep(0.01)
                finally:
                    await worker.reports.aclose()
                    if worker.process.poll() is None:
                        worker.process.kill()
                        worker.process.wait()
                    self._workers.discard(worker)

    async def _take_last(self, worker: _Worker) -> None:
        """Read the reports to their end, so that the process can end; use them as long as they can be written."""
        failure: Exception | None = None
        while (report := await _next_report(worker)) is not None:
            if self._output_failed:
                continue
            try:
                self._take(worker, report)
            except Exception as error:  # noqa: BLE001 - raised again below
                self._output_failed, failure = True, error
        if failure is not None:
            raise failure


async def _next_report(worker: _Worker) -> Report | None:
    report: Report | None = await worker.messages.receive()
    return report


def _start() -> _Worker:
    """Start a process. It never sees the signals that stop a run: it stops when the process that started it says so."""
    pipes = [os.pipe() for _ in range(3)]
    (rows_in, rows_out), (control_in, control_out), (reports_in, reports_out) = pipes
    theirs = (rows_in, control_in, reports_out)
    stopping = set(SIGNALS)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # the mask is inherited
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *map(str, theirs), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=theirs,
        )
    except OSError as error:
        for end in (rows_out, control_out, reports_in):
            os.close(end)
        raise WorkersFailed(f"worker processes cannot be started: {error.strerror}") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for end in theirs:
            os.close(end)
    return _Worker(process, rows_out, control_out, reports_in)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
