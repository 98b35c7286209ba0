"""Evidence and verdicts to the finding: diagnosed and put together, less what our own bugs have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis import assemble
from scanner.diagnosis.case import Context
from scanner.diagnosis.engine import diagnose, diagnose_certificates, not_fully_judged
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
) -> Finding:
    """The finding of one target. ``verdicts`` is parallel to ``evidence.endpoints``.

    ``facts`` is what the target tells the fleet, if anything. ``failed`` is what of the judgement our own bugs have cost already;
    those met here are added to the finding's error, and what does not depend on them stands.
    """
    try:
        diagnosis = diagnose(evidence, verdicts, context)
    except BaseException as error:  # noqa: BLE001 - our own bug costs all but the certificates' own diagnosis
        failed = [*failed, describe_caught("diagnosis", error)]
        diagnosis = diagnose_certificates(evidence, verdicts, context)
    if failed:
        diagnosis = not_fully_judged(diagnosis, failed)
    try:
        return assemble.finding(
            evidence,
            verdicts,
            diagnosis,
            run_id,
            facts=facts,
            fragments=fragments,
            context=context,
            judged_with=judged_with,
        )
    except BaseException as error:  # noqa: BLE001 - our own bug costs what was seen, not the diagnosis
        diagnosis = not_fully_judged(diagnosis, [describe_caught("finding", error)])
        return assemble.bare_finding(evidence, diagnosis, run_id)
