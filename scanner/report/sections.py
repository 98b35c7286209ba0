"""The sections of the page, made of what was counted: words and numbers for the template, no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from msgspec import Struct

from scanner.diagnosis.catalogue import CODES, cause_texts
from scanner.fleet.stats.counts import GroupCounts, causes_seen, most_first, percent
from scanner.fleet.stats.expiry import Expiry
from scanner.fleet.stats.run_counts import largest_first
from scanner.report.changes import Changes, Night
from scanner.report.collect import Collected
from scanner.report.table_rows import MAX_NAME, plain
from scanner.text import span

# Lines of a table that a person reads to the end; `tlsweep stats` has the rest.
MAX_GROUPS: Final = 12
MAX_SHARED: Final = 12
MAX_EXAMPLES: Final = 3
MAX_CODES: Final = 6
MAX_VERDICTS: Final = 8
# Days from the run for which expiring services are summed up; ``Expiry`` has more.
SPANS_SHOWN: Final = (7, 14, 30, 90)
# Weeks ahead in the calendar of expiry.
WEEKS: Final = 26
# Certificates that expire within so many days are shown as urgent, and as soon.
URGENT_DAYS: Final = 14
SOON_DAYS: Final = 42
NO_VALUE: Final = "(none)"


class Cause(Struct, frozen=True):
    """A cause that some target has."""

    name: str
    title: str
    targets: int
    primary: int
    share: str
    codes: tuple[tuple[str, str, int], ...]


class Group(Struct, frozen=True):
    """The targets with one value of a column; ``part`` is the share of failing ones of 100."""

    value: str
    findings: int
    fail: int
    warn: int
    ok: int
    invalid: int
    share: str
    part: float
    causes: str


class Expiring(Struct, frozen=True):
    """A certificate that expires soon."""

    day: str
    days: int | None
    subject: str
    issuer: str
    services: int
    examples: str


class ExpiryCalendar(Struct, frozen=True):
    """Services by week of expiry, and sums."""

    weeks: tuple[tuple[date, int, str], ...]
    expired: int
    within: tuple[tuple[int, int], ...]
    later: int
    total: int


def causes(total: GroupCounts) -> list[Cause]:
    """Return causes that some target has: first those that make most targets fail."""
    found = [
        Cause(
            plain(name, MAX_NAME),
            cause_title(name),
            count.targets,
            count.primary,
            percent(count.targets, total.findings),
            tuple(
                (plain(code, MAX_NAME), code_title(code), number)
                for code, number in most_first(count.codes)[:MAX_CODES]
            ),
        )
        for name, count in causes_seen(total)
    ]
    return sorted(found, key=lambda cause: (-cause.primary, -cause.targets))


def groups(found: Mapping[str, GroupCounts], *, worst_first: bool = False) -> tuple[list[Group], int]:
    """Return groups, the largest first (or those in which most targets fail), and how many are left out."""
    ordered = largest_first(found)
    if worst_first:
        ordered.sort(key=lambda item: -item[1].outcomes["fail"])
    return [_group(value, counts) for value, counts in ordered[:MAX_GROUPS]], max(len(ordered) - MAX_GROUPS, 0)


def _group(value: str, counts: GroupCounts) -> Group:
    outcomes = counts.outcomes
    leading = sorted((item for item in causes_seen(counts) if item[1].primary), key=lambda item: -item[1].primary)[:3]
    return Group(
        plain(value, MAX_NAME) or NO_VALUE,
        counts.findings,
        outcomes["fail"],
        outcomes["warn"],
        outcomes["ok"],
        outcomes["invalid"],
        percent(outcomes["fail"], counts.findings),
        round(100 * outcomes["fail"] / counts.findings, 1) if counts.findings else 0.0,
        ", ".join(f"{plain(name, MAX_NAME)} {count.primary:,}" for name, count in leading),
    )


def expiry(counted: Expiry, run: str | None) -> ExpiryCalendar:
    """Return when certificates expire, from the day of the run (RFC 3339 text)."""
    today = day_of(run)
    days = {day: count for text, count in counted.days.items() if (day := day_of(text)) is not None}
    total = sum(counted.days.values())
    if today is None:
        return ExpiryCalendar((), 0, (), total, total)
    first = today - timedelta(days=today.weekday())
    weeks: list[tuple[date, int, str]] = []
    for number in range(WEEKS):
        begin = first + timedelta(weeks=number)
        services = sum(days.get(day, 0) for step in range(7) if (day := begin + timedelta(days=step)) >= today)
        distance = (begin - today).days
        kind = "urgent" if distance < URGENT_DAYS else "soon" if distance < SOON_DAYS else "later"
        weeks.append((begin, services, kind))
    expired, by_span = counted.within(today)
    within = tuple((span, by_span[span]) for span in SPANS_SHOWN)
    return ExpiryCalendar(tuple(weeks), expired, within, total - expired - sum(count for _, count, _ in weeks), total)


def expiring(collected: Collected) -> list[Expiring]:
    """Return the certificates that expire next."""
    today = day_of(collected.last)
    shown = []
    for not_after, one in collected.next_to_expire.listed():
        day = day_of(not_after)
        left = (day - today).days if day is not None and today is not None else None
        more = f" and {one.services - len(one.examples):,} more" if one.services > len(one.examples) else ""
        words = ", ".join(one.examples) + more
        shown.append(Expiring(plain(not_after[:10], MAX_NAME), left, one.subject, one.issuer, one.services, words))
    return shown


def verdicts(correlation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the verdicts on the fleet as (what, about whom, what it changes)."""
    for run, clock in correlation.get("clocks", {"": correlation["clock"]}).items():
        if clock["state"] == "wrong":
            off = span(abs(clock["offset_seconds"])) if "offset_seconds" in clock else ""
            way = "" if not off else " behind" if clock["offset_seconds"] > 0 else " ahead"
            about = ", ".join(part for part in (off + way, plain(run, MAX_NAME)) if part)
            yield "The clock of the scanning machine is wrong", about, _changed(clock, "clock-skew")
    interceptors = correlation["interceptors"]
    for one in interceptors[:MAX_VERDICTS]:
        what = "One issuer signs for unrelated names" + ("" if one["certain"] else ", which may be a CA of your own")
        yield what, plain(one["issuer"], MAX_NAME), _changed(one, "interception")
    if len(interceptors) > MAX_VERDICTS:
        yield f"and {len(interceptors) - MAX_VERDICTS} more such issuers", "", ""
    for one in correlation["portals"][:MAX_VERDICTS]:
        what = "A captive portal or block page answers for others"
        yield what, plain(one["to"], MAX_NAME), _changed(one, "interception")
    blocked = correlation["revocation_blocked"]
    if blocked is not None:
        yield "Revocation hosts cannot be reached from where the scan ran", "", _changed(blocked, "network-blocked")


