"""Is the local clock right? Asked before any certificate is blamed, and answered by several witnesses or not at all.

The problem: a machine whose clock is off by a day finds a part of its targets expired or not yet valid, and each of these
findings is wrong alike. No single target shows it. All targets of a run together do, since many of them say what
time it is without being asked for it. But each of them may lie, have a wrong clock itself, or be one of a hundred names of one
machine; and whoever can turn our clock for us could hide an expired certificate. So the verdict must not depend on any one of them.

Witnesses come in two kinds. One tells the present: an HTTP Date, SNTP, the random of an old ServerHello. The other tells a
moment that is past for certain because somebody signed it (an SCT, an OCSP response, a CRL); that only proves that it is later
than that, so it speaks only if it lies ahead of our clock. A signed answer that was fetched a moment ago also says until when
it is current; if our clock is past that, it is probably ahead.

Design:

- *A party has one voice.* All hosts of one registrable domain are one party, and so is a CA or a log, however many answers it
  signed. Of several statements of one party the one that is kindest to our clock counts, so that a party that contradicts
  itself accuses nobody.
- *Of those that tell the present, no two may share a mark* (``Witness.via``): an address, a certificate, an untrusted issuer.
  A proxy in front of everything would otherwise be a thousand witnesses.
- *"Wrong" takes* ``MIN_WITNESSES`` *voices that agree, and twice as many as contradict them.* One host that lies decides nothing,
  nor does one CA or log whose own clock is off. If they are enough, the median of those that tell the present is the offset.
  Signed statements alone give only a direction and the least that it must be.
- *Certificates out of their time are one weak voice*, and only if there are ``MANY_CERTIFICATES`` in unrelated domains:
  estates that are neglected as a whole exist.
- *The verdict is memoised* until a statement is kept that changes what is known, since every target asks for it. Answers
  on revocation are shared by all targets of an issuer and the later they are met, the less they say, so nearly all change nothing.

What breaks if this is touched: the order of arrival must not matter, because processes fold their own parts and findings are
folded again in any order. So whatever is kept is chosen by weight and then by ``_order``, never by who came first, with one
exception: beyond ``MAX_PARTIES`` new parties are not taken in. ``is_final`` lets findings be written before the run ends; it must
demand more than ``verdict``, or a finding could be written by a verdict that later witnesses turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

from scanner.fleet.correlate.facts import Facts, Witness
from scanner.fleet.correlate.fleet_verdicts import ClockVerdict
from scanner.times import moment

# Two may have one operator, or one fault (a virtual machine host, a time zone); three unrelated ones hardly.
MIN_WITNESSES: Final = 3
# Seconds by which a clock may be off before it is called wrong: what Kerberos and most protocols with signed times allow.
TOLERANCE: Final = 300
# Seconds by which witnesses may differ that tell the same present: clocks that are right are within a second of each other, and
# an answer may take some seconds to come.
AGREEMENT: Final = 60
# Parties of one kind that are kept. More would not change a verdict.
MAX_PARTIES: Final = 256
# Unrelated domains whose certificates are all not yet valid, or all expired, that together make one voice.
MANY_CERTIFICATES: Final = 5
# Witnesses in the evidence of a finding.
MAX_SHOWN: Final = 8


class ClockFold:
    """The witnesses of one run. Offsets are seconds to add to the local clock."""

    def __init__(self, *, judge: bool = True) -> None:
        self._judge = judge
        # by party, with its weight: who tells the present; who signed something lately; whose fresh answers are current until when
        self._present: dict[str, tuple[int, Witness]] = {}
        self._signed: dict[str, tuple[int, Witness]] = {}
        self._current: dict[str, tuple[int, Witness]] = {}
        # by domain: how far the local clock would have to be moved for its certificate to be valid
        self._early: dict[str, int] = {}
        self._late: dict[str, int] = {}
        self._verdict: ClockVerdict | None = None
        self._final = False

    def add(self, facts: Facts) -> bool:
        """Take in what one target tells. Return True if anything of it changes what is known."""
        if not self._judge:
            return False
        changed = False
        for witness in facts.witnesses:
            changed |= self.add_witness(witness)
        if facts.validity and not facts.untrusted:  # under an issuer that no store trusts, not even the dates count
            for validity in facts.validity:
                if validity.code == "certificate-not-yet-valid":
                    changed |= self._keep_least(self._early, facts.domain, validity.not_before - facts.local)
                elif validity.code == "certificate-expired":
                    changed |= self._keep_least(self._late, facts.domain, validity.not_after - facts.local)
        return changed

    def add_witness(self, witness: Witness) -> bool:
        """Take in one witness. Return True if it changes what is known."""
        if not self._judge:
            return False
        ahead = witness.time - witness.local
        if witness.tells_present:
            return self._keep(self._present, witness, -abs(ahead))
        changed = self._keep(self._signed, witness, ahead)
        if witness.until is not None and self._keep(self._current, witness, witness.until - witness.local):
            return True
        return changed

    def merge(self, other: ClockFold) -> None:
        """Take in what another fold has heard."""
        for _, witness in (*other._present.values(), *other._signed.values(), *other._current.values()):
            self.add_witness(witness)
        for mine, theirs in ((self._early, other._early), (self._late, other._late)):
            for domain, offset in theirs.items():
                self._keep_least(mine, domain, offset)

    def _keep(self, kept: dict[str, tuple[int, Witness]], witness: Witness, weight: int) -> bool:
        """Keep the weightiest statement of each party; of equal ones the last by ``_order``."""
        known = kept.get(witness.who)
        if known is None:
            if len(kept) >= MAX_PARTIES:
                return False
        elif weight < known[0] or (weight == known[0] and _order(witness) <= _order(known[1])):
            return False
        kept[witness.who] = weight, witness
        self._verdict = None
        return True

    def _keep_least(self, kept: dict[str, int], domain: str, offset: int) -> bool:
        known = kept.get(domain)
        if known is None and len(kept) >= MAX_PARTIES:
            return False
        if known is None or (abs(offset), offset) < (abs(known), known):
            kept[domain] = offset
            self._verdict = None
            return True
        return False

    # --- the verdict -----------------------------------------------------------------------------

    def concerns(self, facts: Facts) -> bool:
        """Return True if the verdict on the local clock decides what is said of this target."""
        if not self._judge:
            return False
        return bool(facts.validity) or any(
            witness.tells_present and abs(witness.time - witness.local) > TOLERANCE for witness in facts.witnesses
        )

    @property
    def is_final(self) -> bool:
        """Whether the verdict is so clear that what is still to come will hardly change it."""
        self.verdict()
        return self._final

    @property
    def wants_witnesses(self) -> bool:
        """Whether something is to be decided, and further witnesses could decide it."""
        return self._judge and not self.is_final

    def verdict(self) -> ClockVerdict:
        """Return what the witnesses say."""
        if self._verdict is None:
            self._verdict, self._final = self._weigh() if self._judge else (ClockVerdict(), False)
        return self._verdict

    def _weigh(self) -> tuple[ClockVerdict, bool]:
        present = independent([one for _, one in self._present.values()])
        offsets = [one.time - one.local for one in present]
        ahead = [one for weight, one in self._signed.values() if weight > TOLERANCE]
        behind = [one for weight, one in self._current.values() if weight < -TOLERANCE]

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
                against += sum(1 for weight, _ in self._current.values() if weight >= 0)
            if signed and _suffices(len(voices), against):
                # so far at least, by the word of as many as are needed
                offset = sign * voices[MIN_WITNESSES - 1]
                verdict = ClockVerdict("wrong", float(offset), _shown([*same, *signed]), None)
                return verdict, len(voices) >= MIN_WITNESSES + 2 * against

        shown = _shown([*present, *ahead, *behind])
        spans = [
            max(one.time - one.local, -one.time + one.local, _until(one))
            for _, one in self._current.values()
            if one.time - one.local <= TOLERANCE and _until(one) >= 0
        ]
        if len(spans) >= MIN_WITNESSES and not ahead and not behind and all(abs(o) <= TOLERANCE for o in offsets):
            # Not to the minute, but no further off than the narrowest spans in which signed answers are current
            margin = sorted(spans)[MIN_WITNESSES - 1]
            current = _shown([*present, *(one for _, one in self._current.values())])
            return ClockVerdict("confirmed", None, current, float(margin)), False
        return ClockVerdict("unknown", None, shown, None), False


def independent(witnesses: Iterable[Witness]) -> list[Witness]:
    """Return witnesses of which no two share a mark; of those that do, the one nearest to the local clock."""
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
    """Return the value in the middle, of two the lower one. ``statistics`` has this too, and takes 4 ms to load."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2]


def _many(domains: dict[str, int]) -> int | None:
    """Return the one voice of many unrelated certificates that are out of their time: the least that explains most of them."""
    return _median(domains.values()) if len(domains) >= MANY_CERTIFICATES else None


def _until(witness: Witness) -> int:
    return (witness.until or 0) - witness.local


def _order(witness: Witness) -> tuple[Any, ...]:
    return witness.kind, witness.who, witness.time, witness.local, witness.until or 0, witness.via


def _shown(witnesses: Iterable[Witness]) -> tuple[dict[str, Any], ...]:
    """Return the witnesses for a finding's evidence, the first few in the order of their names."""
    ordered = sorted({_order(one): one for one in witnesses}.values(), key=_order)
    return tuple(_describe(one) for one in ordered[:MAX_SHOWN])


def _describe(witness: Witness) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": witness.kind, "who": witness.who, "time": moment(witness.time)}
    if witness.until is not None:
        shown["until"] = moment(witness.until)
    shown["local_time"] = moment(witness.local)
    return shown
