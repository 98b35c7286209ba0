"""Sorts of findings: what hangs on nothing but the outcome, the cause, and the codes of the diagnoses, found once for thousands
of findings that have the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from scanner.fleet.stats.clusters import MAX_KEY, NOTES, Rooting, is_rooted, rooting_of
from scanner.fleet.stats.counts import codes_of
from scanner.fleet.stats.explained import FLEET_CODES, causes_of
from scanner.model.findings import CAUSES

# Sorts remembered, and the characters of all codes and causes of one: a fleet has some hundred, of a hundred characters. Others
# come from files that are not ours, and are made anew each time; together they take some 10 MB at most.
MAX_SORTS: Final = 4096
MAX_CHARACTERS: Final = 2000

_PARTS: Final = itemgetter("cause", "code", "severity")


class Sort:
    """``codes`` are the distinct (cause, code) pairs, ``errors`` the causes of the errors, and ``named`` the one that such
    findings are named by, or nothing. ``says``: some code is one that only the fleet gives. ``rootings``: of each diagnosis that
    has roots its place, its code, and what finds them; ``None`` where each finding must be looked at for that."""

    __slots__ = ("codes", "errors", "named", "outcome", "primary", "remembered", "rootings", "says")

    def __init__(
        self,
        outcome: str,
        primary: str | None,
        codes: Sequence[tuple[str, str]],
        errors: Sequence[str],
        named: str,
        rootings: Sequence[tuple[int, str, Rooting | None]] | None,
    ) -> None:
        self.outcome, self.primary, self.codes = outcome, primary, codes
        self.errors, self.named = errors, named
        self.says = any(code in FLEET_CODES for _, code in codes)
        rooted = bool(codes) and (outcome != "ok" or any(code in NOTES for _, code in codes))
        self.rootings = rootings if rooted else ()
        self.remembered = False


_SORTS: Final[dict[tuple[Any, ...], Sort]] = {}


def sort_of(finding: Mapping[str, Any]) -> Sort:
    """The sort of a finding that has an outcome."""
    try:
        key = (finding["outcome"], finding["cause"], *map(_PARTS, finding["diagnoses"]))
        known = _SORTS.get(key)
    except (KeyError, TypeError):
        return _odd(finding)
    return _learn(key, finding) if known is None else known


def _learn(key: tuple[Any, ...], finding: Mapping[str, Any]) -> Sort:
    outcome, primary, *diagnoses = key
    texts = [outcome, *(part for diagnosis in diagnoses for part in diagnosis)]
    if primary is not None:
        texts.append(primary)
    if not all(type(text) is str for text in texts):
        return _odd(finding)  # and not remembered: 1 and true would be the same
    sort = Sort(
        outcome,
        primary,
        tuple(dict.fromkeys((cause, code) for cause, code, _ in diagnoses)),
        [cause for cause, _, severity in diagnoses if severity == "error" and cause in CAUSES],
        primary if primary in CAUSES else "",
        tuple(
            (place, code[:MAX_KEY], rooting_of(code))
            for place, (_, code, severity) in enumerate(diagnoses)
            if is_rooted(code, severity)
        ),
    )
    if sum(map(len, texts)) <= MAX_CHARACTERS:
        if len(_SORTS) >= MAX_SORTS:
            _SORTS.clear()
        _SORTS[key] = sort
        sort.remembered = True
    return sort


def _odd(finding: Mapping[str, Any]) -> Sort:
    """The sort of a finding in which something is missing or not what it should be."""
    primary = finding.get("cause")
    return Sort(
        finding["outcome"],
        primary if type(primary) is str else None,
        codes_of(finding),
        *causes_of(finding),
        None,
    )
