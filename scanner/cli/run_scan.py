"""A scan from the command line: prepare everything that can be wrong, then run, then say how it went."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import trio
from msgspec import Struct, field

from scanner.cli import INTERRUPTED
from scanner.cli import options as opt
from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis.catalogue import CODES
from scanner.errors import UsageProblem, innermost
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.fleet.stats.counts import Stats
from scanner.inventory import count_rows_hint, read_inventory
from scanner.inventory.exclude import load_exclusions
from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence
from scanner.model.findings import CAUSES, Finding
from scanner.net.clocks import LoopClock, WallClock
from scanner.net.dns.resolver_config import parse_servers
from scanner.net.outage import NetworkLost
from scanner.output import Completed, OutputClosed, Writer, certificates_in, check_output, completed, open_output
from scanner.output.reader import read_findings
from scanner.process import signals
from scanner.process.limits import MAX_WORKERS, collect_seldom, cores, raise_file_limit
from scanner.run.certificate_file import not_met_before
from scanner.run.fail_on import WORDS, words_of
from scanner.run.row_queue import Row
from scanner.run.scan import Callbacks, ScanStatistics
from scanner.run.wiring import Material, make_transparency, make_verifier, new_run_id, open_session
from scanner.starttls import PROTOCOLS
from scanner.text import quoted, span
from scanner.trust.transparency import Transparency
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier

if TYPE_CHECKING:
    from scanner.run.worker import Report

# Tries and seconds between them for closing an inventory that a thread is reading.
CLOSING_TRIES: Final = 250
CLOSING_WAIT: Final = 0.02
# Findings are handed to the system at least this often, in seconds.
FLUSH_EVERY: Final = 0.2


def material(given: dict[str, Any]) -> Material:
    """Resolvers, stores and exclusions as the options name them."""
    if given["resolver"]:
        parse_servers(given["resolver"])  # raises what is wrong with them before anything is opened
    if given["ntp"]:
        from scanner.net import sntp  # most runs ask none

        sntp.parse_servers(given["ntp"])
    if given["client_key"] and not given["client_cert"]:
        raise UsageProblem("--client-key goes with --client-cert")
    if given["client_cert"]:
        from scanner.x509.client_certificate import load_client_certificate

        load_client_certificate(given["client_cert"], given["client_key"])  # raises what is wrong with them
    return Material(
        resolvers=given["resolver"],
        trust_stores=given["trust_store"] or ("mozilla",),
        public_roots=given["public_roots"],
        ct_logs=given["ct_logs"],
        private_cas=given["private_ca"],
        earlier=given["earlier"],
        client_cert=given["client_cert"],
        client_key=given["client_key"],
        ntp=given["ntp"],
        cache=opt.cache_directory(given),
        exclusions=load_exclusions([given["exclude"]] if given["exclude"] else []),
    )


def parse_workers(text: str) -> int:
    """The number of processes that ``--workers`` asks for. Raises ``UsageProblem``."""
    if text.strip().lower() == "auto":
        return min(cores(), MAX_WORKERS)
    if text.strip().isascii() and text.strip().isdigit() and 1 <= int(text[:20]) <= MAX_WORKERS:
        return int(text)
    raise UsageProblem(f"--workers: {quoted(text)} is neither a number from 1 to {MAX_WORKERS} nor 'auto'")


def parse_fail_on(text: str | None) -> frozenset[str]:
    """Words of ``--fail-on``: causes, codes and ``WORDS``. Raises ``UsageProblem`` for any other."""
    words = frozenset(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words - WORDS:
        if word not in CAUSES and word not in CODES:
            known = ", ".join(sorted(WORDS))
            raise UsageProblem(f"--fail-on: {quoted(word)} is neither a cause nor a code, nor one of {known}")
        if not any(code.judged for code in CODES.values() if word in (code.code, code.cause)):
            raise UsageProblem(f"--fail-on: {word} is not judged by this version yet, so it would never match")
    return words


def matches_fail_on(finding: Mapping[str, Any], words: frozenset[str]) -> bool:
    """One of the words of ``--fail-on`` is said of the finding."""
    return not words.isdisjoint(words_of(finding))


def close_rows(rows: Generator[Row], *, patient: bool) -> None:
    """Close the inventory. A thread may be reading it at this moment: a file's next rows are there soon, so ``patient`` waits
    for them; standard input's may never come, and it ends with the process."""
    for _ in range(CLOSING_TRIES if patient else 1):
        try:
            rows.close()
        except ValueError:  # "generator already executing"
            time.sleep(CLOSING_WAIT)
        else:
            return


def still_to_do(rows: Iterator[Row], done: Completed) -> Iterator[Row]:
    """Rows without a finding. Raises ``UsageProblem`` where a row's finding is about another target."""
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


