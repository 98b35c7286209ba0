"""When the fleet's certificates expire: services by day, and the certificates that expire first with what stands behind each."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

# Certificates listed one by one: the first to expire. Their counts are exact, since what is dropped can never come first again.
MAX_LISTED: Final = 1000
# Certificates kept while folding, before they are cut back to the first ``MAX_LISTED``.
MAX_KEPT: Final = 10 * MAX_LISTED
# Days told apart: a hundred years. Dates beyond come from certificates that never expire, or from files that are not ours.
MAX_DAYS: Final = 36_525
OTHER_DAYS: Final = "(other days)"


class Expiry:
    """The fold. A service is one finding whose target sent a certificate."""

    def __init__(self) -> None:
        self.days: Counter[str] = Counter()
        self.certificates: Counter[tuple[str, str]] = Counter()  # (not_after, sha256) -> services
        self._last: tuple[str, str] | None = None  # what lies behind it was dropped

    def add(self, leaves: Sequence[tuple[str, str]]) -> None:
        """Count services by (not_after as RFC 3339 text, SHA-256) of what they sent."""
        for day, services in Counter([not_after[:10] for not_after, _ in leaves]).items():
            self._day(day, services)
        if self._last is not None:
            last = self._last
            leaves = [leaf for leaf in leaves if leaf <= last]
        self.certificates.update(leaves)
        if len(self.certificates) > MAX_KEPT:
            self._cut()

    def _day(self, day: str, services: int) -> None:
        if day not in self.days and len(self.days) >= MAX_DAYS:
            day = OTHER_DAYS
        self.days[day] += services

    def _cut(self) -> None:
        kept = heapq.nsmallest(MAX_LISTED, self.certificates)
        self.certificates = Counter({key: self.certificates[key] for key in kept})
        self._last = kept[-1]

    def merge(self, other: Expiry) -> None:
        """Add what ``other`` counted."""
        for day, services in other.days.items():
            self._day(day, services)
        self.certificates.update(other.certificates)
        for last in (self._last, other._last):
            if last is not None and (self._last is None or last <= self._last):
                self._last = last
        if self._last is not None:
            last = self._last
            self.certificates = Counter({key: n for key, n in self.certificates.items() if key <= last})
        if len(self.certificates) > MAX_KEPT:
            self._cut()

    def soonest(self, count: int = MAX_LISTED) -> list[dict[str, Any]]:
        """The certificates that expire first, with how many services sent each."""
        return [
            {"sha256": sha256, "not_after": not_after, "services": self.certificates[not_after, sha256]}
            for not_after, sha256 in heapq.nsmallest(count, self.certificates)
        ]

    def to_json(self) -> dict[str, Any]:
        """Services by day, ISO week and month of expiry, in order, and the certificates that expire first."""
        weeks: Counter[str] = Counter()
        months: Counter[str] = Counter()
        for day, services in self.days.items():
            weeks[week_of(day)] += services
            months[day[:7] if day != OTHER_DAYS else day] += services
        return {
            "by_day": dict(sorted(self.days.items())),
            "by_week": dict(sorted(weeks.items())),
            "by_month": dict(sorted(months.items())),
            "certificates": self.soonest(),
        }


def week_of(day: str) -> str:
    """The ISO week of a day, ``2027-W06``; the text itself where it is no day."""
    try:
        year, week, _ = date.fromisoformat(day).isocalendar()
    except ValueError:
        return day
    return f"{year:04}-W{week:02}"
