"""Statistics for a reader: tables for the terminal and in Markdown, JSON, Prometheus' text format.

Each format takes what a scan counted, and for ``tlsweep stats`` the statistics of the fleet too. Values come from inventories
and files of strangers, so each format escapes what would act in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson
from msgspec import Struct

from scanner.fleet.layout import markdown_table, markdown_text, text_table
from scanner.fleet.stats.counts import CauseCounts, GroupCounts, causes_seen, most_first, percent
from scanner.fleet.stats.prometheus import as_prometheus
from scanner.fleet.stats.run_counts import RunCounts, largest_first
from scanner.language import translate
from scanner.model.findings import OUTCOMES
from scanner.text import printable, shorten

if TYPE_CHECKING:
    from scanner.fleet.stats.fleet_stats import FleetStats  # with all that it needs; a scan prints tables without it

# Groups shown to a person, the largest first; JSON and Prometheus have them all.
MAX_GROUPS_SHOWN: Final = 50
# Shared causes, months of expiry and verdicts of the fleet shown to a person.
MAX_SHARED_SHOWN: Final = 15
MAX_MONTHS_SHOWN: Final = 18
MAX_VERDICTS_SHOWN: Final = 15
# Characters of a certificate's subject in a table.
MAX_NAME: Final = 29

NO_VALUE: Final = "(none)"


class Section(Struct, frozen=True):
    """One table: its title (empty for the first), the columns of which ``right`` are numbers, the rows, and a last line."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[int] = ()
    note: str = ""


def as_json(counts: RunCounts, fleet: FleetStats | None = None) -> str:
    """Return the statistics as indented JSON, schema ``tlsweep-stats/1``."""
    return orjson.dumps((fleet or counts).to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_table(counts: RunCounts, fleet: FleetStats | None = None) -> str:
    """Return the statistics as tables of plain text."""
    return _for_a_person(counts, fleet, printable, "{}", text_table, "")


def as_markdown(counts: RunCounts, fleet: FleetStats | None = None) -> str:
    """Return the statistics as Markdown tables (GitHub's dialect), with everything from outside escaped."""
    return _for_a_person(counts, fleet, markdown_text, "### {}\n", markdown_table, "\n")


def _for_a_person(
    counts: RunCounts,
    fleet: FleetStats | None,
    plain: Callable[[str], str],
    heading: str,
    table: Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[int]], str],
    before_note: str,
) -> str:
    parts = [_headline(counts, fleet)]
    for section in _sections(counts, fleet):
        parts.append("")
        if section.title:
            parts.append(heading.format(plain(section.title)))
        parts.append(table(section.header, section.rows, section.right))
        if section.note:
            parts.append(before_note + plain(section.note))
    if not causes_seen(counts.total):
        parts.append(before_note + translate("No diagnosis at all."))
    return "\n".join(parts) + "\n"


class Format(Protocol):
    """Writes statistics as text."""

    def __call__(self, counts: RunCounts, fleet: FleetStats | None = None) -> str: ...


FORMATS: Final[dict[str, Format]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
    "prometheus": as_prometheus,
}


# --- what is shown -----------------------------------------------------------------------------------


def _sections(counts: RunCounts, fleet: FleetStats | None) -> Iterator[Section]:
    total = counts.total
    causes = [
        [name, str(count.targets), percent(count.targets, total.findings), str(count.primary), _codes_text(count)]
        for name, count in causes_seen(total)
    ]
    if causes:
        yield Section("", _headings("cause", "targets", "share", "primary", "codes"), causes, (1, 2, 3))
    for column, groups in counts.by.items():
        yield _groups(column, groups)
    if fleet is not None:
        yield from _of_the_fleet(fleet)


def _of_the_fleet(fleet: FleetStats) -> Iterator[Section]:
    shared = fleet.shared_causes.to_json()
    if shared:
        rows = [
            [one["code"], one["kind"], _which(one), str(one["targets"]), ", ".join(one["examples"])]
            for one in shared[:MAX_SHARED_SHOWN]
        ]
        left_out = len(shared) - MAX_SHARED_SHOWN
        note = f"and {left_out} more in --format json" if left_out > 0 else ""
        header = _headings("code", "shared", "which", "targets", "for example")
        yield Section(translate("Causes that several targets share"), header, rows, (3,), note)
    verdicts = list(_verdicts(fleet.correlation.to_json()))
    if verdicts:
        header = _headings("verdict", "about", "targets", "that say so", "causes that it changes")
        yield Section(translate("What the fleet says as a whole"), header, verdicts, (2, 3))
    expiry = list(_expiring(fleet))
    if expiry:
        note = "" if len(expiry) <= MAX_MONTHS_SHOWN else "later ones in --format json"
        header = _headings("month", "services")
        yield Section(translate("Certificates that expire"), header, expiry[:MAX_MONTHS_SHOWN], (1,), note)
    latency = fleet.latency.to_json()
    if latency:
        rows = [
            [stage, *(f"{values[name]:.1f}" for name in ("p50", "p90", "p99", "max"))]
            for stage, values in latency.items()
        ]
        header = _headings("stage", "median", "90 %", "99 %", "most")
        yield Section(translate("Milliseconds that the stages took"), header, rows, (1, 2, 3, 4))


