"""The Certificate Transparency policies of Chrome and Apple, as they are published.

Chrome: ct_policy.md of GoogleChrome/CertificateTransparency of 2026-07-22 (and its enforcer where that text is
ambiguous). Apple: support article 103214. Firefox follows Chrome's counts. Both count SCTs that a log made before it
was retired, and none without a valid signature of a log that they know.

Lists are made later than some of the moments that are judged (``--at``). Of a log that has left use since then, on a day
that the list does not give, it is not known whether it was in use, and neither is what depends on that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from msgspec import Struct

from scanner.times import DAY
from scanner.trust.ct_logs import APPROVED, CtLog

Source = Literal["certificate", "tls", "staple"]
Standing = Literal["approved", "once", "unknown", "never"]

# Certificates issued before these days need no SCTs: Chrome's CT-days of 30 April and Apple's of 15 October 2018.
CHROME_SINCE: Final = datetime(2018, 5, 1, tzinfo=UTC).timestamp()
APPLE_SINCE: Final = datetime(2018, 10, 15, tzinfo=UTC).timestamp()

# Certificates that live longer need one log more, for Chrome and for Apple.
SHORT_LIFETIME: Final = 180 * DAY
SHORT_LOGS: Final = 2
LONG_LOGS: Final = 3
# Apple: how many logs of one operator count, by the number of logs needed.
APPLE_PER_OPERATOR: Final[Mapping[int, int]] = {SHORT_LOGS: 1, LONG_LOGS: 2}


class VerifiedSct(Struct, frozen=True):
    """A verified SCT: its log, where it came from, and its time (seconds since the epoch)."""

    log: CtLog
    source: Source
    time: float


class PolicyVerdict(Struct, frozen=True):
    """Whether a policy is met, ``None`` if unknown: ``count`` of the ``needed`` logs count; ``reason`` says what is missing."""

    complies: bool | None
    needed: int
    count: int
    reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the record in a finding."""
        return {"complies": self.complies, "needed": self.needed, "count": self.count, "reason": self.reason}


def logs_needed(lifetime: float) -> int:
    """Return how many embedded SCTs a certificate of this lifetime (notAfter minus notBefore, seconds) needs."""
    return SHORT_LOGS if lifetime <= SHORT_LIFETIME else LONG_LOGS


def standing(state: str | None, since: float | None, at: float, listed: float | None) -> Standing:
    """Return what a state, which began at ``since``, means for SCTs at a moment; the list was made at ``listed``."""
    if state in APPROVED:
        return "approved"
    if state in ("retired", "rejected"):
        if since is not None and since > at:
            return "approved"  # it was in use until then
        if since is None and listed is not None and listed > at:
            return "unknown"
    return "once" if state == "retired" else "never"


def apple_standing(log: CtLog, at: float, listed: float | None, *, known: bool) -> Standing:
    """Return what a log's state means for Apple. ``known``: the list has Apple's states; else its owner's are used."""
    own = standing(log.state, log.since, at, listed)
    if not known:
        return own
    if log.apple_state is None or log.apple_state == "pending":
        # Apple's list may have accepted it since
        return "never" if own == "never" else "unknown"
    apple = standing(log.apple_state, log.apple_since, at, listed)
    if apple == "never":
        return "never"
    return apple if own == "approved" else "unknown"


def exempt(begins: float, since: float) -> PolicyVerdict | None:
    """Return the verdict on a certificate that was issued before the policy."""
    return PolicyVerdict(True, 0, 0, "it was issued before SCTs were demanded") if begins < since else None


# --- Chrome --------------------------------------------------------------------------------------


def chrome(promises: Sequence[VerifiedSct], lifetime: float, at: float, listed: float | None) -> PolicyVerdict:
    """Apply Chrome's policy since version 148; ``complies`` is ``None`` if it depends on when logs left use."""
    judged = [(promise, standing(promise.log.state, promise.log.since, at, listed)) for promise in promises]
    strict = _chrome(judged, lifetime)
    if strict.complies or all(how != "unknown" for _, how in judged):
        return strict
    return _if_lenient(judged, _chrome(_lenient(judged), lifetime), "Chrome")


def _lenient(judged: Sequence[tuple[VerifiedSct, Standing]]) -> list[tuple[VerifiedSct, Standing]]:
    return [(promise, "approved" if how == "unknown" else how) for promise, how in judged]


