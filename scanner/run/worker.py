"""One of several processes of a run: it takes rows from a pipe, scans them as a single process would, and reports back.

Three pipes join it to the process that started it (``scanner.run.pool``): rows come over the first until it ends; over the
second the assignment, then, once all processes have nothing left but held findings, what the others have learnt; reports
go over the third. The end of the second says stop, or that the other process is gone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from typing import Final, Literal

import trio

from scanner.bugs import innermost
from scanner.codec.certificate_dedup import Fragments
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
from scanner.records import dataclass
from scanner.run.certificate_file import not_met_before
from scanner.run.fail_on import words_of
from scanner.run.ipc import Frames, frame, read_frame
from scanner.run.row_queue import Row
from scanner.run.wiring import Material, Session, make_judge, open_session
from scanner.trust.intermediates import Intermediates
from scanner.trust.verdicts import ChainVerdict
from scanner.x509.certificate import Certificate

# Seconds between two reports: short enough to watch a run live, long enough to make many findings one message.
REPORT_EVERY: Final = 0.1

Phase = Literal["working", "rest", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a process is to do, beside its rows."""

    config: ScanConfig
    material: Material
    run_id: str
    certificates: bool = False
    wall_offset: float | None = None  # wall time less boot time, as the run's first process read them


@dataclass(slots=True)
class Report:
    """What happened since the last report. ``lines`` are the findings of ``rows``, as they go into the file.

    ``words`` are those of ``--fail-on`` that some of them match, ``certificates`` are (SHA-256, line) of those that this
    process met first, ``learnt`` is the DER of intermediates met, ``fold`` what its targets tell the fleet.
    """

    phase: Phase = "working"
    rows: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    stats: RunCounts = field(default_factory=RunCounts)
    words: set[str] = field(default_factory=set)
    certificates: list[tuple[bytes, bytes]] = field(default_factory=list)
    learnt: list[bytes] = field(default_factory=list)
    fold: Fold | None = None  # with the phase "rest"
    clock: ClockVerdict | None = None  # once, if it is wrong
    warnings: list[str] = field(default_factory=list)  # lines for the person who watches
    network_lost: str | None = None  # why this process gives up, and with it the run
    in_flight: int = 0
    held: int = 0


class _Desk:
    """Collects what is to be reported, and sends it."""

    def __init__(self, out: trio.abc.SendStream, intermediates: Intermediates) -> None:
        self._out = out
        self._intermediates = intermediates
        self._told = 0
        self._report = Report()
        self._known: set[bytes] = set()
        self._sending = trio.Lock()
        self.session: Session | None = None

    def emit(self, finding: Finding) -> None:
        """Take a finding."""
        report = self._report
        report.rows.append(finding["target"]["row"])
        report.lines.append(dumps_line(finding))
        report.stats.add(finding)
        report.words |= words_of(finding)

    def judged(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> None:
        """Take the certificates of a finding."""
        for digest, record in not_met_before(evidence, verdicts, self._known):
            self._report.certificates.append((digest, dumps_line(record)))

    def notify(self, fleet: FleetVerdict) -> None:
        """Take that the local clock is wrong."""
        self._report.clock = fleet.clock

    def warn(self, line: str) -> None:
        """Take a line for the person who watches."""
        self._report.warnings.append(line)

    def lost(self, group: BaseExceptionGroup[NetworkLost]) -> None:
        """Take that this process gives up."""
        self._report.network_lost = str(innermost(group))

    async def send(self, phase: Phase = "working") -> None:
        """Report now."""
        async with self._sending:
            report, self._report = self._report, Report()
            report.phase = phase
            if phase == "rest" and self.session is not None:
                report.fold = self.session.scan.fold
            learnt = self._intermediates.all_learnt()
            report.learnt = [certificate.der for certificate in learnt[self._told :]]
            self._told = len(learnt)
            if self.session is not None:
                now = self.session.scan.statistics()
                report.in_flight, report.held = now.pacing.in_flight, now.held
            with trio.CancelScope(shield=True):  # half a message would make the rest unreadable
                await self._out.send_all(frame(report))

    async def keep_sending(self) -> None:
        """Report from time to time what is new, until cancelled."""
        last = (0, 0)
        while True:
            await trio.sleep(REPORT_EVERY)
            assert self.session is not None
            now = self.session.scan.statistics()
            if self._report.rows or self._report.warnings or last != (now.pacing.in_flight, now.held):
                last = (now.pacing.in_flight, now.held)
                await self.send()


async def work(rows: int, control: int, reports: int) -> None:
    """Do what the assignment says; the arguments are file descriptors, which are closed at the end."""
    async with trio.lowlevel.FdStream(control) as incoming, trio.lowlevel.FdStream(reports) as outgoing:
        orders = Frames(incoming)
        assignment = await orders.next()
        if assignment is not None:
            assert isinstance(assignment, Assignment)
            await _do(assignment, rows, orders, outgoing)


async def _do(assignment: Assignment, rows: int, orders: Frames, outgoing: trio.abc.SendStream) -> None:
    intermediates = Intermediates()
    desk = _Desk(outgoing, intermediates)
    judge = make_judge(assignment.material, intermediates)
    others_learnt: list[bytes] = []
    settle = trio.Event()
    finished = False

    async def listen(stop: trio.CancelScope) -> None:
        while (order := await orders.next()) is not None:
            learnt, fold = order
            others_learnt.extend(learnt)
            assert desk.session is not None
            desk.session.scan.fold = fold
            settle.set()
        stop.cancel()

    async def rest() -> None:
        await desk.send("rest")
        await settle.wait()
        for der in others_learnt:
            intermediates.learn(Certificate.parse_untrusted(der))

    try:
        with trio.CancelScope() as stop:
            async with (
                open_session(
                    assignment.config,
                    assignment.material,
                    run_id=assignment.run_id,
                    judge=judge,
                    emit=desk.emit,
                    judged=desk.judged if assignment.certificates else None,
                    fragments=Fragments(),
                    clock=WallClock(assignment.wall_offset),
                    notify=desk.notify,
                    warn=desk.warn,
                ) as session,
                trio.open_nursery() as nursery,
            ):
                desk.session = session
                await desk.send()  # the first report says that this process has come up
                nursery.start_soon(listen, stop)
                nursery.start_soon(desk.keep_sending)
                await session.run(_batches(rows), before_settling=rest)
                finished = True
                nursery.cancel_scope.cancel()
    except* NetworkLost as group:
        desk.lost(group)
    with trio.CancelScope(shield=True):
        await desk.send("done" if finished else "working")


def _batches(descriptor: int) -> Callable[[], list[Row]]:
    # A run that is stopped leaves the thread that reads behind; its file then ends with the process, which is no mistake.
    file = os.fdopen(descriptor, "rb", closefd=False)

    def read() -> list[Row]:
        batch: list[Row] | None = None if file.closed else read_frame(file)
        if batch is None and not file.closed:
            file.close()
            os.close(descriptor)
        return batch or []

    return read


def main(arguments: Sequence[str]) -> int:
    """Entry of the process: three file descriptors. Returns its exit status."""
    rows, control, reports = map(int, arguments)
    raise_file_limit()
    collect_seldom()
    try:
        trio.run(work, rows, control, reports, clock=LoopClock())
    except Exception as raised:  # noqa: BLE001 - one line, and the process that started this one says what it means
        error = innermost(raised)
        if not isinstance(error, trio.BrokenResourceError):  # else nobody reads the reports any more
            sys.stderr.write(f"tlsweep: worker {os.getpid()}: {type(error).__name__}: {error}\n")
        return 1
    return 0
