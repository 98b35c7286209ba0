"""The only conductor: rows in, findings out. Workers in a nursery observe; judging, diagnosing and writing are plain calls.

Memory is bounded: rows are read when workers want them, and what waits for the fleet's knowledge goes to disk.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.caching import Cache, given_size
from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis import assemble
from scanner.diagnosis.case import NO_FLEET
from scanner.diagnosis.engine import Context, flight_of
from scanner.diagnosis.finding import finding_of
from scanner.diagnosis.healthy import plainly_healthy
from scanner.diagnosis.questions import Question, next_question
from scanner.diagnosis.readymade import ReadyMade
from scanner.errors import describe_caught, joined
from scanner.fleet.correlate.facts import Facts, facts_of
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.fleet.correlate.fold import REASONS, Fold
from scanner.model.config import ScanConfig
from scanner.model.evidence import EndpointEvidence, Evidence, InvalidRow, ServerFlight, Target
from scanner.model.findings import Finding
from scanner.net.conditions import Conditions
from scanner.net.lookups.plan import Enquiries, with_answers
from scanner.net.observe import Observer
from scanner.net.pacing import Pacer, PacingStatistics, is_loopback
from scanner.run.post_probe import PostProbeLookups
from scanner.run.row_queue import RowQueue, RowSource
from scanner.run.spool import Spool, SpoolError, evidence_bytes, finding_bytes
from scanner.trust.leaf_only import verify_or_leaf
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier

# Workers beside those that may be in flight: targets that wait for their own address or for DNS hold no place.
WAITING_WORKERS: Final = 1000
# Findings remembered so that a repeated target shares one probe: at about 5 kB each some 10 MB, and never more than 64 MB.
REMEMBERED: Final = 2048
REMEMBERED_BYTES: Final = 64 << 20
# Rows that may wait for a target that is in flight, all together; further ones are probed by themselves.
MAX_SHARING: Final = 50_000
# Failures kept while nothing has worked yet; so many of a run in which nothing ever does are written late.
MAX_EARLY: Final = 5000
NOBODY: Final = "nothing and nobody answered this machine in this run, no resolver either"
# What a row takes in memory, with some tags.
ROW_BYTES: Final = 1000
# Times that a target is probed while what was seen may be this machine's doing: one pause or outage may follow another.
MAX_ATTEMPTS: Final = 4

Emit = Callable[[Finding], None]
Judged = Callable[[Evidence, Sequence[ChainVerdict | None]], None]
Notify = Callable[[FleetVerdict], None]
TargetKey = tuple[str, int, str, str | None, str | None]
# What makes two rows one target
_key_of: Final[Callable[[Target], TargetKey]] = attrgetter("host", "port", "protocol", "sni", "address")


class ScanStatistics(Struct, frozen=True):
    """A moment's view of a run; the progress line reads only this."""

    read: int
    done: int
    held: int
    outcomes: Mapping[str, int]
    pacing: PacingStatistics
    reading_finished: bool


