"""What the fleet says as a whole: one issuer across unrelated names, a wrong local clock, login pages, blocked revocation hosts.

Beside each verdict stands what it changes: how many targets it explains, under which causes they would stand each by itself,
and how many stand under another one in the findings as they were written, because not all was known then.

Clocks and what can be reached belong to one run, from one machine; issuers are followed through all runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from scanner.caching import bounded_memo
from scanner.fleet.correlate.domains import host_of, registrable
from scanner.fleet.correlate.facts import Facts, ReachSign, Witness, facts_of_finding, seconds, told_by_servers
from scanner.fleet.correlate.glance import addresses_tell
from scanner.fleet.correlate.interceptors_fold import MAX_ISSUERS, IssuersFold
from scanner.fleet.correlate.local_clock import ClockFold
from scanner.fleet.correlate.reachability import ReachFold
from scanner.fleet.stats.explained import FLEET_CODES, Explained, of_each
from scanner.fleet.stats.finding_kinds import Sort
from scanner.output import FOREIGN

# Runs of which the clock and what can be reached are judged: two months of nights.
MAX_RUNS: Final = 64
# Things that recorded verdicts are about.
MAX_RECORDED: Final = 1000
# Characters of what one is about; items of a list in its evidence.
MAX_ABOUT: Final = 300
MAX_ITEMS: Final = 8
# Under what our clock alone would have put a certificate that is in order.
_BY_LOCAL_CLOCK: Final = "expired-or-self-signed"
_EARLY: Final = "certificate-not-yet-valid"


class _Run:
    """What is judged of one run."""

    def __init__(self) -> None:
        self.clock = ClockFold()
        self.reach = ReachFold()
        self.early = Explained("clock-skew")  # certificates that are not valid yet by the local clock
        self.late = Explained("clock-skew")
        self.blocked = Explained("network-blocked")

    def merge(self, other: _Run) -> None:
        self.clock.merge(other.clock)
        self.reach.merge(other.reach)
        self.early.merge(other.early)
        self.late.merge(other.late)
        self.blocked.merge(other.blocked)


class _Recorded:
    """Findings that say one verdict of the fleet already, and the evidence of one of them, always the same."""

    def __init__(self, cause: str) -> None:
        self.explained = Explained(cause)
        self._evidence: tuple[int, str] = (-1, "")
        self.evidence: dict[str, Any] = {}

    def keep(self, evidence: dict[str, Any]) -> None:
        offered = len(evidence), repr(evidence)
        if offered > self._evidence:
            self._evidence, self.evidence = offered, evidence

    def merge(self, other: _Recorded) -> None:
        self.explained.merge(other.explained)
        self.keep(other.evidence)


class Seen(NamedTuple):
    """What one target tells: its facts, and of each code of the fleet that its finding has what it is about (``None``: the
    run) and the evidence. ``errors`` are the causes of its errors, ``named`` is the one that the finding is named by."""

    run: str
    facts: Facts | None
    told: Mapping[str, tuple[str | None, dict[str, Any]]]
    errors: Sequence[str]
    named: str
    judged_now: bool
    witnesses: Sequence[Witness]


class Correlation:
    """The fold."""

    def __init__(self) -> None:
        self.targets = 0
        self.said: Counter[str] = Counter()  # findings by code of ``FLEET_CODES``
        self._issuers = IssuersFold(early=False)
        self._by_issuer: dict[str, Explained] = {}
        self._runs: dict[str, _Run] = {}
        self._recorded: dict[tuple[str, str], _Recorded] = {}

    # --- taking in -------------------------------------------------------------------------------

    def look(self, finding: Mapping[str, Any], sort: Sort | None = None) -> Seen | None:
        """What a target tells, ``None`` if nothing beside what is taken in here: answers on revocation, which may be all that
        most have. ``sort`` is its finding's, ``None`` where that has no diagnosis."""
        told = _told(finding) if sort is not None and sort.says else {}
        if not told and not addresses_tell(finding):
            if "observed" not in finding:
                return None
            try:
                if self._hear_answers(finding):
                    return None
            except FOREIGN:
                pass  # what is heard twice counts once
        facts = facts_of_finding(finding)
        if facts is None and not told:
            return None
        run = finding.get("run")
        return Seen(
            run[:MAX_ABOUT] if isinstance(run, str) else "",
            facts,
            {code: (_about(code, evidence), _kept(evidence)) for code, evidence in told.items()},
            () if sort is None else sort.errors,
            "" if sort is None else sort.named,
            _judges_now(finding),
            told_by_servers(finding),
        )

    def add(self, seen: Seen) -> None:
        """Take in what a target tells; ``targets`` counts all, and is the caller's."""
        for code, (about, evidence) in seen.told.items():
            self.said[code] += 1
            self._record(seen, code, seen.run if about is None else about, evidence)
        if seen.facts is not None:
            self._fold(seen, seen.facts)

    def _hear_answers(self, finding: Mapping[str, Any]) -> bool:
        observed = finding["observed"]
        answers = observed["revocation"]
        run = self._run(finding["run"])
        local = _second(finding["started"])
        if len(observed) > 1 or run is None or local is None or any("blocked" in answer for answer in answers):
            return False
        judged = _judges_now(finding)
        for answer in answers:
            host, party = _party(answer["url"])
            if host and not run.reach.settled:
                run.reach.add((ReachSign(host, True),))
            made, until = answer.get("this_update"), answer.get("next_update")
            if not host or made is None or not judged:
                continue
            made = int(max(made, answer.get("produced_at") or made))
            until = None if until is None else int(until)
            if until is None or run.clock.matters(party, made - local, until - local):
                run.clock.hear(Witness(answer["source"], party, made, local, until))
        return True

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
        self._issuers.add(facts.sightings)
        said = "issuer-across-unrelated-names" in seen.told
        for key in {sighting.key for sighting in facts.sightings}:
            explained = self._by_issuer.get(key)
            if explained is None:
                if len(self._by_issuer) >= MAX_ISSUERS:
                    continue
                explained = self._by_issuer[key] = Explained("interception")
            explained.add(seen.errors, seen.named, said=said)
        run = self._run(seen.run)
        if run is None:
            return
        run.reach.add(facts.reach)
        if any(not host.reached for host in facts.reach) and "revocation-blocked" not in seen.told:
            run.blocked.add(seen.errors, seen.named)
        if not seen.judged_now:
            return
        run.clock.add(facts)
        for witness in seen.witnesses:
            run.clock.hear(witness)
        if facts.validity and "local-clock-wrong" not in seen.told:
            early = any(one.code == _EARLY for one in facts.validity)
            (run.early if early else run.late).add(seen.errors, seen.named)

    def merge(self, other: Correlation) -> None:
        """Add what another fold took in."""
        self.targets += other.targets
        self.said.update(other.said)
        self._issuers.merge(other._issuers)
        of_each(self._by_issuer, other._by_issuer, MAX_ISSUERS)
        of_each(self._runs, other._runs, MAX_RUNS)
        of_each(self._recorded, other._recorded, MAX_RECORDED)

    # --- telling ---------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """The verdicts: of each what it is about, its evidence, and what it changes."""
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
        """The clock of the machine that made a run. A run that knew it to be wrong corrected it, and its findings say so."""
        run, recorded = self._runs.get(name), self._recorded.get(("local-clock-wrong", name))
        explained = Explained("clock-skew")
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
            explained = self._by_issuer.get(key) or Explained("interception")
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
        explained = Explained("network-blocked")
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
    return {"state": "unknown", "witnesses": [], **Explained("clock-skew").to_json()}


