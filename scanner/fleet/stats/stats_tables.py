"""Statistics for a reader: tables for the terminal and in Markdown, JSON, Prometheus' text format.

Values come from inventories and files of strangers, so each format escapes what would act in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
from msgspec import Struct

from scanner.fleet.layout import markdown_table, markdown_text, text_table
from scanner.fleet.stats.counts import Stats, largest_first
from scanner.fleet.stats.prometheus import as_prometheus
from scanner.fleet.stats.tally import OUTCOMES, CauseCount, Tally, met, percent
from scanner.language import translate
from scanner.text import printable, shorten

if TYPE_CHECKING:
    from scanner.fleet.stats.statistics import Statistics  # with all that it needs; a scan prints tables without it

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


def as_json(stats: Stats) -> str:
    """The statistics as indented JSON, schema ``tlsweep-stats/1``."""
    return orjson.dumps(stats.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def as_table(stats: Stats) -> str:
    """The statistics as tables of plain text."""
    parts = [_headline(stats)]
    for section in _sections(stats):
        parts.append("")
        if section.title:
            parts.append(printable(section.title))
        parts.append(text_table(section.header, section.rows, section.right))
        if section.note:
            parts.append(printable(section.note))
    if not met(stats.total):
        parts.append(translate("No diagnosis at all."))
    return "\n".join(parts) + "\n"


def as_markdown(stats: Stats) -> str:
    """The statistics as Markdown tables (GitHub's dialect), with everything from outside escaped."""
    parts = [_headline(stats)]
    for section in _sections(stats):
        parts.append("")
        if section.title:
            parts += [f"### {markdown_text(section.title)}", ""]
        parts.append(markdown_table(section.header, section.rows, section.right))
        if section.note:
            parts += ["", markdown_text(section.note)]
    if not met(stats.total):
        parts += ["", translate("No diagnosis at all.")]
    return "\n".join(parts) + "\n"


FORMATS: Final[dict[str, Callable[[Stats], str]]] = {
    "table": as_table,
    "json": as_json,
    "markdown": as_markdown,
    "prometheus": as_prometheus,
}


# --- what is shown -----------------------------------------------------------------------------------


def _sections(stats: Stats) -> Iterator[Section]:
    total = stats.total
    causes = [
        [name, str(count.targets), percent(count.targets, total.findings), str(count.primary), _codes_text(count)]
        for name, count in met(total)
    ]
    if causes:
        yield Section("", _translated("cause", "targets", "share", "primary", "codes"), causes, (1, 2, 3))
    for column, groups in stats.by.items():
        yield _groups(column, groups)
    if stats.of_fleet:
        yield from _of_the_fleet(cast("Statistics", stats))


def _of_the_fleet(stats: Statistics) -> Iterator[Section]:
    shared = stats.clusters.to_json()
    if shared:
        rows = [
            [one["code"], one["kind"], _which(one), str(one["targets"]), ", ".join(one["examples"])]
            for one in shared[:MAX_SHARED_SHOWN]
        ]
        left_out = len(shared) - MAX_SHARED_SHOWN
        note = f"and {left_out} more in --format json" if left_out > 0 else ""
        header = _translated("code", "shared", "which", "targets", "for example")
        yield Section(translate("Causes that several targets share"), header, rows, (3,), note)
    verdicts = list(_verdicts(stats.correlation()))
    if verdicts:
        header = _translated("verdict", "about", "targets", "that say so", "causes that it changes")
        yield Section(translate("What the fleet says as a whole"), header, verdicts, (2, 3))
    expiry = list(_expiring(stats))
    if expiry:
        note = "" if len(expiry) <= MAX_MONTHS_SHOWN else "later ones in --format json"
        header = _translated("month", "services")
        yield Section(translate("Certificates that expire"), header, expiry[:MAX_MONTHS_SHOWN], (1,), note)
    latency = stats.latency.to_json()
    if latency:
        rows = [
            [stage, *(f"{values[name]:.1f}" for name in ("p50", "p90", "p99", "max"))]
            for stage, values in latency.items()
        ]
        header = _translated("stage", "median", "90 %", "99 %", "most")
        yield Section(translate("Milliseconds that the stages took"), header, rows, (1, 2, 3, 4))


def _which(shared: Mapping[str, Any]) -> str:
    """A certificate by its subject and the first digits of its SHA-256, which tell it from its namesakes."""
    name, key = shared.get("name"), shared["key"]
    return f"{shorten(name, MAX_NAME)} ({key[:8]})" if name else str(key)


def _expiring(stats: Statistics) -> Iterator[list[str]]:
    """Services by month, those from before the last run together."""
    months = stats.expiry.to_json()["by_month"]
    last = stats.last_started()
    if last is None:
        yield from ([month, str(services)] for month, services in months.items())
        return
    today = last.date()
    expired, _ = stats.expiry.within(today)
    if expired:
        yield [translate("expired already"), str(expired)]
    this = f"{today:%Y-%m}"
    for month, services in months.items():
        if month == this:
            services -= sum(n for day, n in stats.expiry.days.items() if day[:7] == this and day < today.isoformat())
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
    """How many targets it explains, how many say so, and which causes it replaces: ``untrusted-ca -> interception 4``; those
    of findings that were written before it was known in brackets."""
    told = [f"{was} -> {cause} {count}" for was, count in verdict["reclassified"].items()]
    told += [f"({was} -> {cause} {count})" for was, count in verdict["otherwise"].items()]
    return [str(verdict["targets"]), str(verdict["said"]), ", ".join(told)]


def _translated(*words: str) -> tuple[str, ...]:
    """Return the translated headings."""
    return tuple(translate(word) for word in words)


def _headline(stats: Stats) -> str:
    total = stats.total
    outcomes = ", ".join(f"{total.outcomes[name]:,} {name}" for name in OUTCOMES)
    told = f"{total.findings:,} {translate('findings')}: {outcomes}"
    unreadable = f"{stats.unreadable_lines:,} {translate('unreadable lines')}" if stats.unreadable_lines else ""
    if stats.of_fleet:
        found = cast("Statistics", stats)
        told += f"; {translate('runs')}: {len(found.runs):,}" if len(found.runs) > 1 else ""
        told += f"; {translate('met twice')}: {found.repeats.count:,}" if found.repeats.count else ""
        why = ", ".join(f"{reason}: {count:,}" for reason, count in found.why_unreadable())
        unreadable += f" ({why})" if why else ""
    told += f"; {unreadable}" if unreadable else ""
    return printable(told)


def _codes_text(count: CauseCount) -> str:
    ordered = sorted(count.codes.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code} {number}" for code, number in ordered)


def _groups(column: str, groups: Mapping[str, Tally]) -> Section:
    ordered = largest_first(groups)
    rows = []
    for value, tally in ordered[:MAX_GROUPS_SHOWN]:
        causes = ", ".join(f"{name} {count.targets}" for name, count in met(tally)[:3])
        counts = [str(tally.outcomes[outcome]) for outcome in OUTCOMES]
        failing = percent(tally.outcomes["fail"], tally.findings)
        rows.append([value or NO_VALUE, str(tally.findings), *counts, failing, causes])
    left_out = len(ordered) - MAX_GROUPS_SHOWN
    note = f"and {left_out} smaller groups (--format json has them all)" if left_out > 0 else ""
    header = (column, *_translated("targets"), *OUTCOMES, *_translated("failing", "most frequent causes"))
    return Section("", header, rows, range(1, 7), note)
