"""The only conductor: rows in, findings out. Workers in a nursery observe; judging, diagnosing and writing are plain calls.

Memory is bounded by construction: rows are read when workers want them, workers are as many as may be in flight or
wait for their address, and what waits for the fleet's knowledge is counted.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

import trio

from scanner.config import ScanConfig
from scanner.diagnosis import assemble
from scanner.diagnosis.engine import OWN_FAULT, Context, diagnose, flight_of
from scanner.diagnosis.fragments import Fragments
from scanner.diagnosis.questions import Question, next_question
from scanner.evidence import EndpointEvidence, Evidence, InvalidRow, ServerFlight, Target
from scanner.findings import Finding
from scanner.net.observe import Observer
from scanner.net.pacing import Pacer, PacingStatistics
from scanner.net.resolve import Resolver
from scanner.pki.judge import Judge
from scanner.pki.verdicts import ChainVerdict

# Rows read in one go by the reading thread: enough to make the hop to it cheap, few enough to start at once.
ROWS_PER_READ: Final = 256
# Seconds after which a batch that is not full shows that rows trickle in, from a person or a pipe: then each goes at once.
TRICKLE: Final = 0.05
# Workers beside those that may be in flight: targets that wait for their own address or for DNS hold no place.
WAITING_WORKERS: Final = 1000
# Findings remembered so that a repeated target shares one probe; at about 5 kB each this is some 10 MB.
REMEMBERED: Final = 2048
# Rows that may wait for a target that is in flight, all together; further ones are probed by themselves.
MAX_SHARING: Final = 50_000
# Findings held back because an intermediate seen later may settle them; beyond it they are written as they stand.
MAX_HELD: Final = 10_000

Row = Target | InvalidRow
# Rows one by one, or a call that blocks until it has some and gives none at the end.
Source = Iterator[Row] | Callable[[], list[Row]]
Emit = Callable[[Finding], None]
Judged = Callable[[Evidence, Sequence[ChainVerdict | None]], None]
TargetKey = tuple[str, int, str, str | None, str | None]


@dataclass(frozen=True, slots=True)
class ScanStatistics:
    """A moment's view of a run; the progress line reads only this."""

    read: int
    done: int
    held: int
    outcomes: Mapping[str, int]
    pacing: PacingStatistics
    reading_finished: bool


@dataclass(slots=True)
class _Shared:
    """A target being probed, or probed a moment ago: later rows that name it wait for, or copy, its finding."""

    waiting: list[Target] = field(default_factory=list)
    finding: Finding | None = None


