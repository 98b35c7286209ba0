"""What the fleet says as a whole: one issuer across unrelated names, a wrong local clock, login pages, blocked revocation hosts.

Beside each verdict is what it changes: how many targets it explains, under which causes they would be each by itself,
and how many are under another one in the findings as they were written, because not all was known then.

Clocks and what can be reached belong to one run, from one machine; issuers are followed through all runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from scanner.fleet.correlate.facts import Facts, Sighting, Witness, facts_from_json, recorded_sntp
from scanner.fleet.correlate.interceptors_fold import MAX_ISSUERS, IssuersFold
from scanner.fleet.correlate.local_clock import ClockFold
from scanner.fleet.correlate.older_facts import older_facts
from scanner.fleet.correlate.reachability import ReachFold
from scanner.fleet.keys import records_in
from scanner.fleet.stats.finding_kinds import Kind
from scanner.fleet.stats.reclassified import FLEET_CODES, Reclassified, merge_each

# Runs of which the clock and what can be reached are judged: two months of nights.
MAX_RUNS: Final = 64
# Things that recorded verdicts are about.
MAX_RECORDED: Final = 1000
# Characters of what one is about; items of a list in its evidence.
MAX_ABOUT: Final = 300
MAX_ITEMS: Final = 8
# Cause that a certificate would have by our clock alone.
_BY_LOCAL_CLOCK: Final = "expired-or-self-signed"
_EARLY: Final = "certificate-not-yet-valid"


class _Run:
    """Verdicts that belong to one run: its clock, and what it could reach."""

    def __init__(self) -> None:
        self.clock = ClockFold()
        self.reach = ReachFold()
        self.early = Reclassified("clock-skew")  # certificates that are not valid yet by the local clock
        self.late = Reclassified("clock-skew")
        self.blocked = Reclassified("network-blocked")

    def merge(self, other: _Run) -> None:
        self.clock.merge(other.clock)
        self.reach.merge(other.reach)
        self.early.merge(other.early)
        self.late.merge(other.late)
        self.blocked.merge(other.blocked)


class _Recorded:
    """Findings that have one verdict of the fleet already, and the evidence of one of them, whichever the order."""

    def __init__(self, cause: str) -> None:
        self.explained = Reclassified(cause)
        self._evidence: tuple[int, str] = (-1, "")
        self.evidence: dict[str, Any] = {}

    def keep(self, evidence: dict[str, Any]) -> None:
        offered = len(evidence), repr(evidence)
        if offered > self._evidence:
            self._evidence, self.evidence = offered, evidence

    def merge(self, other: _Recorded) -> None:
        self.explained.merge(other.explained)
        self.keep(other.evidence)


class Seen(Struct, frozen=True):
    """What one target tells the fleet: its facts, and of each code of the fleet that its finding has what it is about (``None``:
    the run) and the evidence. ``errors`` are the causes of its errors, ``named`` is the cause that the finding is named by."""

    run: str
    facts: Facts | None
    judged_now: bool
    recorded: Mapping[str, tuple[str | None, dict[str, Any]]] = {}
    errors: Sequence[str] = ()
    named: str = ""
    witnesses: Sequence[Witness] = ()


def seen_of(finding: Mapping[str, Any], kind: Kind | None = None) -> Seen | None:
    """Return what a target that was probed tells the fleet, ``None`` if nothing. ``kind`` is its finding's, if that has a
    diagnosis."""
    observed = finding.get("observed")
    if type(observed) is dict and "facts" in observed:
        facts = facts_from_json(observed["facts"])
    else:
        facts = older_facts(finding)
    run = finding.get("run")
    run = run[:MAX_ABOUT] if isinstance(run, str) else ""
    if kind is None:
        return None if facts is None else Seen(run, facts, _judges_now(finding))
    recorded = _recorded(finding) if kind.has_fleet_code else {}
    if facts is None and not recorded:
        return None
    about = {code: (_about(code, evidence), _kept(evidence)) for code, evidence in recorded.items()}
    return Seen(run, facts, _judges_now(finding), about, kind.errors, kind.named, recorded_sntp(finding))


class Correlation:
    """What the targets of all runs tell together."""

    def __init__(self) -> None:
        self.targets = 0  # all that were probed, counted by the caller
        self.said: Counter[str] = Counter()  # findings by code of ``FLEET_CODES``
        self._issuers = IssuersFold(early=False)
        self._by_issuer: dict[str, Reclassified] = {}
        self._runs: dict[str, _Run] = {}
        self._recorded: dict[tuple[str, str], _Recorded] = {}

    def add(self, seen: Seen) -> None:
        """Take in what a target tells."""
        for code, (about, evidence) in seen.recorded.items():
            self.said[code] += 1
            self._record(seen, code, seen.run if about is None else about, evidence)
        if seen.facts is not None:
            self._fold(seen, seen.facts)

    def _run(self, name: str) -> _Run | None:
        run = self._runs.get(name)
        if run is None and len(self._runs) < MAX_RUNS:
            run = self._runs[name] = _Run()
        return run

    def _record(self, seen: Seen, code: str, about: str, evidence: dict[str, Any]) -> None:
        recorded = self._recorded.get((code, about))
        if recorded is None:
            if len(self._recorded) >= MAX_RECORDED:
                return
            recorded = self._recorded[code, about] = _Recorded(FLEET_CODES[code])
        # where the clock was corrected, the diagnoses do not show any more what it would have said
        errors = [_BY_LOCAL_CLOCK] if code == "local-clock-wrong" else seen.errors
        recorded.explained.add(errors, seen.named, said=True)
        recorded.keep(evidence)

    def _fold(self, seen: Seen, facts: Facts) -> None:
        if facts.sightings:
            self._follow(seen, facts.sightings)
        run = self._run(seen.run)
        if run is None:
            return
        run.reach.add(facts.reach)
        for host in facts.reach:
            if not host.reached and "revocation-blocked" not in seen.recorded:
                run.blocked.add(seen.errors, seen.named)
                break
        if not seen.judged_now:
            return
        run.clock.add(facts)
        for witness in seen.witnesses:
            run.clock.add_witness(witness)
        if facts.validity and "local-clock-wrong" not in seen.recorded:
            early = any(one.code == _EARLY for one in facts.validity)
            (run.early if early else run.late).add(seen.errors, seen.named)

    def _follow(self, seen: Seen, sightings: Sequence[Sighting]) -> None:
        self._issuers.add(sightings)
        said = "issuer-across-unrelated-names" in seen.recorded
        for key in {sighting.key for sighting in sightings}:
            explained = self._by_issuer.get(key)
            if explained is None:
                if len(self._by_issuer) >= MAX_ISSUERS:
                    continue
                explained = self._by_issuer[key] = Reclassified("interception")
            explained.add(seen.errors, seen.named, said=said)

    def merge(self, other: Correlation) -> None:
        """Add what another fold took in."""
        self.targets += other.targets
        self.said.update(other.said)
        self._issuers.merge(other._issuers)
        merge_each(self._by_issuer, other._by_issuer, MAX_ISSUERS)
        merge_each(self._runs, other._runs, MAX_RUNS)
        merge_each(self._recorded, other._recorded, MAX_RECORDED)

    # --- verdicts --------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return the verdicts: of each what it is about, its evidence, and what it changes."""
        clocks = {name: shown for name in self._names() if (shown := self._clock(name))["state"] != "unknown"}
        worst = sorted(clocks, key=lambda name: (clocks[name]["state"] != "wrong", -clocks[name]["targets"], name))
        return {
            "clock": {"run": worst[0], **clocks[worst[0]]} if worst else _unknown_clock(),
            "clocks": clocks,
            "interceptors": self._interceptors(),
            "portals": [
                {"to": about, "evidence": recorded.evidence, **recorded.explained.to_json()}
                for about, recorded in self._recorded_of("captive-portal")
            ],
            "revocation_blocked": self._blocked(),
            "findings": {code: self.said.get(code, 0) for code in FLEET_CODES},
        }

    def _names(self) -> list[str]:
        recorded = (about for code, about in self._recorded if code == "local-clock-wrong")
        return sorted({*self._runs, *recorded})

    def _clock(self, name: str) -> dict[str, Any]:
        """Return what is known of the clock that made a run. A run that knew it to be wrong corrected it: its findings say so."""
        run, recorded = self._runs.get(name), self._recorded.get(("local-clock-wrong", name))
        explained = Reclassified("clock-skew")
        shown = _unknown_clock()
        if run is not None:
            verdict = run.clock.verdict()
            shown |= {"state": verdict.state, "witnesses": [dict(one) for one in verdict.witnesses]}
            if verdict.offset is not None:
                shown["offset_seconds"] = verdict.offset
            if verdict.state == "wrong":
                explained.merge(run.early if (verdict.offset or 0) > 0 else run.late)
        if recorded is not None:
            explained.merge(recorded.explained)
            if shown["state"] != "wrong":
                shown = {**_unknown_clock(), "state": "wrong", "witnesses": recorded.evidence.get("witnesses", [])}
                offset = recorded.evidence.get("offset_seconds")
                if isinstance(offset, int | float):
                    shown["offset_seconds"] = float(offset)
        return {**shown, **explained.to_json()}

    def _interceptors(self) -> list[dict[str, Any]]:
        shown = []
        known = set()
        for key, verdict in self._issuers.verdict(self.targets).items():
            known.add(verdict.issuer[:MAX_ABOUT])
            explained = self._by_issuer.get(key) or Reclassified("interception")
            shown.append(
                {
                    "issuer": verdict.issuer,
                    "certain": verdict.certain,
                    "evidence": dict(verdict.evidence),
                    **explained.to_json(),
                }
            )
        shown += [
            {"issuer": about, "certain": True, "evidence": recorded.evidence, **recorded.explained.to_json()}
            for about, recorded in self._recorded_of("issuer-across-unrelated-names")
            if about not in known
        ]
        return sorted(shown, key=lambda one: (-one["targets"], one["issuer"]))

    def _blocked(self) -> dict[str, Any] | None:
        explained = Reclassified("network-blocked")
        found: dict[str, dict[str, Any]] = {}
        for name, run in sorted(self._runs.items()):
            evidence = run.reach.verdict()
            if evidence is not None:
                found[name] = dict(evidence)
                explained.merge(run.blocked)
        for name, recorded in self._recorded_of("revocation-blocked"):
            found.setdefault(name, recorded.evidence)
            explained.merge(recorded.explained)
        if not found:
            return None
        most = max(found.values(), key=lambda evidence: (_count(evidence.get("hosts_count")), repr(evidence)))
        return {"evidence": most, "runs": sorted(found), **explained.to_json()}

    def _recorded_of(self, code: str) -> list[tuple[str, _Recorded]]:
        found = [(about, recorded) for (of, about), recorded in self._recorded.items() if of == code]
        return sorted(found, key=lambda item: (-item[1].explained.targets, item[0]))


