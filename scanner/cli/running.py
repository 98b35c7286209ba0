"""A scan from the command line: prepare everything that can be wrong, then run, then say how it went."""

from __future__ import annotations

import gc
import hashlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import trio

from scanner.cli import INTERRUPTED, UsageProblem
from scanner.cli import options as opt
from scanner.config import ScanConfig
from scanner.diagnosis.assemble import Fragments
from scanner.diagnosis.catalogue import CODES
from scanner.diagnosis.engine import flight_of
from scanner.evidence import Evidence
from scanner.exclude import load_exclusions
from scanner.findings import CAUSES, Finding
from scanner.fleet.stats import Stats
from scanner.fleet.tables import as_table
from scanner.inventory import count_rows_hint, read_inventory
from scanner.ndjson import Completed, OutputClosed, Writer, certificates_in, completed, open_output
from scanner.pki.certificate import describe, describe_malformed
from scanner.pki.judge import Judge
from scanner.pki.verdicts import ChainVerdict
from scanner.scan import Row
from scanner.session import Material, make_judge, new_run_id, open_session
from scanner.starttls import PROTOCOLS

# Findings are handed to the system at least this often, in seconds.
FLUSH_EVERY: Final = 0.2
ANY: Final = "any"
# Objects made between two collections: some hundred probes' worth.
GC_THRESHOLD: Final = 50_000


def material(given: dict[str, Any]) -> Material:
    """Resolvers, stores and exclusions as the options name them."""
    return Material(
        resolvers=given["resolver"],
        trust_stores=given["trust_store"] or ("mozilla",),
        public_roots=given["public_roots"],
        exclusions=load_exclusions([given["exclude"]] if given["exclude"] else []),
    )


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
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)


