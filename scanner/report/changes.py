"""What changed since an earlier run, and the outcomes of the runs before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from msgspec import Struct, field

from scanner.fleet.diff.comparison import MAX_FILES, Diff, DiffError, FileCounts
from scanner.fleet.diff.target_states import CATEGORIES, Change, TargetState
from scanner.fleet.keys import IDENTITY, Identity
from scanner.output import Unreadable, read_findings
from scanner.report.table_rows import MAX_NAME, name_of, plain

# Targets listed of one category.
MAX_LISTED: Final = 25
# Targets that fail since the last run and are marked as such; with more of them nobody looks at each.
MAX_FRESH: Final = 50_000
# Lines of a file that are read to learn when its run began.
MAX_PEEKED: Final = 100
# Categories whose targets are listed; the others are counted.
LISTED: Final = ("new", "changed", "fixed", "flapping", "vanished", "replaced")


class Night(Struct, frozen=True):
    """One run of the trend: when it began (RFC 3339 text), and its outcomes."""

    name: str
    started: str | None
    outcomes: Mapping[str, int]

    @property
    def findings(self) -> int:
        return sum(self.outcomes.values())


class Listed(Struct, frozen=True):
    """A target whose state changed, for a row of a table."""

    target: str
    was: str
    now: str
    codes: str


class Changes(Struct):
    """What became of the targets since the run before the last, and all the runs, the oldest first."""

    since: Night
    counts: Mapping[str, int]
    listed: dict[str, list[Listed]]
    nights: list[Night]
    fresh: set[Identity] = field(default_factory=set)


def changes(current: Sequence[str], earlier: Sequence[str]) -> Changes:
    """Compare ``current`` (files of one run) with the latest of ``earlier`` (a run each, in any order).

    Raises what joining the files raises.
    """
    if len(earlier) + 1 > MAX_FILES:
        raise DiffError(f"--since: {MAX_FILES - 1} earlier runs are compared at most")
    with Diff([*in_order(earlier), current], base=-2) as diff:
        nights = [_night(facts) for facts in diff.files]
        counts = dict.fromkeys((*CATEGORIES, "unchanged"), 0)
        found = Changes(nights[-2], counts, {name: [] for name in LISTED}, nights)
        for categories, change in diff.changes():
            if change.old is None and change.new is None and not categories:
                continue  # only runs before have it
            for category in categories or ("unchanged",):
                counts[category] += 1
                rows = found.listed.get(category)
                if rows is not None and len(rows) < MAX_LISTED:
                    rows.append(_listed(change, category))
            if "new" in categories and len(found.fresh) < MAX_FRESH:
                found.fresh.add(tuple(change.target[part] for part in IDENTITY))
    return found


def in_order(paths: Sequence[str]) -> list[str]:
    """Return files of a run each, the oldest first by when their first finding was made; as given if one does not say."""
    moments = {path: _first_moment(path) for path in paths}
    if not all(moments.values()):
        return list(paths)
    return sorted(paths, key=lambda path: moments[path] or "")


def _first_moment(path: str) -> str | None:
    if path == "-":
        return None
    for item in islice(read_findings([path]), MAX_PEEKED):
        if not isinstance(item, Unreadable):
            started = item.get("started")
            return started if isinstance(started, str) else None
    return None


def _night(facts: FileCounts) -> Night:
    name = plain(facts.path if facts.path != "-" else "standard input", MAX_NAME)
    return Night(name, facts.started, dict(facts.outcomes))


def _listed(change: Change, category: str) -> Listed:
    state = change.new or change.old
    codes = ", ".join(state.codes) if state is not None else ""
    if category == "replaced" and change.new is not None:
        issuer = "same issuer" if change.same_issuer else f"now by {change.new.issuer or '(no issuer)'}"
        codes = f"{issuer}, until {(change.new.not_after or '?')[:10]}"
    elif category == "flapping":
        codes = " ".join(change.outcomes)
    return Listed(_name(change.target), _words(change.old), _words(change.new), plain(codes, 2 * MAX_NAME))


def _name(target: Mapping[str, Any]) -> str:
    return name_of({name: value for name, value in target.items() if value != ""})


def _words(state: TargetState | None) -> str:
    if state is None:
        return "absent"
    return plain(state.outcome if state.cause is None else f"{state.outcome}: {state.cause}", MAX_NAME)