def _unknown_clock() -> dict[str, Any]:
    return {"state": "unknown", "witnesses": [], **Reclassified("clock-skew").to_json()}


def _about(code: str, evidence: Mapping[str, Any]) -> str | None:
    """Return what a recorded verdict is about; ``None`` if that is its run."""
    field = {"issuer-across-unrelated-names": "issuer", "captive-portal": "page"}.get(code)
    if field is None:
        return None
    about = evidence.get(field)
    return about[:MAX_ABOUT] if isinstance(about, str) else ""


def _recorded(finding: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the evidence of each code of the fleet that a finding has."""
    found: dict[str, Mapping[str, Any]] = {}
    for diagnosis in records_in(finding.get("diagnoses")):
        code = diagnosis.get("code")
        if isinstance(code, str) and code in FLEET_CODES:
            evidence = diagnosis.get("evidence")
            found[code] = evidence if isinstance(evidence, dict) else {}
    return found


# Fields of a verdict's evidence that are about one target, not the fleet
_OF_THE_TARGET: Final = frozenset(
    {"certificate", "subject", "issuer", "page", "not_before", "not_after", "local_time", "agreed_time", "explained"}
    | {"by_local_clock", "url", "urls", "made_on_the_spot"}
)


def _kept(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return what evidence says of the fleet, with limits on all texts and lists."""
    kept: dict[str, Any] = {}
    for name, value in list(evidence.items())[: 4 * MAX_ITEMS]:
        if name in _OF_THE_TARGET or not isinstance(name, str):
            continue
        if isinstance(value, str):
            kept[name] = value[:MAX_ABOUT]
        elif isinstance(value, bool | int | float):
            kept[name] = value
        elif isinstance(value, list):
            kept[name] = [cut for item in value[:MAX_ITEMS] if (cut := _item(item)) is not None]
    return kept


def _item(item: Any) -> str | dict[str, str] | None:
    if isinstance(item, str):
        return item[:MAX_ABOUT]
    if isinstance(item, dict):
        texts = {name: text for name, text in item.items() if isinstance(name, str) and isinstance(text, str)}
        return {name: text[:MAX_ABOUT] for name, text in list(texts.items())[:MAX_ITEMS]}
    return None


def _judges_now(finding: Mapping[str, Any]) -> bool:
    """Return True if certificates were judged by our clock, False if at a given moment (``--at``)."""
    options = finding.get("judged_with")
    return not (isinstance(options, dict) and options.get("at") is not None)


def _count(value: Any) -> int:
    return value if type(value) is int else 0
