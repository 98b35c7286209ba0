"""What is watched beside a run: the memory of this process, the system's clock, and the time that SNTP servers give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from scanner.caching import clear_all
from scanner.fleet.correlate.facts import sntp_witness
from scanner.model.config import ScanConfig
from scanner.net.clocks import WallClock
from scanner.net.dns.resolver import Resolver
from scanner.net.pacing import Pacer
from scanner.process import memory
from scanner.run.scan import Scan
from scanner.text import span

# Seconds between two checks whether the system's clock was set.
CLOCK_CHECK_EVERY: Final = 1.0


async def limit_memory(limit: int, config: ScanConfig, scan: Scan, pacer: Pacer, log: Callable[[str], None]) -> None:
    """Check the memory of this process from time to time, and slow the run down when it takes too much."""
    governor = memory.Governor(limit, config.concurrency)
    logged = False
    while (size := memory.resident()) is not None:
        reaction = governor.react(size, trio.current_time(), pacer.statistics().in_flight)
        if reaction.relieve:
            clear_all()
            scan.spill()
            memory.give_back()
        pacer.restrict(reaction.admitted)
        if governor.slowed and not logged:
            logged = True
            log(memory.slowdown_message(limit))
        await trio.sleep(reaction.pause)


async def watch_clock(clock: WallClock, scan: Scan, log: Callable[[str], None]) -> None:
    """Notice when the system's clock is set during the run, which goes on by the clock that it began with."""
    while True:
        await trio.sleep(CLOCK_CHECK_EVERY)
        moved = clock.jump()
        if moved is not None:
            scan.restart_clock()
            log(
                f"THE CLOCK OF THIS MACHINE WAS SET {'AHEAD' if moved > 0 else 'BACK'} by {span(abs(moved))} during the run;"
                " the run goes on by the clock as it was, corrected where servers' times say that this is wrong"
            )


async def ask_time_servers(
    servers: Sequence[str], resolver: Resolver, scan: Scan, clock: Callable[[], float], log: Callable[[str], None]
) -> None:
    """Ask the servers of ``--ntp``, as witnesses for or against the local clock."""
    from scanner.net.sntp import ask_all, parse_servers  # most runs have none

    for answer in await ask_all(parse_servers(servers), resolver, clock=clock):
        if answer.time is not None and answer.local is not None and answer.address is not None:
            scan.fold.clock.add_witness(sntp_witness(answer.host, answer.address, answer.time, answer.local))
        else:
            log(f"--ntp: {answer.host} does not tell the time: {answer.error}")