class InBatches:
    """Rows of a blocking iterator, a list for each call: long ones where rows come fast, single ones where they trickle in."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._size = 1

    def __call__(self) -> list[Row]:
        """The next rows; none at the end."""
        begun = time.monotonic()
        batch = list(islice(self._rows, self._size))
        fast = time.monotonic() - begun < TRICKLE
        self._size = min(self._size * 2, ROWS_PER_READ) if fast else 1
        return batch


class Feed:
    """Rows from a blocking source, read in batches by a thread, taken one by one by workers."""

    def __init__(self, rows: Source) -> None:
        self._read_batch = rows if callable(rows) else InBatches(rows)
        self._ready: deque[Row] = deque()
        self._lot = trio.lowlevel.ParkingLot()
        self._drained = trio.Event()
        self.idle = 0
        self.read = 0
        self.finished = False

    @property
    def ready(self) -> int:
        """Rows that wait to be taken."""
        return len(self._ready)

    async def fill(self, wanted: Callable[[int], None]) -> None:
        """Read to the end; ``wanted`` is told how many rows have become ready."""
        while batch := await trio.to_thread.run_sync(self._read_batch, abandon_on_cancel=True):
            self.read += len(batch)
            self._ready.extend(batch)
            wanted(len(batch))
            self._lot.unpark(count=len(batch))
            while len(self._ready) >= ROWS_PER_READ:
                self._drained = trio.Event()
                await self._drained.wait()
        self.finished = True
        self._lot.unpark_all()

    async def take(self) -> Row | None:
        """The next row; ``None`` when there will be none."""
        while not self._ready:
            if self.finished:
                return None
            self.idle += 1
            try:
                await self._lot.park()
            finally:
                self.idle -= 1
        row = self._ready.popleft()
        if len(self._ready) < ROWS_PER_READ:
            self._drained.set()
        return row


class Scan:
    """One run. ``emit`` is called with each finding, in the order in which they become final, and ``judged`` before it
    with what the finding was made from; ``clock`` gives seconds since the epoch. With ``fragments`` findings hold certificates
    as JSON already written, which is for writing and not for reading.
    """

    def __init__(
        self,
        config: ScanConfig,
        *,
        run_id: str,
        judge: Judge,
        pacer: Pacer,
        emit: Emit,
        judged: Judged | None = None,
        fragments: Fragments | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._run_id = run_id
        self._judge = judge
        self._pacer = pacer
        self._emit = emit
        self._judged = judged
        self._fragments = fragments
        self._clock = clock
        self._observer: Observer | None = None
        self._extras: Extras | None = None
        self._last: tuple[ServerFlight, tuple[str, float], ChainVerdict] | None = None
        self._recent: OrderedDict[TargetKey, _Shared] = OrderedDict()
        self._in_flight: dict[TargetKey, _Shared] = {}
        self._held: list[tuple[Evidence, _Shared | None]] = []
        self._outcomes: Counter[str] = Counter()
        self._sharing = 0
        self._done = 0
        self._workers = 0
        self._feed: Feed | None = None

    def statistics(self) -> ScanStatistics:
        """Counts at this moment."""
        feed = self._feed
        return ScanStatistics(
            read=feed.read if feed else 0,
            done=self._done,
            held=len(self._held),
            outcomes=dict(self._outcomes),
            pacing=self._pacer.statistics(),
            reading_finished=feed is not None and feed.finished,
        )

    # --- pure steps ----------------------------------------------------------------------------

    def moment(self, evidence_started: float) -> float:
        """The time at which certificates are judged."""
        return evidence_started if self._config.at is None else self._config.at

    def verdict(self, target: Target, endpoint: EndpointEvidence, at: float) -> ChainVerdict | None:
        """What the judges say of the certificates that one address sent; ``None`` where it sent none."""
        flight = flight_of(endpoint)
        if flight is None or not flight.certificates:
            return None
        # asked for the same flight up to three times in a row: for follow-ups, for CAA, for the finding
        last = self._last
        if last is None or last[0] is not flight or last[1] != (target.name, at):
            last = self._last = (
                flight,
                (target.name, at),
                self._judge.judge(flight.certificates, name=target.name, at=at),
            )
        return last[2]

    def ask(self, target: Target, endpoint: EndpointEvidence, started: float) -> Question | None:
        """The next follow-up for an address, if any."""
        verdict = self.verdict(target, endpoint, self.moment(started))
        config = self._config
        return next_question(target, endpoint, verdict, enumerate=config.enumerate, authenticate=config.authenticate)

    def verdicts(self, evidence: Evidence) -> list[ChainVerdict | None]:
        """The verdicts of all addresses, parallel to ``evidence.endpoints``."""
        at = self.moment(evidence.started)
        return [self.verdict(evidence.target, endpoint, at) for endpoint in evidence.endpoints]

    def finding(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Finding:
        """Evidence and verdicts to the finding."""
        context = Context(
            at=self.moment(evidence.started),
            expiry_warning_days=self._config.expiry_warning_days,
            revocation=self._config.revocation,
        )
        diagnosis = diagnose(evidence, verdicts, context)
        return assemble.finding(evidence, verdicts, diagnosis, self._run_id, fragments=self._fragments)

    # --- the run -------------------------------------------------------------------------------

    async def run(
        self,
        rows: Source,
        observer: Observer,
        extras: Extras | None = None,
        *,
        before_settling: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Every row to one finding. Returns when all are emitted; cancelling it keeps what was emitted.

        ``before_settling`` is awaited when only what was held is left.
        """
        self._observer = observer
        self._extras = extras
        feed = self._feed = Feed(rows)
        most = self._config.concurrency + WAITING_WORKERS
        async with trio.open_nursery() as nursery:

            def hire(ready: int) -> None:
                # as many as may be in flight, and one more for each that waits without a place
                useful = min(self._config.concurrency + self._pacer.standing_aside, most)
                for _ in range(min(ready - feed.idle, useful - self._workers)):
                    self._workers += 1
                    nursery.start_soon(self._work, feed)

            self._pacer.on_aside = lambda: hire(min(feed.ready, 1))
            await feed.fill(hire)
        if before_settling is not None:
            await before_settling()
        self._settle()

    async def _work(self, feed: Feed) -> None:
        while (row := await feed.take()) is not None:
            if isinstance(row, InvalidRow):
                self._write(assemble.invalid_finding(row, self._run_id, started=self._clock()))
            else:
                await self._target(row)

    async def _target(self, target: Target) -> None:
        key = _key_of(target)
        shared = self._in_flight.get(key)
        if shared is not None and self._sharing < MAX_SHARING:
            self._sharing += 1
            shared.waiting.append(target)
            return
        recent = self._recent.get(key)
        if recent is not None and recent.finding is not None:
            self._write(assemble.for_another_row(recent.finding, target))
            await trio.lowlevel.checkpoint()
            return
        own = None
        if shared is None:
            own = self._in_flight[key] = _Shared()
        evidence = await self._observe(target)
        self._conclude(evidence, own, final=False)

    async def _observe(self, target: Target) -> Evidence:
        started = self._clock()
        assert self._observer is not None
        try:
            evidence = await self._observer.observe(target, started)
            if self._extras is not None:
                evidence = await self._extras.ask(evidence, self.verdicts(evidence))
            return evidence
        except Exception as error:  # noqa: BLE001 - our own bug costs this finding, never the run
            return Evidence(target=target, started=started, bug=describe_bug(error))

    def _conclude(self, evidence: Evidence, shared: _Shared | None, *, final: bool) -> None:
        try:
            verdicts = self.verdicts(evidence)
            if not final and len(self._held) < MAX_HELD and any(v and self._judge.unresolved(v) for v in verdicts):
                self._held.append((evidence, shared))
                return
            finding = self.finding(evidence, verdicts)
        except Exception as error:  # noqa: BLE001 - as above
            verdicts, evidence = [], replace(evidence, endpoints=(), bug=describe_bug(error))
            finding = self._bug_finding(evidence)
        # not among what is caught: a full disk is no fault of a target, and stops the run as it does with findings
        if self._judged is not None:
            self._judged(evidence, verdicts)
        self._write(finding)
        if shared is None:
            return
        key = _key_of(evidence.target)
        self._in_flight.pop(key, None)
        shared.finding = finding
        self._sharing -= len(shared.waiting)
        for waiting in shared.waiting:
            self._write(assemble.for_another_row(finding, waiting))
        shared.waiting.clear()
        self._recent[key] = shared
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def _bug_finding(self, evidence: Evidence) -> Finding:
        """The finding of a target on which we failed; where even that fails, one without anything that was seen."""
        try:
            return self.finding(evidence, [])
        except Exception as error:  # noqa: BLE001 - as above
            target = evidence.target
            row = InvalidRow(target.row, "", target.host, target.port, target.protocol, target.id, target.tags)
            finding = assemble.invalid_finding(row, self._run_id, started=evidence.started)
            finding["outcome"] = "warn"  # it was not judged, so it is not in order; nor is its row at fault
            finding["error"] = f"{OWN_FAULT}{evidence.bug}; {describe_bug(error)}"
            return finding

    def _settle(self) -> None:
        """Write what was held: all intermediates that this run met are known now."""
        self._last = None
        held, self._held = self._held, []
        for evidence, shared in held:
            self._conclude(evidence, shared, final=True)

    def _write(self, finding: Finding) -> None:
        self._done += 1
        self._outcomes[finding["outcome"]] += 1
        self._emit(finding)


