"""What waits in memory is estimated with its verdicts, and goes to disk without them."""

from __future__ import annotations

import pickle

import pytest

from scanner.caching import PARSED
from scanner.run.observed_target import VERDICT_BYTES, Observed, evidence_alone, observed_bytes
from scanner.run.spool import evidence_bytes
from scanner.trust.verdicts import ChainVerdict
from tests.helpers import evidence, pki

LEAF = pki.certificate("leaf.example", san=["leaf.example"]).parsed


@pytest.mark.parametrize(
    ("verdicts", "more"),
    [
        (None, 0),
        ([None], 0),
        ([ChainVerdict((None,))], VERDICT_BYTES),
        ([ChainVerdict((LEAF,))], VERDICT_BYTES + PARSED * len(LEAF.der)),
        ([ChainVerdict((LEAF,)), None, ChainVerdict((LEAF,))], 2 * (VERDICT_BYTES + PARSED * len(LEAF.der))),
    ],
)
def test_verdicts_count_with_the_certificate_of_the_host(verdicts: list[ChainVerdict | None] | None, more: int) -> None:
    seen = evidence.evidence(evidence.answered())
    assert observed_bytes(Observed(seen, True, verdicts)) == evidence_bytes(seen) + more


@pytest.mark.parametrize("owned", [True, False])
def test_evidence_alone_is_written_to_disk(owned: bool) -> None:
    seen = evidence.evidence(evidence.answered())
    alone = evidence_alone(Observed(seen, owned, [ChainVerdict((LEAF,))], 7))
    assert alone == Observed(seen, owned)
    assert pickle.loads(pickle.dumps(alone)) == alone
