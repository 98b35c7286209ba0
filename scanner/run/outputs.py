"""What a scan leaves: the findings file, the certificates file, the counts, and whether ``--fail-on`` has matched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import trio

from scanner.fleet.stats.run_counts import RunCounts
from scanner.model.evidence import Evidence
from scanner.model.findings import Finding
from scanner.output import Completed, Writer, certificates_in, check_output, completed, open_output
from scanner.run.certificate_file import new_certificates
from scanner.run.fail_on import FailOn
from scanner.trust.verdicts import ChainVerdict

if TYPE_CHECKING:
    from scanner.run.worker import Report  # most runs have one process

# Findings are handed to the system at least this often, in seconds.
FLUSH_EVERY: Final = 0.2


class ScanOutputs:
    """The open outputs of one scan, and what is counted on their way."""

    def __init__(self, findings: Writer, certificates: Writer | None, fail_on: Set[str]) -> None:
        self.counts = RunCounts()
        self.fail_on = FailOn(fail_on)
        self.known_certificates: set[bytes] = set()  # SHA-256 of those that are in the certificates file
        self._findings = findings
        self._certificates = certificates

    @property
    def on_judged(self) -> Callable[[Evidence, Sequence[ChainVerdict | None]], None] | None:
        """What takes the certificates of each target; ``None`` if they are not wanted."""
        return None if self._certificates is None else self._write_certificates

    def on_finding(self, finding: Finding) -> None:
        """Write and count one finding."""
        self._findings.write(finding)
        if finding["outcome"] == "ok" and not finding["diagnoses"]:
            # the table at the end has neither runs nor the inventory's own columns
            self.counts.total.add("ok", None, ())
        else:
            self.count(finding)

    def on_report(self, report: Report) -> None:
        """Write and count what a worker process has found."""
        for digest, line in report.certificates:
            if self._certificates is not None and digest not in self.known_certificates:
                self.known_certificates.add(digest)
                self._certificates.write_lines(line)
        if report.lines:
            self._findings.write_lines(b"".join(report.lines))
        self.counts.merge(report.stats)
        self.fail_on.add_words(report.words)

    def count(self, finding: Mapping[str, Any]) -> None:
        """Count one finding, written now or by the run that is resumed."""
        self.counts.add(finding)
        self.fail_on.add(finding)

    async def keep_flushing(self) -> None:
        """Hand what was written to the system from time to time. Raises ``OutputClosed`` once the reader of a pipe has gone."""
        while True:
            await trio.sleep(FLUSH_EVERY)
            self._findings.flush_due()
            self._findings.check_reader()

    def _write_certificates(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> None:
        assert self._certificates is not None
        for _, record in new_certificates(evidence, verdicts, self.known_certificates):
            self._certificates.write(record)


def open_outputs(
    files: ExitStack, output: str | None, certificates: str | None, *, force: bool, resume: bool, fail_on: Set[str]
) -> tuple[ScanOutputs, Completed | None]:
    """Open the outputs in ``files``; on ``resume`` also return what the findings file already answers. Raises ``OutputError``.

    A findings file is locked, and its torn end cut off, before its findings are counted.
    """
    if certificates is not None:
        check_output(certificates, force=force, resume=resume)
    writer = files.enter_context(open_output(output, force=force, resume=resume))
    if certificates is not None:
        writer.before = files.enter_context(open_output(certificates, force=force, resume=resume, holds="certificates"))
    outputs = ScanOutputs(writer, writer.before, fail_on)
    if not resume or output is None:
        return outputs, None
    if certificates is not None:
        outputs.known_certificates = certificates_in(certificates)
    return outputs, completed(output, outputs.count)