def _changed(verdict: Mapping[str, Any], cause: str) -> str:
    """Return how many targets a verdict explains, and which causes it replaced by which."""
    targets = verdict.get("targets", 0)
    if not targets:
        return ""
    words = [f"{targets:,} target{'' if targets == 1 else 's'}"]
    words += [
        f"{count:,} by {cause} instead of {plain(was, MAX_NAME)}" for was, count in verdict["reclassified"].items()
    ]
    words += [
        f"{count:,} written down as {plain(was, MAX_NAME)} before that was known"
        for was, count in verdict["otherwise"].items()
    ]
    return ", ".join(words)


def shared(found: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """Return causes that several targets share, and how many are left out."""
    shown = [
        {
            "code": plain(one["code"], MAX_NAME),
            "title": code_title(one["code"]),
            "error": one["code"] in CODES and CODES[one["code"]].severity == "error",
            "kind": plain(one["kind"], MAX_NAME),
            "key": plain(one.get("name") or one["key"], MAX_NAME),
            "targets": one["targets"],
            "examples": plain(one["examples"][:MAX_EXAMPLES], 3 * MAX_NAME),
        }
        for one in found[:MAX_SHARED]
    ]
    return shown, max(len(found) - MAX_SHARED, 0)


def nights(collected: Collected, changes: Changes | None) -> list[Night]:
    """Return the runs of the trend, this one last; empty if there is no run to compare it with."""
    if changes is None:
        return []
    this = Night("this run", collected.first, dict(collected.statistics.counts.total.outcomes))
    return [*changes.nights[:-1], this]


def day_of(text: str | None) -> date | None:
    """Return the day of an RFC 3339 text, ``None`` if it is not one."""
    try:
        return None if text is None else date.fromisoformat(text[:10])
    except ValueError:
        return None


def moment_text(text: str | None) -> str:
    """Return a moment for a person, to the minute."""
    if day_of(text) is None or text is None:
        return "at an unknown time"
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= 16 else text[:10]


def code_title(code: str) -> str:
    """Return what a code means, in one line."""
    return CODES[code].title if code in CODES else ""


def cause_title(name: str) -> str:
    """Return what a cause means, in one line."""
    return cause_texts()[name]["title"] if name in cause_texts() else ""
