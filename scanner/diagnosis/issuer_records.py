"""What a finding says of an issuer that nobody trusts: enough to fold findings on disk as a run folds its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from scanner.codec.json_safe import safe_text
from scanner.diagnosis.case import Case
from scanner.model.findings import EndpointRecord
from scanner.trust.untrusted_issuer import reaches_anchor, untrusted_issuer_of
from scanner.trust.verdicts import ChainVerdict

_WHERE_TRUE: Final = ("keyed", "named", "own_key", "operated", "on_the_spot")


def add_untrusted_issuer(record: EndpointRecord, case: Case, verdict: ChainVerdict, cases: Sequence[Case]) -> None:
    """Write ``untrusted_issuer`` into the record of one address, where there is one."""
    found = None if reaches_anchor(verdict) else untrusted_issuer_of(verdict, case.endpoint)
    if found is None:
        return
    issuer: dict[str, Any] = {
        "key": found.key,
        "leaf_key": found.leaf_key,
        **{name: True for name in _WHERE_TRUE if getattr(found, name)},
    }
    if case.evidence.elsewhere or any(
        other.verdict is not None and other.verdict.publicly_trusted and other.verdict.trusted for other in cases
    ):
        issuer["elsewhere"] = True
    if found.product is not None:
        issuer["product"] = safe_text(found.product)
    record["untrusted_issuer"] = issuer
