"""A run, put together: the rooms of the house joined for one configuration, and taken apart again.

``scan`` conducts and ``cli`` asks; this is where both find the parts. Nothing is decided here.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import trio
from msgspec import Struct, field
from msgspec.structs import replace

from scanner.caching import clear_all, share_of_all
from scanner.codec.certificate_dedup import Fragments
from scanner.diagnosis.rules.caa import authority_of
from scanner.fleet.correlate import domains
from scanner.fleet.correlate.facts import sntp_witness
from scanner.inventory.exclude import Exclusions
from scanner.model.config import ScanConfig
from scanner.model.evidence import InvalidRow, Target
from scanner.net.clocks import WallClock
from scanner.net.complete import Completer
from scanner.net.conditions import Conditions, connects
from scanner.net.dns.other_resolvers import OtherResolvers
from scanner.net.dns.resolver import Resolver, ResolverState, Service, open_resolver
from scanner.net.dns.udp_pool import FILES_PER_SOCKET
from scanner.net.large_flights import LargeFlights, places_for
from scanner.net.lookups.plan import open_enquiries
from scanner.net.observe import Observer
from scanner.net.outage import OutageMonitor
from scanner.net.pacing import Pacer
from scanner.net.probe import Prober
from scanner.net.readiness import current_readiness
from scanner.process import memory
from scanner.process.limits import files_left, places
from scanner.run.baseline import read_baseline
from scanner.run.judgement import Judgement
from scanner.run.post_probe import PostProbeLookups
from scanner.run.row_queue import Row, RowSource
from scanner.run.scan import WAITING_WORKERS, Callbacks, Scan, Services
from scanner.starttls import PROTOCOLS, Dialogue, dialogue
from scanner.text import span
from scanner.tls.plaintext import recognise
from scanner.trust.ct_logs import load_log_list
from scanner.trust.intermediates import Intermediates
from scanner.trust.stores import load_public_roots, load_store, load_store_file
from scanner.trust.transparency import Transparency
from scanner.trust.untrusted_issuer import OwnAuthorities
from scanner.trust.verdicts import ChainVerdict
from scanner.trust.verifier import ChainVerifier


class Material(Struct, frozen=True, kw_only=True):
    """What a run is given beside its limits: who is asked, who is trusted, who is left alone."""

    resolvers: Sequence[str] = ()
    trust_stores: Sequence[str] = ("mozilla",)
    public_roots: str | None = None
    ct_logs: str | None = None
    private_cas: Sequence[str] = ()
    # findings of an earlier run
    earlier: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    ntp: Sequence[str] = ()
    # a directory for what was fetched, between runs
    cache: str | None = None
    exclusions: Exclusions = field(default_factory=Exclusions)


# Options that a finding's judgement depends on, as `judged_with` names them, and where their values are. Trust stores stand
# in the findings themselves.
JUDGED_BY_CONFIG: Final = {
    "at": "at",
    "expiry_warning": "expiry_warning_days",
    "revocation": "revocation",
    "lang": "language",
}
JUDGED_BY_MATERIAL: Final = {"public_roots": "public_roots", "private_ca": "private_cas", "ct_logs": "ct_logs"}
# Seconds between two looks at whether the system's clock was set.
CLOCK_LOOK_EVERY: Final = 1.0
# Files for all but targets and their names: held findings, the cache, fetches, output.
RESERVED_FILES: Final = 10


def judged_with(config: ScanConfig, material: Material) -> dict[str, Any]:
    """The options of the judgement that are not the default."""
    options: dict[str, Any] = {}
    sources = ((JUDGED_BY_CONFIG, config, ScanConfig()), (JUDGED_BY_MATERIAL, material, Material()))
    for names, record, plain in sources:
        for name, field_name in names.items():
            value = getattr(record, field_name)
            if value != getattr(plain, field_name) and value != [] and value is not None:
                options[name] = list(value) if isinstance(value, (tuple, list)) else value
    return options


def new_run_id(now: float) -> str:
    """Sorts by time, and no two are the same: ``20261123T060000Z-1a2b3c4d``."""
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def make_verifier(material: Material, intermediates: Intermediates | None = None) -> ChainVerifier:
    """The judge over the chosen stores. Raises ``StoreError``."""
    return ChainVerifier(
        [load_store(spec) for spec in material.trust_stores],
        public_roots=load_public_roots(material.public_roots),
        intermediates=intermediates or Intermediates(),
        own=own_authorities(material.private_cas),
    )


def make_transparency(material: Material) -> Transparency:
    """The judge of SCTs, by the log list that was given or the one that is shipped. Raises ``LogListError``."""
    return Transparency(None if material.ct_logs is None else load_log_list(material.ct_logs))


def make_judgement(
    config: ScanConfig,
    material: Material,
    verifier: ChainVerifier,
    *,
    run_id: str,
    transparency: Transparency | None = None,
    fragments: Fragments | None = None,
) -> Judgement:
    """Return what judges evidence by these options. Without ``transparency`` the log list of ``material`` is read: ``LogListError``."""
    return Judgement(
        config,
        verifier,
        run_id=run_id,
        transparency=transparency or make_transparency(material),
        fragments=fragments,
        judged_with=judged_with(config, material),
    )


def make_completer(material: Material, clock: Callable[[], float] = time.time) -> Completer:
    """What completes handshakes, with the client certificate of the run. Raises ``ClientCertificateError``."""
    certificate, key = material.client_cert, material.client_key
    if certificate is None:
        return Completer(clock=clock)
    from scanner.x509.client_certificate import ClientCertificateError, load_client_certificate  # most runs have none

    completer = Completer(certificate, key, presented=load_client_certificate(certificate, key), clock=clock)
    try:
        completer.check()
    except OSError as error:
        raise ClientCertificateError(f"--client-cert: OpenSSL cannot use {certificate}: {error}") from None
    return completer


def own_authorities(paths: Sequence[str]) -> OwnAuthorities | None:
    """The CAs of ``--private-ca``; ``None`` where none is named. Raises ``StoreError``."""
    return OwnAuthorities(own for path in paths for own in load_store_file(path).anchors.values()) if paths else None


def ipv6_usable() -> bool:
    """This machine has a route for global IPv6. Connecting a datagram socket looks the route up and sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.connect(("2001:db8::1", 9))
    except OSError:
        return False
    return True


