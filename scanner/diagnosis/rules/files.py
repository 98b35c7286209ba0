"""Rules on certificate files that are judged before they are deployed (``tlsweep check --chain``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from scanner.diagnosis.case import FILE_OFFER, Case
from scanner.diagnosis.claim import Claim

# Between the faults of a file in ``Probe.detail``
SEPARATOR: Final = "; "


def file_claims(case: Case) -> Iterator[Claim]:
    """Yield ``malformed-certificate`` for a file of which servers can read less than we do, or nothing."""
    probe = case.probe
    if probe.offer == FILE_OFFER and probe.failure is None and probe.detail:
        faults = probe.detail.split(SEPARATOR)
        yield Claim("malformed-certificate", {"file_fault": faults[0], "faults": faults})
