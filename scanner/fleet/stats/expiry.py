"""When the fleet's certificates expire: services by day, and the certificates that expire first with their services."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

# Certificates listed one by one: the first to expire. Their counts are exact, since what is dropped can never come first again.
MAX_LISTED: Final = 1000
# Certificates kept while folding, before they are cut back to the first ``MAX_LISTED``.
MAX_KEPT: Final = 4 * MAX_LISTED
# Days counted apart: a hundred years. Dates beyond come from certificates that never expire, or from files that are not ours.
MAX_DAYS: Final = 36_525
OTHER_DAYS: Final = "(other days)"
# Within so many days of the run
SPANS: Final = (7, 14, 30, 60, 90)

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class Expiry:
    """Services by when their certificate expires. A service is a finding whose target sent a certificate."""

    def __init__(self) -> None:
        self._days: Counter[str] = Counter()  # by the first ten characters of not_after, whatever they are
        self._certificates: Counter[tuple[str, str]] = Counter()  # (not_after, sha256) -> services
        self._last: tuple[str, str] | None = None  # certificates that expire after this one are not kept

    def add(self, leaves: Sequence[tuple[str, str]]) -> None:
        """Count services by (not_after as RFC 3339 text, SHA-256) of what they sent."""
        self._days.update([not_after[:10] for not_after, _ in leaves])
        if len(self._days) > 2 * MAX_DAYS:
            self._days = self._dated()
        last = self._last
        self._certificates.update(leaves if last is None else [leaf for leaf in leaves if leaf <= last])
        if len(self._certificates) > MAX_KEPT:
            self._cut()

    def _dated(self) -> Counter[str]:
        """Return services by day; those whose day is no date, and those beyond ``MAX_DAYS``, under ``OTHER_DAYS``."""
        dated: Counter[str] = Counter()
        for day, services in self._days.items():
            known = day == OTHER_DAYS or (len(dated) < MAX_DAYS and _date(day) is not None)
            dated[day if known else OTHER_DAYS] += services
        return dated

    def _cut(self) -> None:
        mine = self._certificates
        kept = sorted(mine)[:MAX_LISTED]
        self._certificates = Counter({key: mine[key] for key in kept})
        self._last = kept[-1]

    def merge(self, other: Expiry) -> None:
        """Add what ``other`` counted."""
        self._days.update(other._days)
        if len(self._days) > 2 * MAX_DAYS:
            self._days = self._dated()
        self._certificates.update(other._certificates)
        lasts = [last for last in (self._last, other._last) if last is not None]
        if lasts:
            last = self._last = min(lasts)
            self._certificates = Counter({key: count for key, count in self._certificates.items() if key <= last})
        if len(self._certificates) > MAX_KEPT:
            self._cut()

    @property
    def days(self) -> Mapping[str, int]:
        """Services by the day on which their certificate expires, ``2027-02-11``."""
        return self._dated()

    def within(self, today: date) -> tuple[int, dict[int, int]]:
        """Return how many services have a certificate that expired before ``today``, and how many by days until it does."""
        dated = [(day, services) for text, services in self.days.items() if (day := _date(text)) is not None]
        return sum(services for day, services in dated if day < today), {
            span: sum(services for day, services in dated if today <= day < today + timedelta(days=span))
            for span in SPANS
        }

    def to_json(self) -> dict[str, Any]:
        """Return services by day, ISO week and month of expiry, each sorted, and the certificates that expire first
        with how many services sent each."""
        days = self.days
        weeks: Counter[str] = Counter()
        months: Counter[str] = Counter()
        for day, services in days.items():
            weeks[week_of(day)] += services
            months[day[:7] if day != OTHER_DAYS else day] += services
        return {
            "by_day": _sorted(days),
            "by_week": _sorted(weeks),
            "by_month": _sorted(months),
            "certificates": [
                {"sha256": sha256, "not_after": not_after, "services": self._certificates[not_after, sha256]}
                for not_after, sha256 in heapq.nsmallest(MAX_LISTED, self._certificates)
            ],
        }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (item[0] == OTHER_DAYS, item[0])))


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def week_of(day: str) -> str:
    """Return the ISO week of a day, ``2027-W06``; the text itself if it is not a date."""
    found = _date(day)
    if found is None:
        return day
    year, week, _ = found.isocalendar()
    return f"{year:04}-W{week:02}"