def _if_lenient(judged: Sequence[tuple[VerifiedSct, Standing]], lenient: PolicyVerdict, owner: str) -> PolicyVerdict:
    """Return the verdict of a policy that is met at most by logs of which it is not known whether they count."""
    if not lenient.complies:
        return lenient
    names = sorted({promise.log.name for promise, how in judged if how == "unknown"})
    reason = f"what {owner} holds of " + ", ".join(names) + " is not known"
    return PolicyVerdict(None, lenient.needed, lenient.count, reason)


def _chrome(judged: Sequence[tuple[VerifiedSct, Standing]], lifetime: float) -> PolicyVerdict:
    """Apply the policy: SCTs of the certificate and the TLS extension count, of staples none."""
    needed = logs_needed(lifetime)
    shown = [
        (promise, how) for promise, how in judged if promise.source != "staple" and how not in ("never", "unknown")
    ]
    issued = min((promise.time for promise, how in shown if how == "approved"), default=None)

    def counts(promise: VerifiedSct, how: Standing) -> bool:
        if how == "approved":
            return True
        since = promise.log.since
        if promise.source != "certificate" or since is None or issued is None:
            return False
        return promise.time < since and issued < since

    counted = [(promise, how) for promise, how in shown if counts(promise, how)]
    operators = {promise.log.operator_at(promise.time) for promise, _ in counted}
    logs = {promise.log.log_id for promise, _ in counted}
    if any(promise.source == "tls" for promise, _ in counted):
        if len(operators) > 1:
            return PolicyVerdict(True, SHORT_LOGS, len(logs))
        if all(promise.source == "tls" for promise, _ in counted):
            needed = SHORT_LOGS
    embedded = {promise.log.log_id for promise, _ in counted if promise.source == "certificate"}
    count = len(embedded) if embedded else len(logs)
    if count < needed:
        return PolicyVerdict(False, needed, count, _too_few(count, needed))
    if len(operators) < 2:
        return PolicyVerdict(False, needed, count, _one_operator(operators))
    return PolicyVerdict(True, needed, count)


# --- Apple ---------------------------------------------------------------------------------------


def apple(
    promises: Sequence[VerifiedSct], lifetime: float, at: float, listed: float | None, *, known: bool
) -> PolicyVerdict:
    """Apply Apple's policy; ``complies`` is ``None`` if it depends on logs whose state for Apple is not known."""
    judged = [(promise, apple_standing(promise.log, at, listed, known=known)) for promise in promises]
    strict = _apple(judged, lifetime)
    if strict.complies or not any(how == "unknown" for _, how in judged):
        return strict
    return _if_lenient(judged, _apple(_lenient(judged), lifetime), "Apple")


def _apple(judged: Sequence[tuple[VerifiedSct, Standing]], lifetime: float) -> PolicyVerdict:
    approved = [promise for promise, how in judged if how == "approved"]
    logs = {promise.log.log_id for promise in approved}
    classic = any(not promise.log.tiled for promise in approved)
    if len(logs) > 1 and classic and any(promise.source != "certificate" for promise in approved):
        return PolicyVerdict(True, SHORT_LOGS, len(logs))
    needed = logs_needed(lifetime)
    embedded = [promise for promise in approved if promise.source == "certificate"]
    once = [
        promise
        for promise, how in judged
        if how == "once" and promise.source == "certificate" and _before_retirement(promise)
    ]
    by_operator = Counter(
        operator
        for _, operator in {
            (promise.log.log_id, promise.log.operator_at(promise.time)) for promise in [*embedded, *once]
        }
    )
    most = APPLE_PER_OPERATOR[needed]
    count = sum(min(number, most) for number in by_operator.values())
    if not embedded:
        return PolicyVerdict(False, needed, 0, "none of them comes from a log in use")
    if count < needed:
        if sum(by_operator.values()) >= needed:
            return PolicyVerdict(False, needed, count, _one_operator(set(by_operator)))
        return PolicyVerdict(False, needed, count, _too_few(count, needed))
    if all(promise.log.tiled for promise in [*embedded, *once]):
        return PolicyVerdict(False, needed, count, "none of them comes from a log of RFC 6962, all from static ones")
    return PolicyVerdict(True, needed, count)


def _before_retirement(promise: VerifiedSct) -> bool:
    log = promise.log
    since = log.apple_since if log.apple_state == "retired" else log.since
    return since is not None and promise.time < since


def _too_few(count: int, needed: int) -> str:
    return f"they come from {count} of the {needed} logs that it needs"


def _one_operator(operators: set[str]) -> str:
    return "they all come from logs of " + " and ".join(sorted(operators))