class Scan:
    """One run. ``emit`` is called with each finding, in the order in which they become final, and ``judged`` before it
    with what the finding was made from; ``clock`` gives seconds since the epoch. With ``fragments`` findings hold certificates
    as JSON already written, which is for writing and not for reading. ``judged_with`` stands in each finding. ``load`` is called
    in a thread before the first certificate that is not in order is concluded.
    """

    def __init__(
        self,
        config: ScanConfig,
        *,
        run_id: str,
        verifier: ChainVerifier,
        pacer: Pacer,
        emit: Emit,
        judged: Judged | None = None,
        fragments: Fragments | None = None,
        clock: Callable[[], float] = time.time,
        context: Callable[..., Context] | None = None,
        judged_with: Mapping[str, Any] | None = None,
        notify: Notify | None = None,
        waiting_workers: int | None = None,
        load: Callable[[], object] | None = None,
    ) -> None:
        self._config = config
        self._load = load
        self._loading = trio.Lock()
        self._most_workers = config.concurrency + (WAITING_WORKERS if waiting_workers is None else waiting_workers)
        self._run_id = run_id
        self._verifier = verifier
        self._pacer = pacer
        self._emit = emit
        self._judged = judged
        self._fragments = fragments
        self._clock = clock
        self._context = context or partial(
            Context, expiry_warning_days=config.expiry_warning_days, revocation=config.revocation
        )
        self._judged_with = judged_with
        self._notify = notify
        some_context = self._context(at=0.0)
        self._transparency = some_context.transparency
        self._ready_made = ReadyMade(run_id, some_context, fragments=fragments, judged_with=judged_with)
        self.fold = Fold(judge_clock=config.at is None)
        self._observer: Observer | None = None
        self._post_probe: PostProbeLookups | None = None
        self._enquiries: Enquiries | None = None
        self._last: tuple[ServerFlight, str, float, ChainVerdict] | None = None
        self._healthy: tuple[EndpointEvidence, ChainVerdict] | None = None  # what was found plainly healthy last
        # Targets probed a moment ago, whose findings later rows copy; and those being probed, with the rows that wait for them.
        self._recent: Cache[TargetKey, tuple[Finding, int]] = Cache(REMEMBERED, REMEMBERED_BYTES, given_size)
        self._in_flight: dict[TargetKey, list[Target]] = {}
        # evidence, and whether rows that name the same target wait for it
        self._held: Spool[tuple[Evidence, bool]] = Spool(lambda item: evidence_bytes(item[0]))
        # targets to be probed again, by the attempt that will be; and whether rows that name the same target wait for it
        self._reprobes: Spool[tuple[Target, bool]] = Spool(lambda item: ROW_BYTES)
        self._conditions: Conditions | None = None
        # what failed before anything worked
        self._early: Spool[tuple[Evidence, bool]] = Spool(lambda item: evidence_bytes(item[0]))
        self._early_loopback = False  # some of it is of this machine's own addresses
        self._resolved = self._unresolved = False  # some name was answered for; some name was not, for whatever reason
        self._outcomes: Counter[str] = Counter()
        self._learnt = False  # something that held ones may wait for, since they were looked at
        self._sharing = 0
        self._done = 0
        self._workers = 0
        self._feed: RowQueue | None = None

    def statistics(self) -> ScanStatistics:
        """Counts at this moment."""
        feed = self._feed
        return ScanStatistics(
            read=feed.read if feed else 0,
            done=self._done,
            held=self._held.waiting + self._reprobes.waiting + self._early.waiting,
            outcomes=dict(self._outcomes),
            pacing=self._pacer.statistics(),
            reading_finished=feed is not None and feed.finished,
        )

    def spill(self) -> None:
        """Write to disk what waits."""
        self._held.spill()
        self._reprobes.spill()
        self._early.spill()

    # --- pure steps ----------------------------------------------------------------------------

    def moment(self, evidence_started: float, fleet: FleetVerdict = NO_FLEET) -> float:
        """The time at which certificates are judged: our clock's, corrected where the fleet knows that it is wrong."""
        return fleet.clock.corrected(evidence_started) if self._config.at is None else self._config.at

    def verdict(self, target: Target, endpoint: EndpointEvidence, at: float) -> ChainVerdict | None:
        """What the judges say of the certificates that one address sent; ``None`` where it sent none."""
        probe = endpoint.probe
        flight = probe.flight if probe.failure is None else flight_of(endpoint)
        if flight is None or not flight.certificates:
            return None
        name = target.sni or target.host  # as Target.name
        # asked for the same flight several times in a row: for follow-ups, for CAA, for the finding
        last = self._last
        if last is None or last[0] is not flight or last[2] != at or last[1] != name:
            last = self._last = flight, name, at, verify_or_leaf(self._verifier, flight.certificates, name=name, at=at)
        return last[3]

    def verdict_at_start(self, target: Target, endpoint: EndpointEvidence, started: float) -> ChainVerdict | None:
        """The same for a target that was begun at ``started``."""
        return self.verdict(target, endpoint, self.moment(started))

    def ask(self, target: Target, endpoint: EndpointEvidence, started: float) -> Question | None:
        """The next follow-up for an address, if any."""
        config = self._config
        verdict = self.verdict(target, endpoint, started if config.at is None else config.at)
        if verdict is not None and not config.enumerate and plainly_healthy(endpoint, verdict):
            self._healthy = endpoint, verdict
            return None
        return next_question(target, endpoint, verdict, enumerate=config.enumerate, authenticate=config.authenticate)

    def verdicts(self, evidence: Evidence, fleet: FleetVerdict = NO_FLEET) -> list[ChainVerdict | None]:
        """The verdicts of all addresses, parallel to ``evidence.endpoints``."""
        at = self.moment(evidence.started, fleet)
        return [self.verdict(evidence.target, endpoint, at) for endpoint in evidence.endpoints]

    def finding(
        self,
        evidence: Evidence,
        verdicts: Sequence[ChainVerdict | None],
        fleet: FleetVerdict = NO_FLEET,
        failed: Sequence[str] = (),
    ) -> Finding:
        """Evidence, verdicts and what the fleet says to the finding; ``failed`` is what our own bugs have cost already."""
        return finding_of(
            evidence,
            verdicts,
            self._context(at=self.moment(evidence.started, fleet), fleet=fleet),
            self._run_id,
            failed=failed,
            fragments=self._fragments,
            judged_with=self._judged_with,
        )

    def facts(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Facts | None:
        """What one target tells the fleet; of chains that could not be judged, nothing."""
        judged = [None if verdict is None or verdict.error is not None else verdict for verdict in verdicts]
        return facts_of(evidence, judged, self._transparency)

    def judged_again(self, evidence: Evidence) -> Finding:
        """The finding of what was seen in a run that is over: ``fold`` holds what all its targets say."""
        verdicts, fleet, failed = self.verdicts(evidence), NO_FLEET, list[str]()
        try:
            if self.facts(evidence, verdicts) is not None or self.fold.clock.verdict().state == "wrong":
                fleet = self.fold.verdict()
                verdicts = self.verdicts(evidence, fleet)
        except BaseException as error:  # noqa: BLE001 - our own bug costs what the fleet says of it
            failed.append(describe_caught("fleet", error))
        return self.finding(evidence, verdicts, fleet, failed)

    # --- the run -------------------------------------------------------------------------------

    async def run(
        self,
        rows: RowSource,
        observer: Observer,
        post_probe: PostProbeLookups | None = None,
        *,
        enquiries: Enquiries | None = None,
        conditions: Conditions | None = None,
        before_settling: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Every row to one finding. Returns when all are emitted; cancelling it keeps what was emitted.

        With ``conditions`` a target whose failure may be this machine's doing is probed again near the end.
        ``before_settling`` is awaited when only what was held is left.
        """
        self._observer = observer
        self._post_probe = post_probe
        self._enquiries = enquiries
        self._conditions = conditions
        feed = self._feed = RowQueue(rows)
        async with trio.open_nursery() as nursery:

            def hire(ready: int) -> None:
                # as many as may be in flight, and one more for each that waits without a place
                useful = min(self._config.concurrency + self._pacer.standing_aside, self._most_workers)
                for _ in range(min(ready - feed.idle, useful - self._workers)):
                    self._workers += 1
                    nursery.start_soon(self._work, feed)

            self._pacer.on_aside = lambda: hire(min(feed.ready, 1))
            await feed.read_all(hire)
        await self._settle_early()
        await self._reprobe()
        if before_settling is not None:
            await before_settling()
        await self._settle()

    async def _work(self, feed: RowQueue) -> None:
        in_flight, recent = self._in_flight, self._recent
        while (row := await feed.get()) is not None:
            if isinstance(row, InvalidRow):
                self._write(assemble.invalid_finding(row, self._run_id, started=self._clock()))
                continue
            key = _key_of(row)
            owned = key not in in_flight
            if not owned and self._sharing < MAX_SHARING:
                self._sharing += 1
                in_flight[key].append(row)
                continue
            if (known := recent.get(key)) is not None:
                self._write(assemble.for_another_row(known[0], row))
                await trio.lowlevel.checkpoint()
                continue
            if owned:
                in_flight[key] = []
            await self._probe(row, owned=owned, attempt=1)

    async def _probe(self, target: Target, *, owned: bool, attempt: int) -> None:
        """Observe a target and write its finding, or keep it for whatever it waits for."""
        evidence, verdict = await self._observe(target, attempt)
        if evidence.dns is not None:
            if evidence.dns.doubt is None:
                self._resolved = True
            else:
                self._unresolved = True
        if evidence.doubt is not None and attempt < MAX_ATTEMPTS:
            self._reprobes.put((target, owned), str(attempt + 1))
            return
        if attempt == 1 and verdict is None and self._conditions is not None and self._conditions.is_early(evidence):
            self._early.put((evidence, owned), "early")
            self._early_loopback = self._early_loopback or any(is_loopback(each.address) for each in evidence.endpoints)
            if self._early.waiting >= MAX_EARLY:
                await self._settle_early()
            return
        if (
            verdict is None
            and self._load is not None
            and any(each.probe.flight is not None for each in evidence.endpoints)
        ):
            await self._read_ahead()
        if verdict is None or not self._conclude_at_once(evidence, verdict, _key_of(target), owned=owned):
            self._conclude(evidence, owned=owned, final=False)
        if self._learnt:
            self._learnt = False
            await self._release()

    async def _read_ahead(self) -> None:
        """Have a thread read what is first needed where a certificate is not in order: the loop has no time for that."""
        async with self._loading:
            if self._load is not None:
                await trio.to_thread.run_sync(self._load)
                self._load = None

    async def _settle_early(self) -> None:
        """Write what failed before anything worked, or have it probed again where something has worked since."""
        if not self._early.waiting or self._conditions is None:
            return
        stand = await self._conditions.early_ones_count(loopback=self._early_loopback)
        nobody = self._unresolved and not self._resolved and not self._conditions.outages.has_worked
        for evidence, owned in self._early.pop_all("early"):
            if stand:
                evidence = replace(evidence, doubt=NOBODY) if nobody else evidence
                self._conclude(evidence, owned=owned, final=False)
                await trio.lowlevel.checkpoint()
            else:
                self._reprobes.put((evidence.target, owned), "2")

    async def _reprobe(self) -> None:
        """Probe again, in one pass after another, what may not have been the target's doing."""

        async def work(targets: Iterator[tuple[Target, bool]], attempt: int) -> None:
            for target, owned in targets:
                await self._probe(target, owned=owned, attempt=attempt)

        for attempt in range(2, MAX_ATTEMPTS + 1):
            workers = min(self._reprobes.count(str(attempt)), self._config.concurrency)
            targets = self._reprobes.pop_all(str(attempt))
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(work, targets, attempt)

    def _verdicts_anew(self, evidence: Evidence) -> list[ChainVerdict | None]:
        """The verdicts, now that more issuers are known."""
        self._last = None
        return self.verdicts(evidence)

    async def _observe(self, target: Target, attempt: int) -> tuple[Evidence, ChainVerdict | None]:
        """What a target gave; and the verdict on its only address, where that was found plainly healthy."""
        assert self._observer is not None
        conditions = self._conditions
        evidence: Evidence | None = None
        if conditions is not None and conditions.outages.down:
            await conditions.ready()
        mark = None if conditions is None else conditions.mark()
        try:
            started = self._clock()
            evidence = await self._observer.observe(target, started, unhurried=attempt > 1)
            healthy, endpoints = self._healthy, evidence.endpoints
            verdict = healthy[1] if healthy and len(endpoints) == 1 and endpoints[0] is healthy[0] else None
            # of what is in order an earlier run has nothing to say, and without DNS nothing else is asked
            if self._post_probe is not None and (verdict is None or evidence.dns is not None):
                evidence = await self._post_probe.look_up(evidence, [verdict] if verdict else self.verdicts(evidence))
            if self._enquiries is not None:
                known = None if verdict is None else self._enquiries.at_hand(verdict)
                if known is None:
                    at, verdicts = self.moment(started), self.verdicts(evidence)
                    evidence = await self._enquiries.ask(evidence, verdicts, at, partial(self._verdicts_anew, evidence))
                elif known:
                    evidence = with_answers(evidence, known)
            if conditions is not None and mark is not None:
                if verdict is not None and not evidence.revocation:
                    conditions.reached(evidence, mark)
                elif (doubt := await conditions.doubt(evidence, mark, first=attempt == 1)) is not None:
                    return replace(evidence, doubt=doubt), None
            return evidence, verdict
        except BaseException as error:  # noqa: BLE001 - our own bug costs what was not seen yet, never the run
            bug = describe_caught("observation", error)
            seen = evidence or Evidence(target=target, started=self._clock())
            return replace(seen, bug=joined(seen.bug, bug)), None

    def _conclude_at_once(self, evidence: Evidence, verdict: ChainVerdict, key: TargetKey, *, owned: bool) -> bool:
        """Write the finding of a target that is in order and news to nobody; false, and nothing done, where a rule may differ."""
        try:
            wrong = self.fold.clock.verdict().state == "wrong"
            if wrong or (evidence.revocation and not self.fold.heard(evidence, verdict)):
                return False
            at = self._config.at
            finding = self._ready_made.finding(evidence, verdict, evidence.started if at is None else at)
            if finding is None:
                return False
            self.fold.add(None)
        except BaseException as error:  # noqa: BLE001 - all rules are asked then, and what they say stands
            failed = [describe_caught("a finding in order", error)]
            self._conclude(evidence, owned=owned, final=False, failed=failed)
            return True
        if self._judged is not None:
            self._judged(evidence, (verdict,))
        self._write(finding)
        if owned:
            self._answer_others(key, finding, evidence)
        return True

    def _conclude(
        self, evidence: Evidence, *, owned: bool, final: bool, again: bool = False, failed: Sequence[str] = ()
    ) -> None:
        """Judge and write, or hold what others may settle. ``owned``: rows that name the same target may wait for it;
        ``again``: it was held already, for something else; ``failed``: what our own bugs have cost already."""
        fleet = NO_FLEET
        verdicts = self.verdicts(evidence)
        try:
            facts = self.facts(evidence, verdicts) if evidence.doubt is None else None
            if not final:
                if not again:
                    self.fold.add(facts)
                    self._learnt = self._learnt or facts is not None
                reason = self.fold.waits_for(facts)
                if reason is not None:
                    self._held.put((evidence, owned), reason)
                    return
            # by a clock that is known to be wrong even what seems to be in order may not be
            if facts is not None or self.fold.clock.verdict().state == "wrong":
                fleet = self.fold.verdict()
                self._tell(fleet)
                if fleet.clock.state == "wrong":
                    verdicts = self.verdicts(evidence, fleet)
        except SpoolError:
            raise  # a full disk is no fault of a target
        except BaseException as error:  # noqa: BLE001 - our own bug costs what the fleet says of it
            failed = [*failed, describe_caught("fleet", error)]
        finding = self.finding(evidence, verdicts, fleet, failed)
        # not among what is caught: a full disk stops the run, as it does with findings
        if self._judged is not None:
            self._judged(evidence, verdicts)
        self._write(finding)
        if owned:
            self._answer_others(_key_of(evidence.target), finding, evidence)

    def _answer_others(self, key: TargetKey, finding: Finding, evidence: Evidence) -> None:
        """Rows that named the same target meanwhile get its finding, as will those that still come."""
        for waiting in self._in_flight.pop(key):
            self._sharing -= 1
            self._write(assemble.for_another_row(finding, waiting))
        self._recent.put(key, (finding, finding_bytes(evidence)))

    def _tell(self, fleet: FleetVerdict) -> None:
        """Once a run: that the clock by which everything is judged is wrong."""
        if self._notify is not None and fleet.clock.state == "wrong":
            notify, self._notify = self._notify, None
            notify(fleet)

    async def _release(self) -> None:
        """Write what was held for something that is known by now, unless it waits for something else too."""
        for reason in REASONS:
            held = self._held.pop_all(reason)
            # so many and no more: while others have their turn, what is settled may become open again, and then these are held anew
            for _ in range(self._held.count(reason)):
                if not self.fold.settled(reason) or (item := next(held, None)) is None:
                    break
                self._conclude(item[0], owned=item[1], final=False, again=True)
                await trio.lowlevel.checkpoint()  # there may be thousands

    async def _settle(self) -> None:
        """Write everything that was held: what this run could learn is known now."""
        self._last = None
        for evidence, owned in self._held.drain():
            self._conclude(evidence, owned=owned, final=True)
            await trio.lowlevel.checkpoint()

    def _write(self, finding: Finding) -> None:
        self._done += 1
        self._outcomes[finding["outcome"]] += 1
        self._emit(finding)