def _open_dialogue(protocol: str, host: str) -> Dialogue | None:
    return dialogue(protocol, host=host, recognise=recognise)


def _alpn_of(protocol: str) -> tuple[bytes, ...]:
    return PROTOCOLS[protocol].alpn


def _wants_caa(verdict: ChainVerdict) -> bool:
    return verdict.publicly_trusted and verdict.leaf is not None and authority_of(verdict.leaf.issuer) is not None


def without_excluded(rows: Iterator[Row], exclusions: Exclusions) -> Iterator[Row]:
    """The same rows, those that must not be contacted turned into invalid ones that say why."""
    for row in rows:
        if isinstance(row, Target):
            entry = exclusions.host(row.host) or (row.address and exclusions.address(row.address))
            if entry:
                row = InvalidRow(
                    row=row.row,
                    reason=f"excluded by '{entry}': it was not contacted",
                    host=row.host,
                    port=row.port,
                    protocol=row.protocol,
                    id=row.id,
                    tags=row.tags,
                )
        yield row


class Session(Struct):
    """An open run: give it rows."""

    scan: Scan
    _services: Services
    _exclusions: Exclusions

    async def run(self, rows: RowSource, *, before_settling: Callable[[], Awaitable[None]] | None = None) -> None:
        """Every row to one finding. Whoever gives rows by a call has left out what is excluded."""
        if len(self._exclusions) and not callable(rows):
            rows = without_excluded(rows, self._exclusions)
        await self.scan.run(rows, self._services, before_settling=before_settling)


async def _stay_below(limit: int, config: ScanConfig, scan: Scan, pacer: Pacer, say: Callable[[str], None]) -> None:
    """Look at the memory of this process from time to time, and slow the run down where it becomes too much."""
    governor = memory.Governor(limit, config.concurrency)
    said = False
    while (size := memory.resident()) is not None:
        reaction = governor.react(size, trio.current_time(), pacer.statistics().in_flight)
        if reaction.relieve:
            clear_all()
            scan.spill()
            memory.give_back()
        pacer.restrict(reaction.admitted)
        if governor.slowed and not said:
            said = True
            say(memory.words(limit))
        await trio.sleep(reaction.pause)


