"""A target that was observed and is to be concluded, and what of it is kept while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from scanner.caching import PARSED
from scanner.fleet.correlate.facts import Facts
from scanner.model.evidence import Evidence
from scanner.run.spool import evidence_bytes
from scanner.trust.verdicts import ChainVerdict

Verdicts = Sequence[ChainVerdict | None]  # parallel to the endpoints of some evidence
# What a verdict takes in memory beside the certificate of the host, which is parsed.
VERDICT_BYTES: Final = 1500


class Observed(Struct, frozen=True):
    """A target that was observed: its evidence, and whether rows that name it wait for its finding (``owned``).

    ``verdicts`` and the ``facts`` drawn from them are kept where the target waits in memory; they hold as long as the run knows as
    many ``intermediates`` as it did before they were made.
    """

    evidence: Evidence
    owned: bool
    verdicts: Verdicts | None = None
    intermediates: int = 0
    facts: Facts | None = None


def observed_bytes(observed: Observed) -> int:
    """Return about how many bytes of memory a target takes that waits, with its verdicts."""
    size = evidence_bytes(observed.evidence)
    for verdict in observed.verdicts or ():
        if verdict is not None:
            size += VERDICT_BYTES + (0 if verdict.leaf is None else PARSED * len(verdict.leaf.der))
    return size


def evidence_alone(observed: Observed) -> Observed:
    """Return what of a waiting target is written to disk: its verdicts are made again."""
    return Observed(observed.evidence, observed.owned)
