"""Judges recorded findings again, with the verifier, rules and fold of a run, from the evidence that they contain.

The files are read three times: for the certificates, which only the first finding that has them contains in full; for what
the fleet says as a whole; and to judge each finding. Memory is limited whatever they contain.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct

from scanner.caching import Cache
from scanner.codec.certificate_dedup import Fragments
from scanner.codec.decode import RecordedError
from scanner.diagnosis.case import FILE_OFFER, NO_FLEET
from scanner.diagnosis.recorded import evidence_of
from scanner.errors import describe_bug, describe_caught
from scanner.fleet.correlate.facts import recorded_sntp
from scanner.fleet.correlate.fold import Fold
from scanner.fleet.correlate.gather import latest_beginning
from scanner.model.evidence import Evidence
from scanner.model.findings import Finding
from scanner.output import Unreadable, read_certificates, read_findings
from scanner.rejudge.certificate_store import CertificateStore, CertificateStoreError
from scanner.rejudge.judging_options import JudgingOptions, Key
from scanner.run.inputs import make_judgement, make_transparency, make_verifier
from scanner.run.judgement import Judgement
from scanner.trust.ct_logs import LogListError
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import StoreError
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate, CertificateError

# Runs in the files, and different sets of options: each has its own fold or verifier. Real files have a handful.
MAX_RUNS: Final = 256
MAX_SETUPS: Final = 16
# Targets remembered, so that one that several rows name counts once for the fleet, as it does in a run; and bytes of their names.
REMEMBERED: Final = 4096
REMEMBERED_BYTES: Final = 4 << 20
# Errors of the files that the user named, or of this machine, which end the command.
_FATAL: Final = (StoreError, LogListError, CertificateStoreError)
# Members that are kept, as they record what was done and not what it means.
_OF_THE_RUN: Final = ("run", "target", "started", "duration_ms", "attempts", "run_warnings")


class Rejudged(Struct, frozen=True):
    """A finding before and after; ``now`` is ``None`` if it could not be judged, for the reason in ``problem``."""

    before: dict[str, Any]
    now: Finding | dict[str, Any] | None
    problem: str | None = None


class RecordedRun:
    """A run in the files: its judgement, and the fold over its targets."""

    def __init__(self, judgement: Judgement, *, judge_clock: bool) -> None:
        self.judgement = judgement
        self.fold = Fold(judge_clock=judge_clock)

    def add(self, evidence: Evidence) -> None:
        """Add the facts of one target to the fold."""
        verdicts = self.judgement.verdicts(evidence)
        begun = None if evidence.doubt is not None else latest_beginning(verdicts)
        self.fold.add(self.judgement.facts(evidence, verdicts), begun)

    def finding(self, evidence: Evidence) -> Finding:
        """Judge one target, with what the fold has learnt from all targets of the run."""
        judgement, fleet, failed, facts = self.judgement, NO_FLEET, list[str](), None
        verdicts = judgement.verdicts(evidence)
        try:
            facts = judgement.facts(evidence, verdicts)
            if self.fold.concerns(facts) or self.fold.clock.verdict().state == "wrong":
                # in a run, only targets that waited for its end know what the whole of it says
                fleet = self.fold.verdict(whole_run=facts is not None and self.fold.clock.concerns(facts))
                verdicts = judgement.verdicts(evidence, fleet)
        except BaseException as error:  # noqa: BLE001 - our own bug costs what the fleet says of it
            failed.append(describe_caught("fleet", error))
        return judgement.finding(evidence, verdicts, fleet, failed, facts)


class Rejudger:
    """Judges the findings in ``paths``, which are read several times."""

    def __init__(
        self,
        paths: Sequence[str],
        options: JudgingOptions,
        certificates: CertificateStore,
        *,
        fragments: Fragments | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._options = options
        self._certificates = certificates
        self._fragments = fragments
        self._verifiers: dict[Key, tuple[ChainVerifier, Callable[[str], RecordedRun]]] = {}
        self._runs: dict[tuple[str, Key], RecordedRun] = {}

    def collect(self, certificate_files: Sequence[str] = ()) -> None:
        """First pass: store the certificates, also of ``--certificates`` files. Raises ``NotFindings``, ``CertificateStoreError``."""
        for der in read_certificates(certificate_files):
            self._certificates.put(der)
        for finding in self._findings():
            entries = finding.get("certificates")
            for entry in entries if isinstance(entries, list) else ():
                if (whole := _der(entry)) is not None:
                    self._certificates.put(whole)

    def fold(self) -> None:
        """Second pass: fold the facts of all targets of each run, and learn the intermediates that it fetched."""
        met: Cache[tuple[object, ...], bool] = Cache(REMEMBERED, REMEMBERED_BYTES, lambda key, _: len(repr(key)))
        for finding in self._findings():
            if finding["outcome"] == "invalid":
                continue
            try:
                evidence, run, verifier = self._read(finding)
                target = evidence.target
                same = (finding["run"], target.host, target.port, target.protocol, target.sni, evidence.started)
                if met.get(same):
                    continue
                met.put(same, True)
                _learn_fetched(evidence, verifier, self._certificates)
                run.add(evidence)
                for witness in recorded_sntp(finding):
                    run.fold.clock.add_witness(witness)
            except Exception:  # noqa: BLE001 - as in the third pass, which reports it
                continue

    def findings(self) -> Iterator[Rejudged | Unreadable]:
        """Third pass: yield every finding, judged again, in the order of the files."""
        for item in read_findings(self._paths):
            if isinstance(item, Unreadable):
                yield item
            elif item["outcome"] == "invalid":
                yield Rejudged(item, item)
            else:
                yield self._judged(item)

    def _findings(self) -> Iterator[dict[str, Any]]:
        for item in read_findings(self._paths):
            if not isinstance(item, Unreadable):
                yield item

    def _judged(self, before: dict[str, Any]) -> Rejudged:
        try:
            evidence, run, _ = self._read(before)
            now = _file_finding(evidence, run.judgement) if _is_file(evidence) else run.finding(evidence)
        except RecordedError as error:
            return Rejudged(before, None, str(error))
        except _FATAL:
            raise
        except Exception as error:  # noqa: BLE001 - a finding, which may be crafted, must not cost the others
            return Rejudged(before, None, f"tlsweep itself failed on it; please report this: {describe_bug(error)}")
        record = cast(dict[str, Any], now)
        for name in _OF_THE_RUN:
            if name in before:
                record[name] = before[name]
        for name in before.keys() - Finding.__annotations__.keys():
            record[name] = before[name]
        return Rejudged(before, now)

    def _read(self, finding: Mapping[str, Any]) -> tuple[Evidence, RecordedRun, ChainVerifier]:
        run, verifier = self._run_of(finding)
        return evidence_of(finding, self._certificates.get), run, verifier

    def _run_of(self, finding: Mapping[str, Any]) -> tuple[RecordedRun, ChainVerifier]:
        name = finding.get("run")
        if not isinstance(name, str):
            raise RecordedError("run: not what a finding has there")
        key = self._options.key(finding)
        if key not in self._verifiers:
            if len(self._verifiers) >= MAX_SETUPS:
                raise RecordedError(f"its options are unlike those of {MAX_SETUPS} others in these files")
            self._verifiers[key] = self._verifier_for(key)
        verifier, make_run = self._verifiers[key]
        run = self._runs.get((name, key))
        if run is None:
            if len(self._runs) >= MAX_RUNS:
                raise RecordedError(f"it is of one run more than the {MAX_RUNS} that are told apart")
            run = self._runs[name, key] = make_run(name)
        return run, verifier

    def _verifier_for(self, key: Key) -> tuple[ChainVerifier, Callable[[str], RecordedRun]]:
        setup = self._options.setup(key)
        try:
            verifier, transparency = make_verifier(setup.inputs, Intermediates()), make_transparency(setup.inputs)
        except (StoreError, LogListError) as error:
            if not setup.recorded:
                raise
            setup = self._options.without_recorded_files(setup, str(error))
            verifier, transparency = make_verifier(setup.inputs, Intermediates()), make_transparency(setup.inputs)

        def make_run(name: str) -> RecordedRun:
            judgement = make_judgement(
                setup.config,
                setup.inputs,
                verifier,
                run_id=name,
                transparency=transparency,
                fragments=self._fragments,
            )
            return RecordedRun(judgement, judge_clock=setup.config.at is None)

        return verifier, make_run


def _is_file(evidence: Evidence) -> bool:
    """Return whether no server sent the certificates (``tlsweep check --chain``)."""
    return any(endpoint.probe.offer == FILE_OFFER for endpoint in evidence.endpoints)


def _file_finding(evidence: Evidence, judgement: Judgement) -> Finding:
    target = evidence.target
    name = target.name if target.sni is not None or target.host_is_ip else None
    return judgement.file_finding(evidence, name=name)


def _der(entry: Any) -> bytes | None:
    text = entry.get("der") if isinstance(entry, dict) else None
    if not isinstance(text, str):
        return None
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        return None


def _learn_fetched(evidence: Evidence, verifier: ChainVerifier, certificates: CertificateStore) -> None:
    """Add the intermediates that the run fetched, so that they complete paths here too."""
    fetched_by_hash: dict[str, Certificate] = {}
    for fetched in evidence.issuers:
        # a certificate that was fetched itself is among those of the finding only if it completed the path
        child = fetched_by_hash.get(fetched.certificate) or _parsed(certificates.get(fetched.certificate))
        below = [] if child is None else [child]
        for certificate in map(_parsed, fetched.certificates):
            # each signed the certificate that it was fetched for, or one that was fetched with it
            if certificate is not None and any(verifier.intermediates.learn_fetched(certificate, one) for one in below):
                below.append(certificate)
                fetched_by_hash[certificate.sha256] = certificate


def _parsed(der: bytes | None) -> Certificate | None:
    if der is None:
        return None
    try:
        return Certificate.parse_untrusted(der)
    except CertificateError:
        return None