def refuse_outputs(given: dict[str, Any], inventory: str) -> None:
    """Raise ``UsageProblem`` where an output is also something else of the run; nothing is opened."""
    outputs = {name: given[name] for name in ("output", "certificates") if given[name] not in (None, "-")}
    inputs = {"the inventory": [inventory], "--exclude": [given["exclude"]], "--public-roots": [given["public_roots"]]}
    inputs["--ct-logs"] = [given["ct_logs"]]
    inputs["--trust-store"] = list(given["trust_store"])
    inputs["--earlier"] = [given["earlier"]]
    for name, path in outputs.items():
        for what, read in inputs.items():
            if any(same_file(path, other) for other in read if other not in (None, "-")):
                raise UsageProblem(f"--{name} would overwrite {what}: name another file")
    if len(outputs) == 2 and same_file(*outputs.values()):
        raise UsageProblem("--output and --certificates name the same file")
    if given["certificates"] == "-" and given["output"] in (None, "-"):
        raise UsageProblem("findings and certificates cannot both go to standard output")


def same_file(one: str, other: str) -> bool:
    """Both names lead to one file, whether it is there or not."""
    try:
        return os.path.realpath(one) == os.path.realpath(other) or os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


class Run(Struct):
    """One ``tlsweep scan``, ready to go."""

    inventory: str
    output: str | None
    config: ScanConfig
    material: Material
    verifier: ChainVerifier
    transparency: Transparency
    rows: Iterator[Row]
    writer: Writer
    certificates: Writer | None
    fail_on: frozenset[str]
    run_id: str
    stats: Stats
    workers: int = 1
    clock: Callable[[], float] = field(default_factory=WallClock)
    fragments: Fragments = field(default_factory=Fragments)
    already: int = 0
    matched: bool = False
    interrupted: bool = False
    _known_certificates: set[bytes] = field(default_factory=set)
    _files: ExitStack = field(default_factory=ExitStack)
    _total: int | None = None
    _told_clock: bool = False
    _warned: set[str] = field(default_factory=set)

    @classmethod
    def prepare(cls, inventory: str, given: dict[str, Any]) -> Run:
        """Read and open everything; nothing is contacted and no output is touched before all of it is in order."""
        workers = parse_workers(given["workers"])
        config = opt.scan_config(given, workers)
        what = material(given)
        fail_on = parse_fail_on(given["fail_on"])
        if given["force"] and given["resume"]:
            raise UsageProblem("--force and --resume exclude each other")
        verifier, transparency = make_verifier(what), make_transparency(what)
        refuse_outputs(given, inventory)
        if what.earlier is not None:
            next(read_findings([what.earlier]), None)  # raises where no line is a finding
        output, resume, force = given["output"], given["resume"], given["force"]
        stats, already, matched = Stats(), 0, False
        with ExitStack() as stack:
            rows: Iterator[Row] = read_inventory(
                inventory,
                default_protocol=config.default_protocol,
                default_port=config.default_port,
                protocols=PROTOCOLS,
            )
            if isinstance(rows, Generator):
                stack.callback(close_rows, rows, patient=inventory != "-")
            certificates, known = None, set[bytes]()
            if given["certificates"]:
                check_output(given["certificates"], force=force, resume=resume)
            # what is counted as done is what stands in the file once it is locked and its torn end is cut
            writer = stack.enter_context(open_output(output, force=force, resume=resume))
            if given["certificates"]:
                certificates = stack.enter_context(
                    open_output(given["certificates"], force=force, resume=resume, holds="certificates")
                )
                writer.before = certificates
                known = certificates_in(given["certificates"]) if resume else known
            if resume and output not in (None, "-"):

                def count(finding: dict[str, Any]) -> None:
                    nonlocal matched
                    stats.add(finding)
                    matched = matched or matches_fail_on(finding, fail_on)

                done = completed(output, count)
                already = len(done)
                rows = still_to_do(rows, done)
            return cls(
                inventory=inventory,
                output=None if output == "-" else output,
                config=config,
                material=what,
                verifier=verifier,
                transparency=transparency,
                rows=rows,
                writer=writer,
                certificates=certificates,
                fail_on=fail_on,
                run_id=new_run_id(time.time()),
                stats=stats,
                workers=workers,
                already=already,
                matched=matched,
                _known_certificates=known,
                _files=stack.pop_all(),
            )

    def emit(self, finding: Finding) -> None:
        """Write one finding and fold it into the statistics."""
        self.writer.write(finding)
        if finding["outcome"] == "ok" and not finding["diagnoses"]:
            # the table at the end counts; it names neither runs nor the inventory's own columns
            self.stats.total.add_quiet("ok", 1)
            return
        self.stats.add(finding)
        if self.fail_on and not self.matched:
            self.matched = matches_fail_on(finding, self.fail_on)

    def collect(self, report: Report) -> None:
        """Write what a process has found and fold it into the statistics."""
        for digest, line in report.certificates:
            if self.certificates is not None and digest not in self._known_certificates:
                self._known_certificates.add(digest)
                self.certificates.write_lines(line, 1)
        if report.lines:
            self.writer.write_lines(b"".join(report.lines), len(report.lines))
        self.stats.merge(report.stats)
        if report.words & self.fail_on:
            self.matched = True
        if report.clock is not None:
            self.tell_clock(report.clock)
        for warning in set(report.warnings) - self._warned:
            self._warned.add(warning)
            say(warning)

    def execute(self, *, show: bool, stream: TextIO | None) -> int:
        """Scan; returns the exit status. ``stream`` is for the person who watches, ``None`` where it is closed."""
        with signals.deferred():
            trio.run(self.scan_all, show and stream is not None and stream.isatty(), clock=LoopClock())
        if show and stream is not None:
            from scanner.fleet.stats.stats_tables import as_table

            print(as_table(self.stats).rstrip("\n"), file=stream)
        if self.interrupted:
            rest = "" if self.output is None else "; --resume goes on from here"
            say(f"interrupted, what was done is kept{rest}")
            return INTERRUPTED
        return 1 if self.matched else 0

    def tell_clock(self, clock: ClockVerdict) -> None:
        """Say once, loudly, that this machine's clock is wrong."""
        if not self._told_clock:
            self._told_clock = True
            say(clock_words(clock))

    def keep_certificates(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> None:
        """Write each certificate that was not met before in this run, with its DER."""
        assert self.certificates is not None
        for _, record in not_met_before(evidence, verdicts, self._known_certificates):
            self.certificates.write(record)

    async def scan_all(self, progress: bool) -> None:
        """Scan to the end, or to a signal; the files are closed then."""
        raise_file_limit()
        collect_seldom()
        try:
            with self._files:
                await self._scan(progress)
        except* OutputClosed:
            # the reader of our standard output has gone, as after ``| head``
            self.interrupted = True
        except* NetworkLost as group:
            self.interrupted = True
            say(str(innermost(group)))

    async def _scan(self, progress: bool) -> None:
        async with trio.open_nursery() as nursery:
            wake = partial(trio.lowlevel.current_trio_token().run_sync_soon, self._stop, nursery.cancel_scope)
            with signals.on_signal(wake):
                nursery.start_soon(self._flush)
                if self.workers > 1:
                    await self._scan_with_workers(nursery, progress)
                else:
                    await self._scan_here(nursery, progress)
                nursery.cancel_scope.cancel()

    async def _scan_here(self, nursery: trio.Nursery, progress: bool) -> None:
        async with open_session(
            self.config,
            self.material,
            run_id=self.run_id,
            verifier=self.verifier,
            transparency=self.transparency,
            callbacks=Callbacks(
                on_finding=self.emit,
                on_judged=None if self.certificates is None else self.keep_certificates,
                on_clock_wrong=lambda fleet: self.tell_clock(fleet.clock),
            ),
            fragments=self.fragments,
            warn=say,
            clock=self.clock,
        ) as session:
            if progress:
                self._show(nursery, session.scan.statistics)
            await session.run(self.rows)

    async def _scan_with_workers(self, nursery: trio.Nursery, progress: bool) -> None:
        from scanner.run.pool import WorkerPool
        from scanner.run.worker import Assignment  # most runs have one process

        assignment = Assignment(
            config=self.config,
            material=self.material,
            run_id=self.run_id,
            certificates=self.certificates is not None,
            wall_offset=self.clock.offset if isinstance(self.clock, WallClock) else None,
        )
        pool = WorkerPool(assignment, self.workers, on_finding=self.emit, on_report=self.collect, log=say)
        if progress:
            self._show(nursery, pool.statistics)
        await pool.run(self.rows)

    def _show(self, nursery: trio.Nursery, statistics: Callable[[], ScanStatistics]) -> None:
        from scanner.cli.progress import show_progress  # tqdm is only loaded for a terminal

        nursery.start_soon(self._count)
        nursery.start_soon(show_progress, statistics, lambda: self._total, self.already, sys.stderr)

    async def _count(self) -> None:
        self._total = await trio.to_thread.run_sync(count_rows_hint, self.inventory, abandon_on_cancel=True)

    async def _flush(self) -> None:
        while True:
            await trio.sleep(FLUSH_EVERY)
            self.writer.flush_due()
            self.writer.check_reader()

    def _stop(self, scope: trio.CancelScope) -> None:
        self.interrupted = True
        scope.cancel()


def clock_words(clock: ClockVerdict) -> str:
    """What a wrong local clock means for the run."""
    witnesses = ", ".join(f"{witness.get('who')} ({witness.get('kind')})" for witness in clock.witnesses)
    off = ""
    if clock.offset is not None:
        off = f" by {span(abs(clock.offset))}: it is {'behind' if clock.offset > 0 else 'ahead'}"
    return (
        f"THE CLOCK OF THIS MACHINE IS WRONG{off}, say {witnesses}; certificates that seem expired or not yet valid"
        " may be in order. Set the clock and scan again"
    )


def say(text: str) -> None:
    """One line for the person who watches."""
    stream = cast("TextIO | None", sys.stderr)
    if stream is not None:
        over_progress = "\r\x1b[K" if stream.isatty() else ""
        print(f"{over_progress}tlsweep: {text}", file=stream)