def _which(shared: Mapping[str, Any]) -> str:
    """Return what names a shared root; a certificate by subject and the first digits of its SHA-256, as namesakes exist."""
    name, key = shared.get("name"), shared["key"]
    return f"{shorten(name, MAX_NAME)} ({key[:8]})" if name else str(key)


def _expiring(fleet: FleetStats) -> Iterator[list[str]]:
    """Yield services by month, those from before the last run together."""
    months = fleet.expiry.to_json()["by_month"]
    last = fleet.last_started()
    if last is None:
        yield from ([month, str(services)] for month, services in months.items())
        return
    today = last.date()
    expired, _ = fleet.expiry.within(today)
    if expired:
        yield [translate("expired already"), str(expired)]
    this = f"{today:%Y-%m}"
    for month, services in months.items():
        if month == this:
            services -= sum(n for day, n in fleet.expiry.days.items() if day[:7] == this and day < today.isoformat())
        if month >= this and services:
            yield [month, str(services)]


def _verdicts(correlation: Mapping[str, Any]) -> Iterator[list[str]]:
    for run, clock in correlation["clocks"].items():
        if clock["state"] == "wrong":
            off = f"{clock['offset_seconds']:+.0f} s, {run}" if "offset_seconds" in clock else run
            yield [translate("the scanning machine's clock is wrong"), off, *_changes(clock, "clock-skew")]
    interceptors = correlation["interceptors"]
    for one in interceptors[:MAX_VERDICTS_SHOWN]:
        words = "one issuer across unrelated names" if one["certain"] else "one issuer across names, perhaps an own CA"
        yield [translate(words), one["issuer"], *_changes(one, "interception")]
    for one in correlation["portals"][:MAX_VERDICTS_SHOWN]:
        yield [translate("a captive portal or block page"), one["to"], *_changes(one, "interception")]
    blocked = correlation["revocation_blocked"]
    if blocked is not None:
        yield [translate("revocation hosts cannot be reached from here"), "", *_changes(blocked, "network-blocked")]


def _changes(verdict: Mapping[str, Any], cause: str) -> list[str]:
    """Return how many targets a verdict explains, how many say so, and which causes it replaces: ``untrusted-ca -> interception 4``; those
    of findings that were written before it was known in brackets."""
    changes = [f"{was} -> {cause} {count}" for was, count in verdict["reclassified"].items()]
    changes += [f"({was} -> {cause} {count})" for was, count in verdict["otherwise"].items()]
    return [str(verdict["targets"]), str(verdict["said"]), ", ".join(changes)]


def _headings(*words: str) -> tuple[str, ...]:
    """Return headings in the language of the output."""
    return tuple(translate(word) for word in words)


def _headline(counts: RunCounts, fleet: FleetStats | None) -> str:
    total = counts.total
    outcomes = ", ".join(f"{total.outcomes[name]:,} {name}" for name in OUTCOMES)
    line = f"{total.findings:,} {translate('findings')}: {outcomes}"
    unreadable = f"{counts.unreadable_lines:,} {translate('unreadable lines')}" if counts.unreadable_lines else ""
    if fleet is not None:
        line += f"; {translate('runs')}: {len(counts.runs):,}" if len(counts.runs) > 1 else ""
        line += f"; {translate('met twice')}: {fleet.duplicates.count:,}" if fleet.duplicates.count else ""
        why = ", ".join(f"{reason}: {count:,}" for reason, count in fleet.why_unreadable())
        unreadable += f" ({why})" if why else ""
    line += f"; {unreadable}" if unreadable else ""
    return printable(line)


def _codes_text(count: CauseCounts) -> str:
    return ", ".join(f"{code} {number}" for code, number in most_first(count.codes))


def _groups(column: str, groups: Mapping[str, GroupCounts]) -> Section:
    ordered = largest_first(groups)
    rows = []
    for value, counts in ordered[:MAX_GROUPS_SHOWN]:
        causes = ", ".join(f"{name} {count.targets}" for name, count in causes_seen(counts)[:3])
        outcomes = [str(counts.outcomes[outcome]) for outcome in OUTCOMES]
        failing = percent(counts.outcomes["fail"], counts.findings)
        rows.append([value or NO_VALUE, str(counts.findings), *outcomes, failing, causes])
    left_out = len(ordered) - MAX_GROUPS_SHOWN
    note = f"and {left_out} smaller groups (--format json has them all)" if left_out > 0 else ""
    header = (column, *_headings("targets"), *OUTCOMES, *_headings("failing", "most frequent causes"))
    return Section("", header, rows, range(1, 7), note)