def within_files(config: ScanConfig, left: int | None) -> tuple[ScanConfig, int]:
    """The configuration with no more connections in flight than ``left`` files allow; and how many workers may wait besides.

    A worker that waits for its name has a socket too. Fewer workers are slower; too many would have names and connections fail
    for want of files, which is nothing that a target has done.
    """
    reserved = RESERVED_FILES + (left or 0) // FILES_PER_SOCKET
    workers = places(config.concurrency + WAITING_WORKERS, left, each=1, reserved=reserved)
    if workers >= config.concurrency + WAITING_WORKERS:
        return config, WAITING_WORKERS
    concurrency = min(config.concurrency, max(1, workers * 7 // 8))
    return replace(config, concurrency=concurrency), max(workers - concurrency, 0)


def _pacer(config: ScanConfig) -> Pacer:
    return Pacer(
        concurrency=config.concurrency,
        rate=config.rate,
        concurrency_per_address=config.concurrency_per_address,
        rate_per_address=config.rate_per_address,
        polite_to_loopback=config.polite_to_loopback,
    )


async def _ask_the_time(
    scan: Scan,
    servers: Sequence[str],
    resolver: Resolver,
    clock: Callable[[], float],
    warn: Callable[[str], None] | None,
) -> None:
    """Witnesses for the clock that a person has named: asked before anything else, they settle most quickly what it says."""
    from scanner.net.sntp import ask_all, parse_servers  # most runs have none

    for answer in await ask_all(parse_servers(servers), resolver, clock=clock):
        if answer.time is not None and answer.local is not None and answer.address is not None:
            scan.fold.clock.hear(sntp_witness(answer.host, answer.address, answer.time, answer.local))
        elif warn is not None:
            warn(f"--ntp: {answer.host} does not tell the time: {answer.error}")


async def _watch_clock(clock: WallClock, scan: Scan, warn: Callable[[str], None] | None) -> None:
    """Notice when the system's clock is set in the middle of the run, which goes on by the clock that it began with."""
    while True:
        await trio.sleep(CLOCK_LOOK_EVERY)
        moved = clock.jump()
        if moved is not None:
            scan.fold.restart_clock()
            if warn is not None:
                warn(
                    f"THE CLOCK OF THIS MACHINE WAS SET {'AHEAD' if moved > 0 else 'BACK'} by {span(abs(moved))} during the run;"
                    " the run goes on by the clock as it was, corrected where servers' times say that this is wrong"
                )


@asynccontextmanager
async def open_session(
    config: ScanConfig,
    material: Material,
    *,
    run_id: str,
    verifier: ChainVerifier,
    callbacks: Callbacks,
    transparency: Transparency | None = None,
    fragments: Fragments | None = None,
    clock: Callable[[], float] = time.time,
    warn: Callable[[str], None] | None = None,
) -> AsyncIterator[Session]:
    """Everything that a run needs, open for the length of the block. ``warn`` gets a line about each thing that did not work and
    stops nothing.

    Without ``transparency`` the log list of ``material`` is read. Raises ``ResolverConfigError``, ``LogListError``, ``NotFindings``,
    ``NetworkLost``.
    """
    current_readiness()  # its file is open before others want all that there are
    config, waiting_workers = within_files(config, files_left())
    pacer = _pacer(config)
    judgement = make_judgement(
        config, material, verifier, run_id=run_id, transparency=transparency, fragments=fragments
    )
    scan = Scan(config, judgement, pacer, callbacks, clock=clock, waiting_workers=waiting_workers, load=domains.load)

    baseline = None
    if material.earlier is not None:
        baseline = await trio.to_thread.run_sync(
            read_baseline, material.earlier, load_public_roots(material.public_roots)
        )
    exclusions, has_ipv6 = material.exclusions, ipv6_usable()

    def banned(address: str) -> bool:
        return exclusions.address(address) is not None

    def say_of_resolver(state: ResolverState) -> None:
        if warn is not None:
            warn(state.text if state.service is Service.ANSWERING else f"{state.text}; its names wait")

    async with open_resolver(
        servers=tuple(material.resolvers) or None, patience=config.dns_patience, on_state=say_of_resolver
    ) as resolver:
        if material.ntp:
            await _ask_the_time(scan, material.ntp, resolver, clock, warn)
        observer = Observer(
            config,
            Prober(verifier.leaf_key, large=LargeFlights(places_for(config.max_memory))),
            resolver,
            pacer,
            ask=judgement.next_question,
            open_dialogue=_open_dialogue,
            alpn_of=_alpn_of,
            banned=banned if len(exclusions) else None,
            ipv6_usable=has_ipv6,
            completer=make_completer(material, clock),
        )
        # those of the system are spares of each other; those that were named may be views of their own
        others = OtherResolvers(resolver, observer, judgement.verdict_at_start) if len(material.resolvers) > 1 else None
        post_probe = PostProbeLookups(resolver, wants_caa=_wants_caa, baseline=baseline, others=others)
        async with open_enquiries(
            resolver,
            verifier.intermediates,
            pacer,
            config,
            banned=exclusions.host,
            ipv6_usable=has_ipv6,
            cache=material.cache,
            clock=clock,
        ) as enquiries:
            outages = OutageMonitor(
                connects,
                patience=config.network_patience,
                busy=lambda: pacer.in_flight > 0,
                report=warn,
                forget=enquiries.forget,
            )
            conditions = Conditions(outages, pacer.aside)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(outages.watch)
                    if isinstance(clock, WallClock):
                        nursery.start_soon(_watch_clock, clock, scan, warn)
                    if config.max_memory is not None:
                        share_of_all(config.max_memory / memory.CACHES)
                        say = warn or (lambda line: None)
                        nursery.start_soon(_stay_below, config.max_memory, config, scan, pacer, say)
                    yield Session(
                        scan,
                        Services(observer=observer, post_probe=post_probe, enquiries=enquiries, conditions=conditions),
                        exclusions,
                    )
                    nursery.cancel_scope.cancel()
            finally:
                share_of_all(1.0)
