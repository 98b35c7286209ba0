"""From evidence to finding, without a network: verdicts on certificates, facts for the fleet, the next question, the finding.

A run asks for these in the order observe, judge, diagnose, write (``scanner.run.scan``); ``tlsweep check --chain`` and
``tlsweep diagnose`` ask for them with evidence from a file. Everything here is a pure function of the evidence, the options,
the trust material and a moment. What is kept between calls saves work and changes no answer, with one exception: the
intermediates that a run has met complete the paths of later targets.

One instance serves one run in one thread. It does not know the fleet: whoever has a ``Fold`` hands in its verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis.case import NO_FLEET, Context, flight_of
from scanner.diagnosis.finding import finding_of
from scanner.diagnosis.parts import part_of
from scanner.diagnosis.questions import Question, next_question
from scanner.fleet.correlate.domains import registrable
from scanner.fleet.correlate.facts import Facts
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.fleet.correlate.gather import facts_of
from scanner.model.config import ScanConfig
from scanner.model.evidence import EndpointEvidence, Evidence, Target
from scanner.model.findings import Finding
from scanner.trust.leaf_only import verify_or_leaf
from scanner.trust.transparency import Transparency
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier


class Judgement:
    """Judges evidence by the options of one run and writes its findings.

    With ``fragments`` the findings hold certificates as JSON text: they can be written, not read. ``judged_with``
    and ``run_warnings`` go into each finding.
    """

    def __init__(
        self,
        config: ScanConfig,
        verifier: ChainVerifier,
        *,
        run_id: str,
        transparency: Transparency | None = None,
        fragments: Fragments | None = None,
        judged_with: Mapping[str, Any] | None = None,
        run_warnings: Sequence[str] = (),
    ) -> None:
        self.run_id = run_id
        self.run_warnings = run_warnings
        self._config = config
        self.verifier = verifier
        self._transparency = transparency
        self._fragments = fragments
        self._judged_with = judged_with

    def moment(self, started: float, fleet: FleetVerdict = NO_FLEET) -> float:
        """Return the time to judge certificates at: ``--at``, else ``started``, corrected where the fleet knows the clock is wrong."""
        if self._config.at is not None:
            return self._config.at
        return started if fleet is NO_FLEET else fleet.clock.corrected(started)

    def verdict(self, target: Target, endpoint: EndpointEvidence, at: float) -> ChainVerdict | None:
        """Verify the certificates that one address sent; ``None`` where it sent none."""
        flight = flight_of(endpoint)
        if flight is None or not flight.certificates:
            return None
        sent = flight.leaf_first if flight.negotiation.leaf_position else flight.certificates
        return verify_or_leaf(self.verifier, sent, name=target.name, at=at)

    def verdicts(self, evidence: Evidence, fleet: FleetVerdict = NO_FLEET) -> list[ChainVerdict | None]:
        """Return the verdicts of all addresses, parallel to ``evidence.endpoints``."""
        at = self.moment(evidence.started, fleet)
        return [self.verdict(evidence.target, endpoint, at) for endpoint in evidence.endpoints]

    def verdict_at_start(self, target: Target, endpoint: EndpointEvidence, started: float) -> ChainVerdict | None:
        """Verify what one address sent for a target that was begun at ``started``."""
        return self.verdict(target, endpoint, self.moment(started))

    def next_question(
        self,
        target: Target,
        endpoint: EndpointEvidence,
        verdict: ChainVerdict | None,
        wants_date: Callable[[str], bool] | None = None,
    ) -> Question | None:
        """Return the follow-up to make next at an address with this verdict; ``None`` if nothing is open.

        ``wants_date`` returns True for a name whose server may be asked for the date; without it each is.
        """
        config = self._config
        return next_question(
            target,
            endpoint,
            verdict,
            enumerate=config.enumerate,
            authenticate=config.authenticate,
            wants_date=wants_date,
        )

    def facts(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Facts | None:
        """Return what one target tells the fleet; nothing if what was seen is in doubt. A chain that could not be judged for a bug
        of ours tells nothing either."""
        if evidence.doubt is not None:
            return None
        for verdict in verdicts:
            if verdict is not None and verdict.error is not None:
                verdicts = [None if each is None or each.error is not None else each for each in verdicts]
                break
        only = verdicts[0] if len(verdicts) == 1 else None
        if only is None or evidence.issuers or evidence.endpoints[0].completions:
            return facts_of(evidence, verdicts, self._transparency)
        if only.trusted and not evidence.revocation:
            return None
        part = part_of(only)
        if not part.tells_alike or (only.name is not None and not only.name.matches):
            return facts_of(evidence, verdicts, self._transparency)
        # a chain's time is counted by the domains that have it
        domain = "" if only.trusted else registrable(evidence.target.name)
        key = (evidence.revocation, int(evidence.started), domain)
        if part.facts is None or part.facts[0] != key:
            part.facts = key, facts_of(evidence, verdicts, self._transparency)
        return cast("Facts | None", part.facts[1])

    def finding(
        self,
        evidence: Evidence,
        verdicts: Sequence[ChainVerdict | None],
        fleet: FleetVerdict = NO_FLEET,
        failed: Sequence[str] = (),
        facts: Facts | None = None,
    ) -> Finding:
        """Diagnose a target and write its finding, which carries its ``facts``. ``failed`` names bugs of ours that have already cost
        a part of the judgement."""
        config = self._config
        context = Context(
            at=self.moment(evidence.started, fleet),
            language=config.language,
            expiry_warning_days=config.expiry_warning_days,
            fleet=fleet,
            revocation=config.revocation,
            transparency=self._transparency,
        )
        return finding_of(
            evidence,
            verdicts,
            context,
            self.run_id,
            failed=failed,
            facts=facts,
            fragments=self._fragments,
            judged_with=self._judged_with,
            run_warnings=self.run_warnings,
        )

    def file_finding(self, evidence: Evidence, *, name: str | None) -> Finding:
        """Write the finding of certificates from a file, for ``name`` or (``None``) for any.

        It has no commands that connect: nothing is deployed yet.
        """
        at = self.moment(evidence.started)
        verdicts = [
            None if flight is None else verify_or_leaf(self.verifier, flight.leaf_first, name=name, at=at)
            for flight in (endpoint.probe.flight for endpoint in evidence.endpoints)
        ]
        finding = self.finding(evidence, verdicts, facts=self.facts(evidence, verdicts))
        for diagnosis in finding["diagnoses"]:
            diagnosis.pop("confirm", None)
        return finding


class TargetJudgement:
    """Judges one target while it is observed, and verifies what its address sent once for all who ask."""

    __slots__ = ("_endpoint", "_judgement", "_verdict", "_wants_date")

    def __init__(self, judgement: Judgement, wants_date: Callable[[str], bool] | None = None) -> None:
        self._judgement = judgement
        self._wants_date = wants_date
        self._endpoint: EndpointEvidence | None = None
        self._verdict: ChainVerdict | None = None

    def next_question(self, target: Target, endpoint: EndpointEvidence, started: float) -> Question | None:
        """Return the follow-up to make next at an address; ``None`` if nothing is open."""
        verdict = self._judgement.verdict_at_start(target, endpoint, started)
        question = self._judgement.next_question(target, endpoint, verdict, self._wants_date)
        # kept for a moment only: parsed certificates may be large, and a follow-up takes its time
        self._endpoint, self._verdict = (endpoint, verdict) if question is None else (None, None)
        return question

    def verdicts(self, evidence: Evidence) -> list[ChainVerdict | None]:
        """Return the verdicts of all addresses, parallel to ``evidence.endpoints``."""
        if len(evidence.endpoints) == 1 and evidence.endpoints[0] is self._endpoint:
            return [self._verdict]
        return self._judgement.verdicts(evidence)
