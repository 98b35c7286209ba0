"""``--fail-on``: the words of its option, which of them a finding matches, and whether any finding has matched."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from scanner.diagnosis.catalogue import CODES
from scanner.errors import UsageProblem
from scanner.model.findings import CAUSES
from scanner.text import quoted

# A target that fails, or that was not fully judged and so is not known to be healthy.
ANY: Final = "any"
# A diagnosis that is a warning.
WARNING: Final = "warning"
# A row that cannot be used.
INVALID: Final = "invalid"
# Words beside causes and codes
WORDS: Final = frozenset({ANY, WARNING, INVALID})


class FailOn:
    """The words of ``--fail-on``; ``matched`` says whether any finding so far matches one of them."""

    def __init__(self, words: Set[str]) -> None:
        self.words = frozenset(words)
        self.matched = False

    def add(self, finding: Mapping[str, Any]) -> None:
        """Take one finding into account."""
        if self.words and not self.matched:
            self.add_words(words_of(finding))

    def add_words(self, words: Set[str]) -> None:
        """Take into account findings that match ``words``."""
        if not self.words.isdisjoint(words):
            self.matched = True


def parse_fail_on(text: str | None) -> frozenset[str]:
    """Parse the value of ``--fail-on``: causes, codes and ``WORDS``. Raises ``UsageProblem``."""
    words = frozenset(word.strip() for word in (text or "").split(",") if word.strip())
    for word in words - WORDS:
        if word not in CAUSES and word not in CODES:
            known = ", ".join(sorted(WORDS))
            raise UsageProblem(f"--fail-on: {quoted(word)} is neither a cause nor a code, nor one of {known}")
        if not any(code.judged for code in CODES.values() if word in (code.code, code.cause)):
            raise UsageProblem(f"--fail-on: {word} is not judged by this version yet, so it would never match")
    return words


def known_words() -> frozenset[str]:
    """Return every word that ``parse_fail_on`` takes."""
    judged = [code for code in CODES.values() if code.judged]
    return WORDS | {code.code for code in judged} | {code.cause for code in judged}


def words_of(finding: Mapping[str, Any]) -> set[str]:
    """Return the words that the finding matches: causes and codes of its errors, and those of ``WORDS``."""
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
