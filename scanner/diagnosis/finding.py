"""Evidence and verdicts to the finding: diagnosed and put together, less what our own bugs have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis.assembly import finding_record
from scanner.diagnosis.case import Context, cases_of
from scanner.diagnosis.engine import diagnose_cases, diagnose_certificates, not_fully_judged
from scanner.errors import describe_caught
from scanner.model.evidence import Evidence
from scanner.model.findings import Finding
from scanner.trust.verdicts import ChainVerdict


def finding_of(
    evidence: Evidence,
    verdicts: Sequence[ChainVerdict | None],
    context: Context,
    run_id: str,
    *,
    failed: Sequence[str] = (),
    facts: Struct | None = None,
    fragments: Fragments | None = None,
    judged_with: Mapping[str, Any] | None = None,
    run_warnings: Sequence[str] = (),
) -> Finding:
    """Return the finding of one target. ``verdicts`` is parallel to ``evidence.endpoints``.

    ``facts`` is what the target tells the fleet, if anything. ``failed`` is what of the judgement our own bugs have cost already;
    those met here are added to the finding's error, and what does not depend on them is kept.
    """
    cases = cases_of(evidence, verdicts, context)
    try:
        diagnosis = diagnose_cases(evidence, cases, context)
    except BaseException as error:  # noqa: BLE001 - our own bug costs all but the certificates' own diagnosis
        failed = [*failed, describe_caught("diagnosis", error)]
        diagnosis = diagnose_certificates(evidence, verdicts)
    seen, faults = finding_record.NOTHING_SEEN, list(failed)
    try:
        seen = finding_record.seen(evidence, cases, faults, fragments, facts)
    except BaseException as error:  # noqa: BLE001 - our own bug costs what was seen, not the diagnosis
        faults = [*failed, describe_caught("finding", error)]
    if faults:
        diagnosis = not_fully_judged(diagnosis, faults)
    return finding_record.finding(evidence, diagnosis, run_id, seen, judged_with=judged_with, run_warnings=run_warnings)
