"""The nursery of a run: rows in, findings out.

Problem: a hundred thousand targets, each a few round trips away, each to be answered by exactly one finding, in bounded
memory and whatever happens: to the target, to this machine, to us.

Design: a row queue is filled by a thread (``row_queue``); workers in one nursery take a row each, observe its target
(``net.observe``), and leave it to one task (``_keep_concluding``) that has it judged by plain calls (``judgement``) and writes
its finding. Nothing is awaited between judging and writing, so a finding is never half made when a run is stopped. There are
more workers than may be connected, since one that waits for a resolver or for the turn of its address needs no connection.

Targets that the event loop wakes in one turn go through the same stages together: all read their server's flight, then
the certificates of all are judged, then all are concluded, then all that are next connect. The code of a target does not fit into
the processor's caches, and that of one stage does. Measured with 300 connections in flight: concluding each target where it was
observed took 6 % more of a target's CPU with one certificate for all hosts and 9 % with one for each; without the checkpoints
between the other stages it is 10 and 7 % more again.

Some findings cannot be final when their target was observed. They wait, in memory and beyond a bound on disk (``spool``):

- what only other targets can settle (is our clock wrong, does an issuer sign for unrelated names?): ``_held``, looked at again
  whenever something is learnt, and written at the end in any case;
- what failed while this machine may have been the cause: ``_reprobes``, probed again at the end, in passes;
- what failed before anything worked: ``_early``.

Rows that name a target which is in flight wait for it (``_in_flight``), those that name one of a moment ago copy its finding
(``_recent``): each target is probed once.

What breaks if touched: ``_conclude`` must stay synchronous; each path that takes a row must come to ``_write`` or to a spool
exactly once; ``owned`` must travel with the evidence into every spool, or rows that share a target are lost.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Final

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.caching import Cache, given_size
from scanner.diagnosis.assembly import finding_record
from scanner.diagnosis.case import NO_FLEET
from scanner.errors import describe_caught, joined
from scanner.fleet.correlate.fleet_verdicts import FleetVerdict
from scanner.fleet.correlate.fold import REASONS, Fold
from scanner.fleet.correlate.gather import latest_beginning
from scanner.model.config import ScanConfig
from scanner.model.evidence import Evidence, InvalidRow, Target
from scanner.model.findings import Finding
from scanner.net.conditions import Conditions
from scanner.net.lookups.plan import CertificateLookups
from scanner.net.observe import Observer
from scanner.net.pacing import Pacer, PacingStatistics, is_loopback
from scanner.net.sockets import EXHAUSTED
from scanner.run.date_requests import DateRequests
from scanner.run.judgement import Judgement, TargetJudgement
from scanner.run.observed_target import Observed, Verdicts, evidence_alone, observed_bytes
from scanner.run.post_probe import PostProbeLookups
from scanner.run.row_queue import RowQueue, RowSource
from scanner.run.spool import Spool, SpoolError, evidence_bytes, finding_bytes
from scanner.trust.verdicts import ChainVerdict

# Workers beside those that may be in flight: targets that wait for their own address or for DNS hold no place.
WAITING_WORKERS: Final = 1000
# Findings remembered so that a repeated target shares one probe: at about 3.5 kB each some 5 MB, and never more than 64 MB.
REMEMBERED: Final = 1536
REMEMBERED_BYTES: Final = 64 << 20
# Rows that may wait for a target that is in flight, all together; further ones are probed by themselves.
MAX_SHARING: Final = 50_000
# Failures kept while nothing has worked yet; so many of a run in which nothing ever does are written late.
MAX_EARLY: Final = 5000
NOTHING_ANSWERED: Final = "nothing and nobody answered this machine in this run, no resolver either"
# Bytes of evidence that wait to be concluded: enough for two hundred ordinary targets. Certificates take seven times as much
# once they are parsed.
MAX_OBSERVED_BYTES: Final = 2 << 20
# What a row takes in memory, with some tags.
ROW_BYTES: Final = 1000
# Seconds between tries to read what ``load`` reads, while this machine has no file left.
LOAD_PAUSE: Final = 0.05
# Findings written at the end before others have their turn: a turn costs as much as a third of one of them.
SETTLED_AT_ONCE: Final = 8
# Times that a target is probed while what was seen may be this machine's doing: one pause or outage may follow another.
MAX_ATTEMPTS: Final = 4

TargetKey = tuple[str, int, str, str | None, str | None]
# What makes two rows one target
_key_of: Final[Callable[[Target], TargetKey]] = attrgetter("host", "port", "asked_protocol", "sni", "address")


def is_clean(verdicts: Verdicts) -> bool:
    """Return True if there is nothing wrong with any certificates of a target."""
    return all(verdict is None or verdict.is_clean for verdict in verdicts)


class ScanStatistics(Struct, frozen=True):
    """A moment's view of a run; the progress line reads only this."""

    read: int
    done: int
    held: int
    outcomes: Mapping[str, int]
    pacing: PacingStatistics
    reading_finished: bool