def _about(code: str, evidence: Mapping[str, Any]) -> str | None:
    """What a recorded verdict is about; ``None`` where that is its run."""
    field = {"issuer-across-unrelated-names": "issuer", "captive-portal": "page"}.get(code)
    if field is None:
        return None
    about = evidence.get(field)
    return about[:MAX_ABOUT] if isinstance(about, str) else ""


def _told(finding: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The evidence of each code of the fleet that a finding has."""
    told: dict[str, Mapping[str, Any]] = {}
    diagnoses = finding.get("diagnoses")
    for diagnosis in diagnoses if isinstance(diagnoses, list) else ():
        code = diagnosis.get("code") if isinstance(diagnosis, dict) else None
        if isinstance(code, str) and code in FLEET_CODES:
            evidence = diagnosis.get("evidence")
            told[code] = evidence if isinstance(evidence, dict) else {}
    return told


# What the evidence of a verdict says of this target alone
_OF_THE_TARGET: Final = frozenset(
    {"certificate", "subject", "issuer", "page", "not_before", "not_after", "local_time", "agreed_time", "explained"}
    | {"by_local_clock", "url", "urls", "made_on_the_spot"}
)


def _kept(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What it says of the fleet, cut to what a record may be."""
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
    """Whether our clock decided what was said of certificates: it did not where a run judged them at a given moment."""
    options = finding.get("judged_with")
    return not (isinstance(options, dict) and options.get("at") is not None)


def _count(value: Any) -> int:
    return value if type(value) is int else 0


@bounded_memo(4096, 512)
def _party(url: str) -> tuple[str, str]:
    """The host of a URL, and whose it is."""
    host = host_of(url)
    return host, registrable(host) if host else ""


def _second(started: str) -> int | None:
    """Whole seconds of a time; all those of one second are looked up together."""
    if len(started) == len("2026-11-23T20:15:44.476Z") and started[19] == "." and started[23] == "Z":
        return _seconds(f"{started[:19]}Z")
    return seconds(started)


_seconds: Final = lru_cache(maxsize=1024)(seconds)
