"""A worker process of a run: it takes rows from a pipe, scans them as a single process would, and reports back.

Three pipes connect it to the process that started it (``scanner.run.pool``). Rows come over the first, until it is closed.
Over the second come the assignment and, once all processes have nothing left but spooled findings, what the others have
learnt; its end means stop, or that the other process has gone. Reports go over the third.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, Literal

import trio
from msgspec import Struct, field

from scanner.codec.certificate_dedup import Fragments
from scanner.errors import innermost
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict, FleetVerdict
from scanner.fleet.correlate.fold import Fold
from scanner.fleet.stats.run_counts import RunCounts
from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence
from scanner.model.findings import Finding
from scanner.net.clocks import LoopClock, WallClock
from scanner.net.outage import NetworkLost
from scanner.output import dumps_line
from scanner.process.limits import collect_seldom, raise_file_limit
from scanner.run.certificate_file import new_certificates
from scanner.run.fail_on import words_of
from scanner.run.inputs import RunInputs, make_judgement, make_verifier
from scanner.run.ipc import MessageStream, encode_message, read_message
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks, Scan
from scanner.run.wiring import open_run
from scanner.trust.intermediates import Intermediates
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

# Seconds between two reports: short enough to watch a run live, long enough to make many findings one message.
REPORT_EVERY: Final = 0.1

Phase = Literal["working", "idle", "done"]


class Assignment(Struct, frozen=True, kw_only=True):
    """What a process has to do, apart from its rows."""

    config: ScanConfig
    inputs: RunInputs
    run_id: str
    certificates: bool = False
    wall_offset: float | None = None  # wall time minus boot time, as the run's first process read them


class Report(Struct):
    """What happened since the last report. ``lines`` are the findings of ``rows``, as they go into the file.

    ``words`` are the words of ``--fail-on`` that some of them match, ``certificates`` are (SHA-256, line) of those that this
    process saw for the first time, ``learnt`` is the DER of new intermediates, ``fold`` the facts about the fleet.
    """

    phase: Phase = "working"
    rows: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    stats: RunCounts = field(default_factory=RunCounts)
    words: set[str] = field(default_factory=set)
    certificates: list[tuple[bytes, bytes]] = field(default_factory=list)
    learnt: list[bytes] = field(default_factory=list)
    fold: Fold | None = None  # with the phase "idle"
    clock: ClockVerdict | None = None  # once, if the local clock is wrong
    warnings: list[str] = field(default_factory=list)  # lines for the user
    network_lost: str | None = None  # why this process, and with it the run, gives up
    in_flight: int = 0
    held: int = 0


class _Reporter:
    """Collects what has to be reported, and sends it."""

    def __init__(self, out: trio.abc.SendStream, intermediates: Intermediates) -> None:
        self._out = out
        self._intermediates = intermediates
        self._learnt_sent = 0
        self._report = Report()
        self._known: set[bytes] = set()
        self._sending = trio.Lock()
        self.scan: Scan | None = None

    def on_finding(self, finding: Finding) -> None:
        """Add a finding to the report."""
        report = self._report
        report.rows.append(finding["target"]["row"])
        report.lines.append(dumps_line(finding))
        report.stats.add(finding)
        report.words |= words_of(finding)

    def on_judged(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> None:
        """Add the certificates of a target to the report."""
        for digest, record in new_certificates(evidence, verdicts, self._known):
            self._report.certificates.append((digest, dumps_line(record)))

    def on_clock_wrong(self, fleet: FleetVerdict) -> None:
        """Report that the local clock is wrong."""
        self._report.clock = fleet.clock

    def log(self, line: str) -> None:
        """Report a line for the user."""
        self._report.warnings.append(line)

    def on_network_lost(self, group: BaseExceptionGroup[NetworkLost]) -> None:
        """Report that this process gives up."""
        self._report.network_lost = str(innermost(group))

    async def send(self, phase: Phase = "working") -> None:
        """Send a report now."""
        async with self._sending:
            report, self._report = self._report, Report()
            report.phase = phase
            if phase == "idle" and self.scan is not None:
                report.fold = self.scan.fold
            learnt = self._intermediates.all_learnt()
            report.learnt = [certificate.der for certificate in learnt[self._learnt_sent :]]
            self._learnt_sent = len(learnt)
            if self.scan is not None:
                now = self.scan.statistics()
                report.in_flight, report.held = now.pacing.in_flight, now.held
            with trio.CancelScope(shield=True):  # half a message would make the rest unreadable
                await self._out.send_all(encode_message(report))

    async def keep_sending(self) -> None:
        """Send a report every ``REPORT_EVERY`` seconds if there is news, until cancelled."""
        last = (0, 0)
        while True:
            await trio.sleep(REPORT_EVERY)
            assert self.scan is not None
            now = self.scan.statistics()
            if self._report.rows or self._report.warnings or last != (now.pacing.in_flight, now.held):
                last = (now.pacing.in_flight, now.held)
                await self.send()


async def work(rows: int, control: int, reports: int) -> None:
    """Carry out the assignment; the arguments are file descriptors, which are closed at the end."""
    async with trio.lowlevel.FdStream(control) as incoming, trio.lowlevel.FdStream(reports) as outgoing:
        orders = MessageStream(incoming)
        assignment = await orders.receive()
        if assignment is not None:
            assert isinstance(assignment, Assignment)
            await _scan(assignment, rows, orders, outgoing)


async def _scan(assignment: Assignment, rows: int, orders: MessageStream, outgoing: trio.abc.SendStream) -> None:
    intermediates = Intermediates()
    reporter = _Reporter(outgoing, intermediates)
    verifier = make_verifier(assignment.inputs, intermediates)
    judgement = make_judgement(
        assignment.config, assignment.inputs, verifier, run_id=assignment.run_id, fragments=Fragments()
    )
    callbacks = Callbacks(
        on_finding=reporter.on_finding,
        on_judged=reporter.on_judged if assignment.certificates else None,
        on_clock_wrong=reporter.on_clock_wrong,
        log=reporter.log,
    )
    clock = WallClock(assignment.wall_offset)
    learnt_by_others: list[bytes] = []
    settle = trio.Event()
    finished = False

    async def listen(stop: trio.CancelScope) -> None:
        while (order := await orders.receive()) is not None:
            learnt, fold = order
            learnt_by_others.extend(learnt)
            assert reporter.scan is not None
            reporter.scan.replace_fold(fold)
            settle.set()
        stop.cancel()

    async def on_idle() -> None:
        await reporter.send("idle")
        await settle.wait()
        for der in learnt_by_others:
            intermediates.learn(Certificate.parse_untrusted(der))

    try:
        with trio.CancelScope() as stop:
            async with (
                open_run(assignment.config, assignment.inputs, judgement, callbacks, clock=clock) as run,
                trio.open_nursery() as nursery,
            ):
                reporter.scan = run.scan
                await reporter.send()  # the first report says that this process has started
                nursery.start_soon(listen, stop)
                nursery.start_soon(reporter.keep_sending)
                await run.run(_batches(rows), before_settling=on_idle)
                finished = True
                nursery.cancel_scope.cancel()
    except* NetworkLost as group:
        reporter.on_network_lost(group)
    with trio.CancelScope(shield=True):
        await reporter.send("done" if finished else "working")


def _batches(descriptor: int) -> Callable[[], list[Row]]:
    # without closefd: a run that is stopped leaves the reading thread behind, and its file open until the process ends
    file = os.fdopen(descriptor, "rb", closefd=False)

    def read() -> list[Row]:
        batch: list[Row] | None = None if file.closed else read_message(file)
        if batch is None and not file.closed:
            file.close()
            os.close(descriptor)
        return batch or []

    return read


def main(arguments: Sequence[str]) -> int:
    """Entry point of the process: the arguments are three file descriptors. Returns the exit status."""
    rows, control, reports = map(int, arguments)
    raise_file_limit()
    collect_seldom()
    try:
        trio.run(work, rows, control, reports, clock=LoopClock())
    except Exception as raised:  # noqa: BLE001 - one line; the process that started this one reports what it means
        error = innermost(raised)
        if not isinstance(error, trio.BrokenResourceError):  # else the process that reads the reports has gone
            sys.stderr.write(f"tlsweep: worker {os.getpid()}: {type(error).__name__}: {error}\n")
        return 1
    return 0
