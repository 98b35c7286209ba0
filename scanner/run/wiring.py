"""Joins the parts of one run for a configuration: the scan, what it asks the network with, and what watches over it.

The packages below know each other by functions that are passed in here: ``net`` asks ``judgement`` which question comes next,
and the lookups after a probe ask ``trust`` whether an answer could matter. Everything is open for the length of one block.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio
from msgspec import Struct
from msgspec.structs import replace

from scanner.caching import share_of_all
from scanner.diagnosis.rules.caa import authority_of
from scanner.fleet.correlate import domains
from scanner.inventory.exclude import Exclusions, mark_excluded
from scanner.model.config import ScanConfig
from scanner.net.clocks import WallClock
from scanner.net.conditions import Conditions, connects
from scanner.net.dns.other_resolvers import OtherResolvers
from scanner.net.dns.resolver import ResolverState, Service, open_resolver
from scanner.net.dns.udp_pool import FILES_PER_SOCKET
from scanner.net.large_flights import LargeFlights, places_for
from scanner.net.lookups.plan import open_lookups
from scanner.net.observe import Observer, ProbeServices
from scanner.net.outage import OutageMonitor
from scanner.net.pacing import Pacer
from scanner.net.probe import Prober
from scanner.net.readiness import current_readiness
from scanner.net.sockets import GLOBAL_IPV6, has_route
from scanner.process import memory
from scanner.process.limits import files_left, places
from scanner.run.baseline import read_baseline
from scanner.run.inputs import RunInputs, make_completer
from scanner.run.judgement import Judgement
from scanner.run.monitors import ask_time_servers, limit_memory, watch_clock
from scanner.run.post_probe import PostProbeLookups
from scanner.run.row_queue import RowSource
from scanner.run.scan import WAITING_WORKERS, Callbacks, Scan, Services
from scanner.starttls import PROTOCOLS, Dialogue, dialogue
from scanner.tls.plaintext import recognise
from scanner.trust.stores import load_public_roots
from scanner.trust.verdicts import ChainVerdict

# Files for everything but targets and their names: spooled evidence, the cache, fetches, outputs.
RESERVED_FILES: Final = 10


class OpenRun(Struct):
    """A run that is ready for its rows."""

    scan: Scan
    _services: Services
    _exclusions: Exclusions

    async def run(self, rows: RowSource, *, before_settling: Callable[[], Awaitable[None]] | None = None) -> None:
        """Make one finding of every row. Excluded rows are marked as such, unless ``rows`` is a call whose rows are."""
        if len(self._exclusions) and not callable(rows):
            rows = mark_excluded(rows, self._exclusions)
        await self.scan.run(rows, self._services, before_settling=before_settling)


@asynccontextmanager
async def open_run(
    config: ScanConfig,
    inputs: RunInputs,
    judgement: Judgement,
    callbacks: Callbacks,
    *,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[OpenRun]:
    """Open everything that a run needs, for the length of the block. ``clock`` returns seconds since the epoch.

    Raises ``ResolverConfigError``, ``NotFindings``, ``ClientCertificateError`` and, as long as it is open, ``NetworkLost``.
    """
    current_readiness()  # opens its file before others want all that there are
    config, waiting_workers = within_files(config, files_left())
    log = callbacks.log
    pacer = Pacer(
        concurrency=config.concurrency,
        rate=config.rate,
        concurrency_per_address=config.concurrency_per_address,
        rate_per_address=config.rate_per_address,
        polite_to_loopback=config.polite_to_loopback,
        now=trio.lowlevel.current_clock().current_time,
    )
    scan = Scan(config, judgement, pacer, callbacks, clock=clock, waiting_workers=waiting_workers, load=domains.load)
    async with _open_services(config, inputs, scan, pacer, log, clock) as services:
        try:
            async with trio.open_nursery() as nursery:
                assert services.conditions is not None
                nursery.start_soon(services.conditions.outages.watch)
                if isinstance(clock, WallClock):
                    nursery.start_soon(watch_clock, clock, scan, log)
                if config.max_memory is not None:
                    share_of_all(config.max_memory / memory.CACHES)
                    nursery.start_soon(limit_memory, config.max_memory, config, scan, pacer, log)
                yield OpenRun(scan, services, inputs.exclusions)
                nursery.cancel_scope.cancel()
        finally:
            share_of_all(1.0)


@asynccontextmanager
async def _open_services(
    config: ScanConfig,
    inputs: RunInputs,
    scan: Scan,
    pacer: Pacer,
    log: Callable[[str], None],
    clock: Callable[[], float],
) -> AsyncIterator[Services]:
    judgement, exclusions, has_ipv6 = scan.judgement, inputs.exclusions, has_route(GLOBAL_IPV6)
    baseline = None
    if inputs.earlier is not None:
        public = load_public_roots(inputs.public_roots)
        baseline = await trio.to_thread.run_sync(read_baseline, inputs.earlier, public)

    def is_excluded(address: str) -> bool:
        return exclusions.address(address) is not None

    def log_resolver(state: ResolverState) -> None:
        log(state.text if state.service is Service.ANSWERING else f"{state.text}; its names wait")

    async with open_resolver(
        servers=tuple(inputs.resolvers) or None, patience=config.dns_patience, on_state=log_resolver
    ) as resolver:
        if inputs.ntp:
            await ask_time_servers(inputs.ntp, resolver, scan, clock, log)
        observer = Observer(
            config,
            ProbeServices(
                prober=Prober(judgement.verifier.leaf_key, large=LargeFlights(places_for(config.max_memory))),
                completer=make_completer(inputs, clock),
                resolver=resolver,
                pacer=pacer,
                open_dialogue=_open_dialogue,
                alpn_of=_alpn_of,
                is_banned=is_excluded if len(exclusions) else None,
                ipv6_usable=has_ipv6,
                now=trio.lowlevel.current_clock().current_time,
            ),
        )
        # the system's resolvers are spares of each other, but those that were named may have views of their own
        others = OtherResolvers(resolver, observer, judgement.verdict_at_start) if len(inputs.resolvers) > 1 else None
        async with open_lookups(
            resolver,
            judgement.verifier.intermediates,
            pacer,
            config,
            banned=exclusions.host,
            ipv6_usable=has_ipv6,
            cache=inputs.cache,
            clock=clock,
        ) as lookups:
            outages = OutageMonitor(
                connects,
                patience=config.network_patience,
                busy=lambda: pacer.in_flight > 0,
                report=log,
                forget=lookups.forget,
            )
            yield Services(
                observer=observer,
                post_probe=PostProbeLookups(resolver, wants_caa=_wants_caa, baseline=baseline, others=others),
                lookups=lookups,
                conditions=Conditions(outages, pacer.yield_slot),
            )


def within_files(config: ScanConfig, left: int | None) -> tuple[ScanConfig, int]:
    """Return the configuration with no more connections in flight than ``left`` files allow, and how many workers may wait.

    A worker that waits for a name has a socket too. Fewer workers are slower; too many would have names and connections fail
    for want of files, which would be reported as the target's fault.
    """
    reserved = RESERVED_FILES + (left or 0) // FILES_PER_SOCKET
    workers = places(config.concurrency + WAITING_WORKERS, left, each=1, reserved=reserved)
    if workers >= config.concurrency + WAITING_WORKERS:
        return config, WAITING_WORKERS
    concurrency = min(config.concurrency, max(1, workers * 7 // 8))
    return replace(config, concurrency=concurrency), max(workers - concurrency, 0)


def _open_dialogue(protocol: str, host: str) -> Dialogue | None:
    return dialogue(protocol, host=host, recognise=recognise)


def _alpn_of(protocol: str) -> tuple[bytes, ...]:
    return PROTOCOLS[protocol].alpn


def _wants_caa(verdict: ChainVerdict) -> bool:
    return verdict.publicly_trusted and verdict.leaf is not None and authority_of(verdict.leaf.issuer) is not None
