"""Is the local clock right? Asked before any certificate is blamed, and answered by several witnesses or not at all.

A witness tells the present (an HTTP Date, SNTP), or a moment that is past for certain because somebody signed it (an SCT,
an OCSP response, a CRL), or until when a signed answer that was fetched a moment ago is current. Each party has one voice:
all hosts of one registrable domain are one, and so is whatever shares an address, a certificate or an untrusted issuer.
Of several words of one party the one that is kindest to the local clock counts.

"Wrong" takes ``MIN_WITNESSES`` voices that agree, and twice as many as contradict them. So one host that lies decides
nothing, nor does one CA or log whose own clock is off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal

from scanner.fleet.correlate.facts import Facts, Witness
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.times import moment

# Two may be in one hand, or wrong by the same fault (a virtual machine host, a time zone); three unrelated ones hardly.
MIN_WITNESSES: Final = 3
# Seconds by which a clock may be off before it is called wrong: what Kerberos and most protocols with signed times allow.
TOLERANCE: Final = 300
# Seconds by which those may differ who tell the same present: clocks in order are within a second of each other, and an
# answer may take some seconds to come.
AGREEMENT: Final = 60
# Parties of one kind that are kept. More would not change a verdict.
MAX_PARTIES: Final = 256
# Unrelated domains whose certificates are all not yet valid, or all expired, that together make one voice: weak, since
# estates neglected as a whole exist.
MANY_CERTIFICATES: Final = 5
# Witnesses that stand in the evidence of a finding.
MAX_SHOWN: Final = 8

_TELLS_PRESENT: Final = frozenset({"http-date", "tls-random", "sntp"})


class ClockFold:
    """The witnesses met so far. Offsets are seconds to add to the local clock."""

    def __init__(self, *, judge: bool = True) -> None:
        self._judge = judge
        # by party: who tells the present; who signed something lately; whose fresh answers are current until when
        self._present: dict[str, Witness] = {}
        self._signed: dict[str, Witness] = {}
        self._current: dict[str, Witness] = {}
        # by domain: how far the local clock would have to be moved for its certificate to be valid
        self._early: dict[str, int] = {}
        self._late: dict[str, int] = {}
        self._verdict: ClockVerdict | None = None
        self._settled = False

    def add(self, facts: Facts) -> None:
        """Take in what one target tells."""
        if not self._judge:
            return
        for witness in facts.witnesses:
            self.hear(witness)
        if facts.validity and not facts.issuers:  # of those whom nobody trusts, not even the dates count
            for validity in facts.validity:
                if validity.code == "certificate-not-yet-valid":
                    self._keep_least(self._early, facts.domain, validity.not_before - facts.local)
                elif validity.code == "certificate-expired":
                    self._keep_least(self._late, facts.domain, validity.not_after - facts.local)

    def hear(self, witness: Witness) -> None:
        """Take in one witness."""
        if not self._judge:
            return
        if witness.kind in _TELLS_PRESENT:
            self._keep(self._present, witness, lambda one: -abs(one.time - one.local))
            return
        self._keep(self._signed, witness, lambda one: one.time - one.local)
        if witness.until is not None:
            self._keep(self._current, witness, _until)

    def matters(self, who: str, ahead: int, current_for: int) -> bool:
        """Whether a signed answer of ``who`` could count for more than what was heard: signed so many seconds ahead of our
        clock, current for so many more. Most of thousands do not."""
        if not self._judge:
            return False
        signed, current = self._signed.get(who), self._current.get(who)
        return (
            signed is None or current is None or ahead >= signed.time - signed.local or current_for >= _until(current)
        )

    def merge(self, other: ClockFold) -> None:
        """Take in what another fold has heard."""
        for witness in (*other._present.values(), *other._signed.values(), *other._current.values()):
            self.hear(witness)
        for mine, theirs in ((self._early, other._early), (self._late, other._late)):
            for domain, offset in theirs.items():
                self._keep_least(mine, domain, offset)

    def _keep(self, kept: dict[str, Witness], witness: Witness, weight: Callable[[Witness], Any]) -> None:
        """Keep the weightiest word of each party; of equal ones any, but always the same."""
        known = kept.get(witness.who)
        if known is None:
            if len(kept) >= MAX_PARTIES:
                return
        else:
            new, old = weight(witness), weight(known)
            if new < old or (new == old and _order(witness) <= _order(known)):
                return
        kept[witness.who] = witness
        self._verdict = None

    def _keep_least(self, kept: dict[str, int], domain: str, offset: int) -> None:
        known = kept.get(domain)
        if known is None and len(kept) >= MAX_PARTIES:
            return
        if known is None or (abs(offset), offset) < (abs(known), known):
            kept[domain] = offset
            self._verdict = None

    # --- the verdict -----------------------------------------------------------------------------

    def concerns(self, facts: Facts) -> bool:
        """The verdict on the local clock decides what is to be said of this target."""
        if not self._judge:
            return False
        return bool(facts.validity) or any(
            witness.kind in _TELLS_PRESENT and abs(witness.time - witness.local) > TOLERANCE
            for witness in facts.witnesses
        )

    @property
    def settled(self) -> bool:
        """Known, and so clearly that what is still to come will hardly change it."""
        self.verdict()
        return self._settled

    @property
    def wanting(self) -> bool:
        """Something is to be decided, and further witnesses could do it."""
        return self._judge and not self.settled

    def verdict(self) -> ClockVerdict:
        """What the witnesses say."""
        if self._verdict is None:
            self._verdict, self._settled = self._weigh() if self._judge else (ClockVerdict(), False)
        return self._verdict

    def _weigh(self) -> tuple[ClockVerdict, bool]:
        present = independent(self._present.values())
        offsets = [one.time - one.local for one in present]
        ahead = [one for one in self._signed.values() if one.time - one.local > TOLERANCE]
        behind = [one for one in self._current.values() if _until(one) < -TOLERANCE]

        if offsets:
            agreed = _median(offsets)
            agreeing = [one for one in present if abs(one.time - one.local - agreed) <= AGREEMENT]
            against = len(present) - len(agreeing)
            # what is signed and ahead of what the hosts say contradicts them
            against += sum(1 for one in ahead if one.time - one.local > agreed + TOLERANCE)
            if _suffices(len(agreeing), against):
                state: Literal["confirmed", "wrong"] = "confirmed" if abs(agreed) <= TOLERANCE else "wrong"
                backing = [one for one in (ahead if agreed > TOLERANCE else behind) if state == "wrong"]
                clear = len(agreeing) >= MIN_WITNESSES + 2 * against
                verdict = ClockVerdict(state, float(agreed), _shown([*agreeing, *backing]), float(TOLERANCE))
                return verdict, clear

        for signed, sign, extreme in ((ahead, 1, self._early), (behind, -1, self._late)):
            same = [one for one in present if (one.time - one.local) * sign > TOLERANCE]
            voices = sorted(
                [(one.time - one.local) * sign for one in same]
                + [(one.time - one.local) if sign > 0 else -_until(one) for one in signed],
                reverse=True,
            )
            many = _many(extreme)
            if many is not None and abs(many) > TOLERANCE:
                voices = sorted([*voices, abs(many)], reverse=True)
            against = len(present) - len(same) + len(behind if sign > 0 else ahead)
            if sign < 0:
                against += sum(1 for one in self._current.values() if _until(one) >= 0)
            if signed and _suffices(len(voices), against):
                # so far at least, by the word of as many as are needed
                offset = sign * voices[MIN_WITNESSES - 1]
                verdict = ClockVerdict("wrong", float(offset), _shown([*same, *signed]), None)
                return verdict, len(voices) >= MIN_WITNESSES + 2 * against

        shown = _shown([*present, *ahead, *behind])
        spans = [
            max(one.time - one.local, -one.time + one.local, _until(one))
            for one in self._current.values()
            if one.time - one.local <= TOLERANCE and _until(one) >= 0
        ]
        if len(spans) >= MIN_WITNESSES and not ahead and not behind and all(abs(o) <= TOLERANCE for o in offsets):
            # Not to the minute, but no further off than the narrowest spans in which signed answers are current
            margin = sorted(spans)[MIN_WITNESSES - 1]
            current = _shown([*present, *self._current.values()])
            return ClockVerdict("confirmed", None, current, float(margin)), False
        return ClockVerdict("unknown", None, shown, None), False


def independent(witnesses: Iterable[Witness]) -> list[Witness]:
    """One witness for each that shares no mark with another; of those that do, the one nearest to the local clock."""
    chosen: list[Witness] = []
    marks: set[str] = set()
    for witness in sorted(witnesses, key=lambda one: (abs(one.time - one.local), _order(one))):
        if marks.isdisjoint(witness.via):
            chosen.append(witness)
            marks.update(witness.via)
    return chosen


def _suffices(agreeing: int, against: int) -> bool:
    return agreeing >= MIN_WITNESSES and agreeing >= 2 * against


def _median(values: Iterable[int]) -> int:
    """The value in the middle, of two the lower one: ``statistics`` has it too, and takes 4 ms to load."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _many(domains: dict[str, int]) -> int | None:
    """The one voice of many unrelated certificates that are all out of their time: the least that explains most of them."""
    return _median(domains.values()) if len(domains) >= MANY_CERTIFICATES else None


def _until(witness: Witness) -> int:
    return (witness.until or 0) - witness.local


def _order(witness: Witness) -> tuple[Any, ...]:
    return witness.kind, witness.who, witness.time, witness.local, witness.until or 0, witness.via


def _shown(witnesses: Iterable[Witness]) -> tuple[dict[str, Any], ...]:
    """The witnesses for a finding's evidence, the first few by name."""
    ordered = sorted({_order(one): one for one in witnesses}.values(), key=_order)
    return tuple(_describe(one) for one in ordered[:MAX_SHOWN])


def _describe(witness: Witness) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": witness.kind, "who": witness.who, "time": moment(witness.time)}
    if witness.until is not None:
        shown["until"] = moment(witness.until)
    shown["local_time"] = moment(witness.local)
    return shown
