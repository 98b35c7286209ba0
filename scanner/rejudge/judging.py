"""Recorded findings judged again: the same verifier, rules and fold as a run has, over what its findings say was seen.

The files are read three times: for the certificates, which stand whole in the first finding that has them; for what the
fleet as a whole says; and to verifier and write. Memory is bounded whatever they hold.
"""

from __future__ import annotations

from binascii import a2b_base64
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from msgspec import Struct

from scanner.codec.certificate_dedup import Fragments
from scanner.codec.decode import RecordedError
from scanner.diagnosis.case import NO_FLEET
from scanner.diagnosis.recorded import evidence_of
from scanner.errors import describe_bug, describe_caught
from scanner.fleet.correlate.facts import recorded_sntp
from scanner.fleet.correlate.fold import Fold
from scanner.model.evidence import Evidence
from scanner.model.findings import Finding
from scanner.output import Unreadable, read_certificates, read_findings
from scanner.rejudge.certificate_store import Certificates, CertificatesError
from scanner.rejudge.judging_options import Key, Options
from scanner.run.inputs import make_judgement, make_transparency, make_verifier
from scanner.run.judgement import FILE_OFFER, Judgement
from scanner.trust.ct_logs import LogListError
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import StoreError
from scanner.trust.verifier import ChainVerifier
from scanner.x509.certificate import Certificate, CertificateError

# Runs in one file, and sets of options among them: each has a fold or a verifier of its own. Real files have a handful.
MAX_RUNS: Final = 256
MAX_SETUPS: Final = 16
# Targets remembered so that one that several rows name counts once for the fleet, as it does in a run.
REMEMBERED: Final = 4096
# What is wrong with the files that the caller named, or with this machine, is no finding's matter.
_OURS: Final = (StoreError, LogListError, CertificatesError)
# Taken over as they are: they say what was done, not what it means.
_OF_THE_RUN: Final = ("run", "target", "started", "duration_ms", "attempts")


class Judged(Struct, frozen=True):
    """A finding as it was, and as it is now; ``now`` is ``None`` where ``problem`` says why it could not be judged."""

    before: dict[str, Any]
    now: Finding | dict[str, Any] | None
    problem: str | None = None


class RecordedRun:
    """One run of the files: its judgement, and the fold over what its targets say."""

    def __init__(self, judgement: Judgement, *, judge_clock: bool) -> None:
        self.judgement = judgement
        self.fold = Fold(judge_clock=judge_clock)

    def add(self, evidence: Evidence) -> None:
        """Fold what one target says."""
        self.fold.add(self.judgement.facts(evidence, self.judgement.verdicts(evidence)))

    def finding(self, evidence: Evidence) -> Finding:
        """ChainVerifier one target, by what all targets of the run say."""
        judgement, fleet, failed, facts = self.judgement, NO_FLEET, list[str](), None
        verdicts = judgement.verdicts(evidence)
        try:
            facts = judgement.facts(evidence, verdicts)
            if self.fold.concerns(facts) or self.fold.clock.verdict().state == "wrong":
                fleet = self.fold.verdict()
                verdicts = judgement.verdicts(evidence, fleet)
        except BaseException as error:  # noqa: BLE001 - our own bug costs what the fleet says of it
            failed.append(describe_caught("fleet", error))
        return judgement.finding(evidence, verdicts, fleet, failed, facts)


class Rejudge:
    """Findings in ``paths``, which can be read several times, and certificates in further files."""

    def __init__(
        self, paths: Sequence[str], options: Options, certificates: Certificates, *, fragments: Fragments | None = None
    ) -> None:
        self._paths = tuple(paths)
        self._options = options
        self._certificates = certificates
        self._fragments = fragments
        self._verifiers: dict[Key, tuple[ChainVerifier, Callable[[str], RecordedRun]]] = {}
        self._runs: dict[tuple[str, Key], RecordedRun] = {}

    def collect(self, certificate_files: Sequence[str] = ()) -> None:
        """First reading: the certificates. Raises ``NotFindings``, ``CertificatesError``."""
        for der in read_certificates(certificate_files):
            self._certificates.put(der)
        for finding in self._findings():
            entries = finding.get("certificates")
            for entry in entries if isinstance(entries, list) else ():
                if (whole := _der(entry)) is not None:
                    self._certificates.put(whole)

    def fold(self) -> None:
        """Second reading: what all targets of a run say together, and the intermediates that its servers sent."""
        met: OrderedDict[object, None] = OrderedDict()
        for finding in self._findings():
            if finding["outcome"] == "invalid":
                continue
            try:
                evidence, run, verifier = self._read(finding)
                target = evidence.target
                same = (finding["run"], target.host, target.port, target.protocol, target.sni, evidence.started)
                if same in met:
                    continue
                met[same] = None
                if len(met) > REMEMBERED:
                    met.popitem(last=False)
                _learn_fetched(evidence, verifier, self._certificates)
                run.add(evidence)
                for witness in recorded_sntp(finding):
                    run.fold.clock.hear(witness)
            except RecordedError:
                continue  # told when it is to be written
            except Exception:  # noqa: BLE001 - as in `findings`, which tells of it
                continue

    def findings(self) -> Iterator[Judged | Unreadable]:
        """Third reading: every finding judged, in the order of the files."""
        for item in read_findings(self._paths):
            if isinstance(item, Unreadable):
                yield item
            elif item["outcome"] == "invalid":
                yield Judged(item, item)
            else:
                yield self._judged(item)

    def _findings(self) -> Iterator[dict[str, Any]]:
        for item in read_findings(self._paths):
            if not isinstance(item, Unreadable):
                yield item

    def _judged(self, before: dict[str, Any]) -> Judged:
        try:
            evidence, run, _ = self._read(before)
            now = _file_finding(evidence, run.judgement) if _is_file(evidence) else run.finding(evidence)
        except RecordedError as error:
            return Judged(before, None, str(error))
        except _OURS:
            raise
        except Exception as error:  # noqa: BLE001 - one finding, which may be made to do this, never costs the others
            return Judged(before, None, f"tlsweep itself failed on it; please report this: {describe_bug(error)}")
        record = cast(dict[str, Any], now)
        for name in _OF_THE_RUN:
            if name in before:
                record[name] = before[name]
        for name in before.keys() - Finding.__annotations__.keys():
            record[name] = before[name]
        return Judged(before, now)

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
    """Certificates that no server sent: ``tlsweep check --chain``."""
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


def _learn_fetched(evidence: Evidence, verifier: ChainVerifier, certificates: Certificates) -> None:
    """What the run fetched completes paths here too."""
    fetched_by_hash: dict[str, Certificate] = {}
    for fetched in evidence.issuers:
        # one that was fetched itself is in no list of certificates unless it closed the path
        child = fetched_by_hash.get(fetched.certificate) or _parsed(certificates.get(fetched.certificate))
        below = [] if child is None else [child]
        for certificate in map(_parsed, fetched.certificates):
            # each signs the one that it was fetched for, or one that came with it
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
