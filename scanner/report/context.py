"""All that the template prints but the rows: sections, words, numbers, charts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from scanner.fleet.diff.target_states import CATEGORIES, TITLES
from scanner.report import charts, summary
from scanner.report import sections as views
from scanner.report import svg as drawing
from scanner.report.changes import Changes
from scanner.report.charts import OUTCOMES, Drawn, Series
from scanner.report.collect import Collected
from scanner.report.table_rows import MAX_NAME, plain, short_name

# Bars of a chart: what fits on a telephone's screen.
MAX_BARS: Final = 10
# Runs that are named.
MAX_RUNS: Final = 5

_FAILING: Final = (Series("primary", "fail by it", "c-fail"),)
_HAVING: Final = (Series("targets", "have it", "c-warn"),)
_EXPIRY: Final = (
    Series("urgent", f"within {views.URGENT_DAYS} days", "c-fail"),
    Series("soon", f"within {views.SOON_DAYS} days", "c-soon"),
    Series("later", "later", "c-later"),
)
_CHARTS: Final = ("causes", "expiry", "trend", "versions", "issuers")


def context_of(
    collected: Collected, compared: Changes | None, names: Sequence[str], *, left_out: int, csv_path: str | None
) -> dict[str, Any]:
    """Return all that the template prints but the rows."""
    counts, shown = collected.statistics.counts, collected.statistics.to_json()
    total = counts.total
    since = None if compared is None else views.moment_text(compared.since.started)
    causes = views.causes(total)
    owners, owners_left_out = (
        views.groups(counts.by[collected.owner], worst_first=True) if collected.owner is not None else ([], 0)
    )
    versions, versions_left_out = views.groups(counts.by["version"])
    issuers, issuers_left_out = views.groups(counts.by["issuer"])
    expiry, expiring = views.expiry(collected.statistics.expiry, collected.last), views.expiring(collected)
    shared, shared_left_out = views.shared(shown["shared_causes"])
    verdicts = list(views.verdicts(shown["correlation"]))
    nights = [
        {
            "label": views.moment_text(night.started) if night.started is not None else night.name,
            "run": night.started or night.name,
            "findings": night.findings,
            **{outcome: night.outcomes.get(outcome, 0) for outcome in total.outcomes},
        }
        for night in views.nights(collected, compared)
    ]
    no_charts = drawing.why_unavailable()
    return {
        "headline": summary.headline(total),
        "when": views.moment_text(collected.last),
        "since": since,
        "sections": _sections(
            fleet=bool(verdicts),
            changes=compared is not None,
            causes=bool(causes),
            shared=bool(shared),
            expiry=bool(expiry.total),
        ),
        "tiles": summary.tiles(total, compared),
        "answers": list(summary.answers(causes, owners, compared, expiry, expiring, shared, collected.owner)),
        "verdicts": verdicts,
        "changes": compared,
        "change_counts": _change_counts(compared),
        "change_lists": _change_lists(compared),
        "nights": nights,
        "causes": causes,
        "owner": collected.owner and plain(collected.owner, MAX_NAME),
        "owners": owners,
        "owners_left_out": owners_left_out,
        "shared": shared,
        "shared_left_out": shared_left_out,
        "expiry": expiry,
        "expiring": expiring,
        "versions": versions,
        "versions_left_out": versions_left_out,
        "issuers": issuers,
        "issuers_left_out": issuers_left_out,
        "charts": _charts(causes, versions, issuers, expiry, nights) if no_charts is None else dict.fromkeys(_CHARTS),
        "no_charts": no_charts,
        "total": total.findings,
        "findings_words": _findings_words(collected.picker.offered, left_out),
        "beside": None if csv_path is None else os.path.basename(csv_path),
        "sources": [plain("standard input" if name == "-" else os.path.basename(name), MAX_NAME) for name in names],
        "unreadable": counts.unreadable_lines,
        "runs": [plain(run, MAX_NAME) for run in list(counts.runs)[:MAX_RUNS]],
        "runs_left_out": max(len(counts.runs) - MAX_RUNS, 0),
    }


def _sections(**there: bool) -> list[tuple[str, str]]:
    names = {
        "fleet": "The fleet",
        "changes": "Changes",
        "causes": "Causes",
        "shared": "Shared causes",
        "expiry": "Expiry",
        "estate": "Versions and issuers",
        "findings": "Findings",
    }
    return [(anchor, name) for anchor, name in names.items() if there.get(anchor, True)]


def _change_counts(compared: Changes | None) -> list[tuple[str, str, int]]:
    if compared is None:
        return []
    counts = [(name, TITLES[name], compared.counts[name]) for name in CATEGORIES if compared.counts[name]]
    return [*counts, ("unchanged", "As before, and in order", compared.counts["unchanged"])]


def _change_lists(compared: Changes | None) -> list[tuple[str, str, int, Sequence[Any]]]:
    if compared is None:
        return []
    return [(name, TITLES[name], compared.counts[name], rows) for name, rows in compared.listed.items() if rows]


def _findings_words(offered: int, left_out: int) -> str:
    if not left_out:
        return f"All {offered:,} targets that are not in order." if offered > 1 else "The one that is not in order."
    return (
        f"{offered - left_out:,} of {offered:,} targets that are not in order: what fails before what warns, "
        "what is new before the rest, and some of every kind."
    )


def _charts(
    causes: Sequence[views.Cause],
    versions: Sequence[views.Group],
    issuers: Sequence[views.Group],
    expiry: views.ExpiryCalendar,
    nights: Sequence[Mapping[str, Any]],
) -> dict[str, Drawn | None]:
    failing = any(one.primary for one in causes)
    by_cause = [
        {"label": one.name, "primary": one.primary, "targets": one.targets}
        for one in causes
        if one.primary or not failing
    ][: 2 * MAX_BARS]
    by_week = [{"week": week.isoformat(), "services": count, "kind": kind} for week, count, kind in expiry.weeks]
    moments = [night["run"] for night in nights]
    dated = len(set(moments)) == len(moments) and all(views.day_of(moment) is not None for moment in moments)
    return {
        "causes": charts.bars(by_cause, _FAILING if failing else _HAVING, labels=0.42) if by_cause else None,
        "expiry": charts.weeks(by_week, _EXPIRY) if any(count for _, count, _ in expiry.weeks) else None,
        "trend": charts.lines(nights, OUTCOMES[:2], dated=dated) if nights else None,
        "versions": charts.bars(_by_outcome(versions), OUTCOMES, labels=0.2) if versions else None,
        "issuers": charts.bars(_by_outcome(issuers), OUTCOMES, labels=0.45) if issuers else None,
    }


def _by_outcome(groups: Sequence[views.Group]) -> list[dict[str, Any]]:
    return [
        {"label": short_name(one.value, "CN", "O"), "fail": one.fail, "warn": one.warn, "ok": one.ok}
        for one in groups[:MAX_BARS]
    ]