class Callbacks(Struct, frozen=True, kw_only=True):
    """Whom a run calls. An exception of one of these ends the run."""

    # each finding, as it becomes final
    on_finding: Callable[[Finding], None]
    # before that, what it is made from
    on_judged: Callable[[Evidence, Sequence[ChainVerdict | None]], None] | None = None
    # once, when the fleet knows that the local clock is wrong
    on_clock_wrong: Callable[[FleetVerdict], None] | None = None
    # lines for the user about what does not work and stops nothing
    log: Callable[[str], None] = lambda line: None


class Services(Struct, frozen=True, kw_only=True):
    """What a run asks the network with. Only ``observer`` is needed; tests leave the rest out."""

    observer: Observer
    post_probe: PostProbeLookups | None = None
    lookups: CertificateLookups | None = None
    # with these a target whose failure may be this machine's doing is probed again near the end
    conditions: Conditions | None = None


class Scan:
    """The nursery of one run. ``clock`` gives seconds since the epoch; ``waiting_workers`` may wait for DNS or for the turn of their
    address beside the ``config.concurrency`` that may be connected. ``load`` is called in a thread before the first certificate that
    is not healthy is concluded: it reads what only such findings need.
    """

    def __init__(
        self,
        config: ScanConfig,
        judgement: Judgement,
        pacer: Pacer,
        callbacks: Callbacks,
        *,
        clock: Callable[[], float] = time.time,
        waiting_workers: int = WAITING_WORKERS,
        load: Callable[[], object] | None = None,
    ) -> None:
        self.judgement = judgement
        self.fold = Fold(judge_clock=config.at is None)
        self._config = config
        self._pacer = pacer
        self._clock = clock
        self._most_workers = config.concurrency + waiting_workers
        self._emit = callbacks.on_finding
        self._on_judged = callbacks.on_judged
        self._on_clock_wrong = callbacks.on_clock_wrong
        self._load = load
        self._loading = trio.Lock()
        # Targets probed a moment ago, whose findings later rows copy; and those being probed, with the rows that wait for them.
        self._recent: Cache[TargetKey, tuple[Finding, int]] = Cache(REMEMBERED, REMEMBERED_BYTES, given_size)
        self._in_flight: dict[TargetKey, list[Target]] = {}
        # what waits for the fleet
        self._held: Spool[Observed] = Spool(observed_bytes, on_disk=evidence_alone)
        # targets to be probed again, by the attempt that will be; and whether rows that name the same target wait for it
        self._reprobes: Spool[tuple[Target, bool]] = Spool(lambda item: ROW_BYTES)
        # what failed before anything worked
        self._early: Spool[Observed] = Spool(observed_bytes, on_disk=evidence_alone)
        # what was observed and is to be concluded; the task that does that, while it sleeps; and whether there will be no more
        self._observed: list[Observed] = []
        self._observed_bytes = 0
        self._concluder: trio.lowlevel.Task | None = None
        self._all_observed = False
        self._early_loopback = False  # some of it is of this machine's own addresses
        self._resolved = self._unresolved = False  # some name was answered for; some name was not, for whatever reason
        self._date_requests = DateRequests()
        self._outcomes: Counter[str] = Counter()
        self._learnt = False  # something that held ones may wait for, since they were looked at
        self._sharing = 0
        self._done = 0
        self._workers = 0
        self._queue: RowQueue | None = None

    def statistics(self) -> ScanStatistics:
        """Counts at this moment."""
        queue = self._queue
        return ScanStatistics(
            read=queue.read if queue else 0,
            done=self._done,
            held=self._held.waiting + self._reprobes.waiting + self._early.waiting,
            outcomes=dict(self._outcomes),
            pacing=self._pacer.statistics(),
            reading_finished=queue is not None and queue.finished,
        )

    def _wants_date(self, name: str) -> bool:
        return self.fold.clock.wants_witnesses and self._date_requests.allow(name)

    def replace_fold(self, fold: Fold) -> None:
        """Replace what this process knows about the fleet by what all processes of the run do."""
        self.fold = fold

    def restart_clock(self) -> None:
        """Forget what was learnt of the local clock, which was set just now."""
        self.fold.restart_clock()
        self._date_requests = DateRequests()

    def spill(self) -> None:
        """Write to disk what waits."""
        self._held.spill()
        self._reprobes.spill()
        self._early.spill()

    # --- the run -------------------------------------------------------------------------------

    async def run(
        self, rows: RowSource, services: Services, *, before_settling: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Turn every row into one finding. Returns when all are emitted; cancelling it keeps what was emitted.

        ``before_settling`` is awaited when only what waits for the fleet is left.
        """
        queue = self._queue = RowQueue(rows)
        self._all_observed = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_concluding)
            await self._observe_all(queue, services)
            await self._settle_early(services.conditions)
            await self._reprobe(services)
            self._all_observed = True
            self._wake_concluder()
        if before_settling is not None:
            await before_settling()
        await self._settle()

    async def _observe_all(self, queue: RowQueue, services: Services) -> None:
        """Observe the target of each row once."""
        async with trio.open_nursery() as nursery:

            def start_tasks(ready: int) -> None:
                # as many as may be in flight, and one more for each that waits without a place
                useful = min(self._config.concurrency + self._pacer.waiting_without_slot, self._most_workers)
                for _ in range(min(ready - queue.idle, useful - self._workers)):
                    self._workers += 1
                    nursery.start_soon(self._work, queue, services)

            self._pacer.on_slot_yielded = lambda: start_tasks(min(queue.ready, 1))
            await queue.read_all(start_tasks)

    async def _work(self, queue: RowQueue, services: Services) -> None:
        in_flight, recent = self._in_flight, self._recent
        while (row := await queue.get()) is not None:
            if isinstance(row, InvalidRow):
                judgement = self.judgement
                finding = finding_record.invalid_finding(
                    row, judgement.run_id, started=self._clock(), run_warnings=judgement.run_warnings
                )
                self._write(finding)
                continue
            key = _key_of(row)
            owned = key not in in_flight
            if not owned and self._sharing < MAX_SHARING:
                self._sharing += 1
                in_flight[key].append(row)
                continue
            if (known := recent.get(key)) is not None:
                self._write(finding_record.for_another_row(known[0], row))
                await trio.lowlevel.checkpoint()
                continue
            if owned:
                in_flight[key] = []
            await self._probe(row, services, owned=owned, attempt=1)
            await trio.lowlevel.cancel_shielded_checkpoint()  # the next connection is another stage

    async def _probe(self, target: Target, services: Services, *, owned: bool, attempt: int) -> None:
        """Observe a target and leave it to be concluded, or keep it for whatever it waits for."""
        observed = await self._observe(target, services, owned=owned, attempt=attempt)
        evidence = observed.evidence
        if evidence.dns is not None:
            if evidence.dns.doubt is None:
                self._resolved = True
            else:
                self._unresolved = True
        if evidence.doubt is not None and attempt < MAX_ATTEMPTS:
            self._reprobes.put((target, owned), str(attempt + 1))
            return
        conditions = services.conditions
        if attempt == 1 and conditions is not None and conditions.is_early(evidence):
            self._early.put(observed, "early")
            self._early_loopback = self._early_loopback or any(is_loopback(each.address) for each in evidence.endpoints)
            if self._early.waiting >= MAX_EARLY:
                await self._settle_early(conditions)
            return
        self._observed.append(observed)
        self._observed_bytes += evidence_bytes(evidence)
        if self._observed_bytes >= MAX_OBSERVED_BYTES:
            await self._conclude_observed()
        else:
            self._wake_concluder()

    def _wake_concluder(self) -> None:
        if self._concluder is not None:
            trio.lowlevel.reschedule(self._concluder)
            self._concluder = None

    async def _wait_for_observed(self) -> bool:
        """Wait until something is observed; return False if nothing will be."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self._concluder = None
            return trio.lowlevel.Abort.SUCCEEDED

        while not self._observed and not self._all_observed:
            self._concluder = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(abort)
        return bool(self._observed)

    async def _keep_concluding(self) -> None:
        """Conclude what is observed, until nothing will be any more."""
        while await self._wait_for_observed():
            await self._conclude_observed()

    async def _conclude_observed(self) -> None:
        """Conclude what was observed so far, and then what was held for anything that was learnt by it."""
        batch, self._observed, self._observed_bytes = self._observed, [], 0
        unhealthy = []
        for observed in batch:
            if self._load is None or is_clean(observed.verdicts or ()):
                self._conclude(observed, final=False)
            else:
                unhealthy.append(observed)
        if unhealthy:
            try:
                await self._read_ahead()
            finally:  # what was observed gets its finding, also where the run is stopped meanwhile
                for observed in unhealthy:
                    self._conclude(observed, final=False)
        if self._learnt:
            self._learnt = False
            await self._release()

    async def _read_ahead(self) -> None:
        """Have a thread read what is first needed for a certificate that is not healthy: it would block the loop for long."""
        async with self._loading:
            while self._load is not None:
                try:
                    await trio.to_thread.run_sync(self._load)
                except OSError as error:
                    if error.errno not in EXHAUSTED:
                        raise
                    await trio.sleep(LOAD_PAUSE)  # connections in flight have all files, and end
                else:
                    self._load = None

    async def _settle_early(self, conditions: Conditions | None) -> None:
        """Write what failed before anything worked, or have it probed again where something has worked since."""
        if not self._early.waiting or conditions is None:
            return
        are_real = await conditions.early_failures_are_real(loopback=self._early_loopback)
        cut_off = self._unresolved and not self._resolved and not conditions.outages.has_worked
        for observed in self._early.pop_all("early"):
            if are_real:
                if cut_off:
                    observed = replace(observed, evidence=replace(observed.evidence, doubt=NOTHING_ANSWERED))
                self._conclude(self._current(observed), final=False)
                await trio.lowlevel.checkpoint()
            else:
                self._reprobes.put((observed.evidence.target, observed.owned), "2")

    async def _reprobe(self, services: Services) -> None:
        """Probe again, in one pass after another, what may not have been the target's doing."""

        async def work(targets: Iterator[tuple[Target, bool]], attempt: int) -> None:
            for target, owned in targets:
                await self._probe(target, services, owned=owned, attempt=attempt)

        for attempt in range(2, MAX_ATTEMPTS + 1):
            workers = min(self._reprobes.count(str(attempt)), self._config.concurrency)
            targets = self._reprobes.pop_all(str(attempt))
            async with trio.open_nursery() as nursery:
                for _ in range(workers):
                    nursery.start_soon(work, targets, attempt)

    async def _observe(self, target: Target, services: Services, *, owned: bool, attempt: int) -> Observed:
        """Return what a target gave, with all that was looked up about it, and the verdicts on it."""
        judgement, conditions = self.judgement, services.conditions
        evidence: Evidence | None = None
        if conditions is not None and conditions.outages.down:
            await conditions.ready()
        mark = None if conditions is None else conditions.mark()
        known = judgement.verifier.intermediates.size
        try:
            started, judging = self._clock(), TargetJudgement(judgement, self._wants_date)
            evidence = await services.observer.observe(target, started, judging.next_question, unhurried=attempt > 1)
            verdicts: Verdicts = judging.verdicts(evidence)
            if services.post_probe is not None:
                evidence = await services.post_probe.look_up(evidence, verdicts)
            if services.lookups is not None:
                judge = partial(judgement.verdicts, evidence)  # anew, once more issuers are known
                evidence, verdicts = await services.lookups.ask(evidence, verdicts, judgement.moment(started), judge)
            if conditions is not None and mark is not None:
                doubt = await conditions.doubt(evidence, mark, first=attempt == 1)
                if doubt is not None:
                    evidence = replace(evidence, doubt=doubt)
            return Observed(evidence, owned, verdicts, known)
        except BaseException as error:  # noqa: BLE001 - our own bug costs what was not seen yet, never the run
            bug = describe_caught("observation", error)
            seen = evidence or Evidence(target=target, started=self._clock())
            seen = replace(seen, bug=joined(seen.bug, bug))
            return Observed(seen, owned, judgement.verdicts(seen), known)

    def _conclude(self, observed: Observed, *, final: bool, again: bool = False) -> None:
        """Write a target's finding, or keep it for what other targets may settle. ``again``: it was kept already, for something else."""
        judgement, fold = self.judgement, self.fold
        evidence, verdicts, facts = observed.evidence, observed.verdicts, observed.facts
        if verdicts is None:
            verdicts = judgement.verdicts(evidence)
        fleet, failed = NO_FLEET, list[str]()
        try:
            if facts is None:
                facts = judgement.facts(evidence, verdicts)
            if not final:
                if not again:
                    begun = None if evidence.doubt is not None else latest_beginning(verdicts)
                    self._learnt = fold.add(facts, begun) or self._learnt
                reason = fold.pending_reason(facts)
                if reason is not None:
                    for verdict in verdicts:
                        if verdict is not None and verdict.leaf is not None:
                            verdict.leaf.release()
                    self._held.put(Observed(evidence, observed.owned, verdicts, observed.intermediates, facts), reason)
                    return
            # by a clock that is known to be wrong even what seems to be healthy may not be
            if fold.concerns(facts) or fold.clock.verdict(whole_run=final).state == "wrong":
                fleet = fold.verdict(whole_run=final)
                self._tell(fleet)
                if fleet.clock.state == "wrong":
                    verdicts = judgement.verdicts(evidence, fleet)
        except SpoolError:
            raise  # a full disk is no fault of a target
        except BaseException as error:  # noqa: BLE001 - our own bug costs what the fleet says of it
            failed.append(describe_caught("fleet", error))
        finding = judgement.finding(evidence, verdicts, fleet, failed, facts)
        # not among what is caught: a full disk stops the run, as it does with findings
        if self._on_judged is not None:
            self._on_judged(evidence, verdicts)
        self._write(finding)
        if observed.owned:
            self._answer_others(_key_of(evidence.target), finding, evidence)

    def _current(self, observed: Observed) -> Observed:
        """Return a target that has waited, without its verdicts if others may be right by now."""
        known = self.judgement.verifier.intermediates.size
        return observed if observed.intermediates == known else evidence_alone(observed)

    def _answer_others(self, key: TargetKey, finding: Finding, evidence: Evidence) -> None:
        """Write a target's finding for the rows that named it meanwhile, and keep it for those that still come."""
        kept = finding_record.without_der(finding)
        for waiting in self._in_flight.pop(key):
            self._sharing -= 1
            self._write(finding_record.for_another_row(kept, waiting))
        self._recent.put(key, (kept, finding_bytes(evidence)))

    def _tell(self, fleet: FleetVerdict) -> None:
        """Report, once a run, that the clock by which everything is judged is wrong."""
        if self._on_clock_wrong is not None and fleet.clock.state == "wrong":
            call, self._on_clock_wrong = self._on_clock_wrong, None
            call(fleet)

    async def _release(self) -> None:
        """Write what was held for something that is known by now, unless it waits for something else too."""
        for reason in REASONS:
            held = self._held.pop_all(reason)
            # so many and no more: while others have their turn, what is settled may become open again, and then these are held anew
            for _ in range(self._held.count(reason)):
                if not self.fold.is_final(reason) or (item := next(held, None)) is None:
                    break
                self._conclude(self._current(item), final=False, again=True)
                await trio.lowlevel.checkpoint()  # there may be thousands

    async def _settle(self) -> None:
        """Write everything that was held: what this run could learn is known now."""
        for place, observed in enumerate(self._held.drain()):
            self._conclude(self._current(observed), final=True)
            if place % SETTLED_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()

    def _write(self, finding: Finding) -> None:
        self._done += 1
        self._outcomes[finding["outcome"]] += 1
        self._emit(finding)
