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
- *An estate of one domain may speak for itself, once the whole run is seen.* ``MANY_SERVERS`` on different addresses that agree to
  the minute, each with a certificate that is valid by its time and not by ours, are one party by the rules above, but too many to
  be passed over. Two readings explain them: our clock is wrong, or all of theirs are and the certificates have
  expired. They are believed if nothing in the run speaks for the second (a certificate that began after their present, a signed
  answer that is later, servers that agree with us, mostly certificates that are valid by our clock), and both readings are
  reported. Only with the whole run known, since healthy targets are not asked for the date and speak by their certificates.
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

from scanner.fleet.correlate.facts import ADDRESS_MARK, Facts, Witness
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
# Servers of one estate, each on its own address, that together contradict the local clock: fewer may be one machine, or a
# cluster that was started from one stale image.
MANY_SERVERS: Final = 5
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
        # by address: what a server says of the present, and whether its certificate is valid by its own time and not by ours
        self._servers: dict[str, tuple[int, Witness, bool]] = {}
        # targets with certificates that are trusted by our clock, not yet valid by it, expired by it; the latest notBefore of all
        self._valid_count = 0
        self._early_count = 0
        self._late_count = 0
        self._begun = float("-inf")
        self._verdict: ClockVerdict | None = None
        self._final = False
        self._of_whole_run: tuple[int, ClockVerdict] | None = None  # with the count of valid certificates that it is by

    def add(self, facts: Facts) -> bool:
        """Take in what one target tells. Return True if anything of it changes what is known."""
        if not self._judge:
            return False
        changed = False
        # under an issuer that no store trusts, not even the dates count
        validity = () if facts.untrusted else facts.validity
        leaves = [one for one in validity if one.code in ("certificate-not-yet-valid", "certificate-expired")]
        for witness in facts.witnesses:
            fits = bool(leaves) and all(one.not_before <= witness.time <= one.not_after for one in leaves)
            changed |= self.add_witness(witness, fits=fits)
        for leaf in leaves:
            self._begun = max(self._begun, leaf.not_before)
            if leaf.code == "certificate-not-yet-valid":
                changed |= self._keep_least(self._early, facts.domain, leaf.not_before - facts.local)
            else:
                changed |= self._keep_least(self._late, facts.domain, leaf.not_after - facts.local)
        if leaves:
            self._of_whole_run = None
            early = leaves[0].code == "certificate-not-yet-valid"
            self._early_count += early
            self._late_count += not early
        return changed

    def add_valid(self, begun: int) -> None:
        """Take in a target whose certificate is trusted by our clock, and when it began. This alone never changes ``verdict()``."""
        if self._judge:
            self._valid_count += 1
            if begun > self._begun:
                self._begun = begun

    def add_witness(self, witness: Witness, *, fits: bool = False) -> bool:
        """Take in one witness. Return True if it changes what is known.

        ``fits``: the server's certificate is valid by this time, and not by ours.
        """
        if not self._judge:
            return False
        self._of_whole_run = None
        if witness.tells_present:
            self._keep_server(witness, fits)
        return self._keep_party(witness)

    def _keep_party(self, witness: Witness) -> bool:
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
            self._keep_party(witness)
        for mine, theirs in ((self._early, other._early), (self._late, other._late)):
            for domain, offset in theirs.items():
                self._keep_least(mine, domain, offset)
        for _, witness, fits in other._servers.values():
            self._keep_server(witness, fits)
        self._valid_count += other._valid_count
        self._early_count += other._early_count
        self._late_count += other._late_count
        self._begun = max(self._begun, other._begun)
        self._of_whole_run = None

    def _keep_server(self, witness: Witness, fits: bool) -> None:
        """Keep what is kindest to our clock of each address; of equal statements one whose certificate does not fit."""
        address = next((mark for mark in witness.via if mark.startswith(ADDRESS_MARK)), witness.who)
        known, weight = self._servers.get(address), -abs(witness.time - witness.local)
        if known is None:
            if len(self._servers) >= MAX_PARTIES:
                return
        elif (weight, not fits, _order(witness)) <= (known[0], not known[2], _order(known[1])):
            return
        self._servers[address] = weight, witness, fits

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

    def verdict(self, *, whole_run: bool = False) -> ClockVerdict:
        """Return what the witnesses say; with the ``whole_run`` taken in, an estate may speak for itself too."""
        if self._verdict is None:
            self._verdict, self._final = self._weigh() if self._judge else (ClockVerdict(), False)
        if not whole_run or self._verdict.state != "unknown":
            return self._verdict
        if self._of_whole_run is None or self._of_whole_run[0] != self._valid_count:
            self._of_whole_run = self._valid_count, self._weigh_estate() or self._verdict
        return self._of_whole_run[1]

    def _weigh_estate(self) -> ClockVerdict | None:
        """Return the verdict of many servers of one estate; ``None`` if they are too few, or anything contradicts them."""
        kept = [(witness, fits) for _, witness, fits in self._servers.values()]
        fitting = [witness for witness, fits in kept if fits]
        if len(fitting) < MANY_SERVERS:
            return None
        agreed = _median(one.time - one.local for one in fitting)
        agreeing = [one for one in fitting if abs(one.time - one.local - agreed) <= AGREEMENT]
        against = sum(1 for one, _ in kept if abs(one.time - one.local - agreed) > AGREEMENT)
        # signed after what they say is the present
        against += sum(1 for _, one in self._signed.values() if one.time - one.local > agreed + TOLERANCE)
        present = max(one.time for one in agreeing) if agreeing else 0
        out_of_time = self._early_count if agreed > 0 else self._late_count
        if (
            abs(agreed) <= TOLERANCE
            or len(agreeing) < MANY_SERVERS
            or not _suffices(len(agreeing), against)
            or not _suffices(out_of_time, self._valid_count)
            or (agreed < 0 and self._begun > present + TOLERANCE)
        ):
            return None
        return ClockVerdict("wrong", float(agreed), _shown(agreeing), float(TOLERANCE), servers=len(agreeing))

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