def parse_fail_on(text: str | None) -> frozenset[str]:
    """Causes and codes of ``--fail-on``. Raises ``UsageProblem`` for a word that is neither."""
    words = frozenset(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words:
        if word != ANY and word not in CAUSES and word not in CODES:
            raise UsageProblem(f"--fail-on: '{word}' is neither a cause nor a code")
    return words


def matches_fail_on(finding: Finding, words: frozenset[str]) -> bool:
    """The finding has an error of one of the causes or codes."""
    if ANY in words and finding["outcome"] == "fail":
        return True
    return any(
        diagnosis["severity"] == "error" and (diagnosis["cause"] in words or diagnosis["code"] in words)
        for diagnosis in finding["diagnoses"]
    )


def still_to_do(rows: Iterator[Row], done: Completed) -> Iterator[Row]:
    """Rows without a finding. Raises ``UsageProblem`` where a row's finding is about another target."""
    for row in rows:
        status = done.status(row)
        if status == "changed":
            raise UsageProblem(
                f"cannot resume: row {row.row} of the inventory is not the target that its finding is about;"
                " the inventory has changed, so start a new output"
            )
        if status == "todo":
            yield row


@dataclass(slots=True)
class Run:
    """One ``tlsweep scan``, ready to go."""

    inventory: str
    output: str | None
    config: ScanConfig
    material: Material
    judge: Judge
    rows: Iterator[Row]
    writer: Writer
    certificates: Writer | None
    fail_on: frozenset[str]
    run_id: str
    already: int = 0
    stats: Stats = field(default_factory=Stats)
    matched: bool = False
    interrupted: bool = False
    _known_certificates: set[bytes] = field(default_factory=set)
    _files: ExitStack = field(default_factory=ExitStack)
    _total: int | None = None

    @classmethod
    def prepare(cls, inventory: str, given: dict[str, Any]) -> Run:
        """Read and open everything; nothing is contacted and no output is touched before all of it is in order."""
        config = opt.scan_config(given)
        what = material(given)
        fail_on = parse_fail_on(given["fail_on"])
        if given["force"] and given["resume"]:
            raise UsageProblem("--force and --resume exclude each other")
        judge = make_judge(what)
        rows: Iterator[Row] = read_inventory(
            inventory, default_protocol=config.default_protocol, default_port=config.default_port, protocols=PROTOCOLS
        )
        output, resume = given["output"], given["resume"]
        already = 0
        if resume and output not in (None, "-"):
            done = completed(output)
            already = len(done)
            rows = still_to_do(rows, done)
        with ExitStack() as stack:
            writer = stack.enter_context(open_output(output, force=given["force"], resume=resume))
            certificates, known = None, set[bytes]()
            if given["certificates"]:
                known = certificates_in(given["certificates"]) if resume else known
                certificates = stack.enter_context(
                    open_output(given["certificates"], force=given["force"], resume=resume, holds="certificates")
                )
            return cls(
                inventory=inventory,
                output=None if output == "-" else output,
                config=config,
                material=what,
                judge=judge,
                rows=rows,
                writer=writer,
                certificates=certificates,
                fail_on=fail_on,
                run_id=new_run_id(time.time()),
                already=already,
                _known_certificates=known,
                _files=stack.pop_all(),
            )

    def emit(self, finding: Finding) -> None:
        """Write one finding and fold it into the statistics."""
        self.writer.write(finding)
        self.stats.add(finding)
        if self.fail_on and not self.matched:
            self.matched = matches_fail_on(finding, self.fail_on)

    def execute(self, *, show: bool, stream: TextIO) -> int:
        """Scan; returns the exit status."""
        trio.run(self.scan_all, show and stream.isatty())
        if show:
            print(as_table(self.stats), file=stream)
        if self.interrupted:
            rest = "" if self.output is None else "; --resume goes on from here"
            print(f"tlsweep: interrupted, what was done is kept{rest}", file=stream)
            return INTERRUPTED
        return 1 if self.matched else 0

    def keep_certificates(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> None:
        """Write each certificate that was not met before in this run, with its DER."""
        assert self.certificates is not None
        for endpoint, verdict in zip(evidence.endpoints, verdicts, strict=True):
            flight = flight_of(endpoint)
            if flight is None or verdict is None:
                continue
            for der, certificate in zip(flight.certificates, verdict.sent, strict=True):
                digest = hashlib.sha256(der).digest()
                if digest not in self._known_certificates:
                    self._known_certificates.add(digest)
                    if certificate is not None:
                        self.certificates.write(describe(certificate, with_der=True))
                    else:
                        self.certificates.write(describe_malformed(der, "does not parse"))

    async def scan_all(self, progress: bool) -> None:
        """Scan to the end, or to a signal; the files are closed then."""
        raise_file_limit()
        collect_seldom()
        with self._files:
            try:
                await self._scan(progress)
            except* OutputClosed:
                # the reader of our standard output has gone, as after ``| head``
                self.interrupted = True

    async def _scan(self, progress: bool) -> None:
        async with (
            open_session(
                self.config,
                self.material,
                run_id=self.run_id,
                judge=self.judge,
                emit=self.emit,
                judged=None if self.certificates is None else self.keep_certificates,
                fragments=Fragments(),
            ) as session,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._stop_on_signal, nursery.cancel_scope)
            nursery.start_soon(self._flush)
            if progress:
                from scanner.cli.progress import show_progress  # tqdm is only loaded for a terminal

                nursery.start_soon(self._count)
                nursery.start_soon(
                    show_progress, session.scan.statistics, lambda: self._total, self.already, sys.stderr
                )
            await session.run(self.rows)
            nursery.cancel_scope.cancel()

    async def _count(self) -> None:
        self._total = await trio.to_thread.run_sync(count_rows_hint, self.inventory, abandon_on_cancel=True)

    async def _flush(self) -> None:
        while True:
            await trio.sleep(FLUSH_EVERY)
            self.writer.flush()

    async def _stop_on_signal(self, scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self.interrupted = True
                scope.cancel()
