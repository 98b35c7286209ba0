"""The top of the page: the headline, the four numbers, and a few lines that answer the first questions of a reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from scanner.fleet.stats.counts import GroupCounts, percent
from scanner.report.changes import Changes
from scanner.report.sections import NO_VALUE, Cause, Expiring, ExpiryCalendar, Group

# Causes and owners named in a line.
NAMED: Final = 3

_TILES: Final = {"fail": "Failing", "warn": "With a warning", "ok": "In order", "invalid": "Rows that cannot be used"}


class Tile(Struct, frozen=True):
    """One of the numbers; ``change`` is against the run before, ``None`` if there is none."""

    kind: str
    name: str
    count: int
    share: str
    change: str | None


def headline(total: GroupCounts) -> str:
    """Return the headline."""
    failing, findings = total.outcomes["fail"], total.findings
    if not failing:
        return f"None of {findings:,} targets fails" if findings > 1 else "The target does not fail"
    return f"{failing:,} of {findings:,} targets {'fails' if failing == 1 else 'fail'}"


def tiles(total: GroupCounts, compared: Changes | None) -> list[Tile]:
    """Return the four numbers; unusable rows only if there are any."""
    before: Mapping[str, int] | None = None if compared is None else compared.since.outcomes
    return [
        Tile(
            kind,
            name,
            count,
            percent(count, total.findings),
            None if before is None else _against(count - before.get(kind, 0)),
        )
        for kind, name in _TILES.items()
        if (count := total.outcomes[kind]) or kind != "invalid"
    ]


def _against(change: int) -> str:
    return "as before" if not change else f"{abs(change):,} {'more' if change > 0 else 'fewer'} than before"


def answers(
    causes: Sequence[Cause],
    owners: Sequence[Group],
    compared: Changes | None,
    expiry: ExpiryCalendar,
    expiring: Sequence[Expiring],
    shared: Sequence[Mapping[str, Any]],
    owner: str | None,
) -> Iterator[tuple[str, str]]:
    """Yield (question, answer): the causes, the owners, what changed, what expires next, what one repair would mend."""
    failing = [one for one in causes if one.primary]
    if failing:
        yield "Causes", _and_more([f"{one.name} {one.primary:,}" for one in failing])
    hit = [one for one in owners if one.fail]
    if hit and owner is not None:
        named = [f"{one.value if one.value != NO_VALUE else 'nobody named'} {one.fail:,}" for one in hit]
        yield "Whose", _and_more(named)
    if compared is not None:
        counts = compared.counts
        words = [
            f"{counts[name]:,} {text}"
            for name, text in (
                ("new", "new failures" if counts["new"] != 1 else "new failure"),
                ("fixed", "fixed"),
                ("changed", "failing for another cause"),
                ("still_broken", "still failing"),
                ("vanished", "gone from the inventory"),
            )
            if counts[name] or name in ("new", "fixed")
        ]
        yield "Changes", ", ".join(words)
    if expiring:
        first = expiring[0]
        within = dict(expiry.within)
        text = f"{first.subject or 'a certificate'} {_in_days(first.days)}"
        if first.services > 1:
            text += f", which {first.services:,} services use"
        yield "Expires next", text + (f"; {within[14]:,} services within 14 days" if within.get(14) else "")
    most = next((one for one in shared if one["error"]), None)
    if most is not None:
        yield (
            "One repair",
            f"would mend {most['targets']:,} targets: {most['code']}, one {most['kind']} ({most['key']})",
        )


def _and_more(named: Sequence[str]) -> str:
    more = len(named) - NAMED
    return ", ".join(named[:NAMED]) + (f", and {more:,} more" if more > 0 else "")


def _in_days(days: int | None) -> str:
    if days is None:
        return "at an unknown time"
    return "today" if days == 0 else "tomorrow" if days == 1 else f"in {days:,} days"