class Extras:
    """Asks CAA and TLSA, where the answer could matter, after a target was judged."""

    def __init__(self, resolver: Resolver, *, wants_caa: Callable[[ChainVerdict], bool]) -> None:
        self._resolver = resolver
        self._wants_caa = wants_caa

    async def ask(self, evidence: Evidence, verdicts: Sequence[ChainVerdict | None]) -> Evidence:
        """The evidence, with ``dns.caa`` where a public CA that we know issued it, ``dns.tlsa`` where DNSSEC vouches for the zone."""
        dns, target = evidence.dns, evidence.target
        if dns is None or dns.source != "dns":
            return evidence
        if any(verdict is not None and self._wants_caa(verdict) for verdict in verdicts):
            caa = await self._resolver.caa(target.host)
            dns = replace(dns, caa=caa.records, caa_owner=caa.owner)
        if dns.authenticated and evidence.endpoints:
            tlsa = await self._resolver.tlsa(target.port, "tcp", target.host)
            # DANE counts only what DNSSEC vouches for (RFC 6698 section 4.1)
            dns = replace(dns, tlsa=tlsa.records if tlsa.authenticated else None)
        return evidence if dns is evidence.dns else replace(evidence, dns=dns)


def _key_of(target: Target) -> TargetKey:
    """What makes two rows one target."""
    return target.host, target.port, target.protocol, target.sni, target.address


def describe_bug(error: BaseException) -> str:
    """One line for the finding: what kind of exception, its words, and where it was raised."""
    while isinstance(error, BaseExceptionGroup):  # a nursery's: the first of its members says more
        error = error.exceptions[0]
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" in {code.co_name} ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
        trace = trace.tb_next
    return f"{type(error).__name__}: {error}{place}"
