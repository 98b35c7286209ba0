"""What changed between runs, as a message for another program: a small JSON document, whatever the size of the estate."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

import orjson

from scanner.fleet.diff.comparison import Diff, FileCounts
from scanner.fleet.diff.diff_tables import name_of
from scanner.fleet.diff.target_states import CATEGORIES, Change
from scanner.text import shorten

SCHEMA: Final = "tlsweep-diff-message/1"

# Receivers have limits: chat services some 40 kB, gateways in front of them often 64 kB.
MAX_BYTES: Final = 32 * 1024
# Targets of one category that are named; the comparison itself has them all.
MAX_NAMED: Final = 20
# Characters of one text: host names have 253 at most.
MAX_TEXT: Final = 260
# Runs of a file that are named.
MAX_RUNS: Final = 3
# What a person has to look at, in the order in which room is given.
NAMED: Final = ("new", "changed", "worse", "vanished", "flapping", "fixed")

_WORDS: Final = {
    "new": "new failures", "changed": "failing for another cause", "still_broken": "still broken", "fixed": "fixed",
    "worse": "worse", "better": "better", "appeared": "appeared", "vanished": "vanished", "flapping": "flapping",
    "replaced": "certificates replaced",
}  # fmt: skip


def message(diff: Diff, matched: Iterable[str] = ()) -> bytes:
    """Return the document, of ``MAX_BYTES`` at most. ``matched`` are the categories for which it is sent.

    ``text`` holds numbers only: where a chat shows it, no name of a server can act there.
    """
    summary = diff.summary()
    parts = [f"{_WORDS[name]}: {summary.counts[name]}" for name in CATEGORIES if summary.counts[name]]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "text": f"tlsweep: {', '.join(parts) or 'nothing changed'}",
        "matched": sorted(matched),
        "old": _file(diff.base),
        "new": _file(summary.files[-1]),
        "counts": dict(summary.counts),
        "targets": {category: [] for category in NAMED},
    }
    room = MAX_BYTES - len(orjson.dumps(document))
    for category in NAMED:
        named: list[dict[str, Any]] = document["targets"][category]
        for change in islice(diff.in_category(category), MAX_NAMED):
            target = _target(change)
            room -= len(orjson.dumps(target)) + 1
            if room < 0:
                return orjson.dumps(document)
            named.append(target)
    return orjson.dumps(document)


def _file(facts: FileCounts) -> dict[str, Any]:
    record = facts.to_json()
    return {**record, "path": shorten(record["path"], MAX_TEXT), "runs": [_cut(run) for run in facts.runs[:MAX_RUNS]]}


def _target(change: Change) -> dict[str, Any]:
    state = change.new or change.old
    return {
        "target": _cut(name_of(change.target)),
        "row": None if state is None else state.row,
        "was": None if change.old is None else _cut(change.old.cause or change.old.outcome),
        "is": None if change.new is None else _cut(change.new.cause or change.new.outcome),
        "codes": [] if state is None else [_cut(code) for code in state.codes],
    }


def _cut(text: str) -> str:
    return shorten(text, MAX_TEXT)
