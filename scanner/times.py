"""Moments as text, how long a day is, and the codes that depend on what time it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

DAY: Final = 86_400.0
# Codes of certificates that are outside of their validity; a wrong clock of ours causes them too.
TIME_CODES: Final = frozenset({"certificate-expired", "certificate-not-yet-valid", "intermediate-expired"})


def moment(seconds: float, precision: str = "seconds") -> str:
    """Return epoch seconds as RFC 3339 text (UTC); the first or last moment of the calendar for what lies beyond it."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=precision).replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return "9999-12-31T23:59:59Z" if seconds > 0 else "0001-01-01T00:00:00Z"
