"""What ``--fail-on`` asks of a finding: one rule for every command, with one process and with several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

# A target that fails, or that was not fully judged and so is not in order.
ANY: Final = "any"
# A diagnosis that is a warning.
WARNING: Final = "warning"
# A row that cannot be used.
INVALID: Final = "invalid"
# Words beside causes and codes
WORDS: Final = frozenset({ANY, WARNING, INVALID})


def words_of(finding: Mapping[str, Any]) -> set[str]:
    """Every word of ``--fail-on`` that the finding matches: causes and codes of its errors, and those of ``WORDS``."""
    outcome, diagnoses = finding["outcome"], finding["diagnoses"]
    words: set[str] = set()
    if outcome == "ok" and not diagnoses:
        return words
    if outcome == "invalid":
        words.add(INVALID)
    elif outcome == "fail" or finding.get("error") is not None:
        words.add(ANY)
    for diagnosis in diagnoses:
        if diagnosis["severity"] == "error":
            words.add(diagnosis["code"])
            words.add(diagnosis["cause"])
        elif diagnosis["severity"] == "warning":
            words.add(WARNING)
    return words
