"""Measures the CPU that our resolver takes per name, with A and AAAA queried in parallel from a local name server.

For scale, dnspython's codec alone encodes and decodes the same messages, without a socket. Each measurement runs in a
process of its own: ``python -m benchmarks.resolving KIND PORT NAMES CONCURRENCY``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.farm import host
from benchmarks.measure import CommandError, clean_environment, own_cpu, raise_file_limit, table
from benchmarks.nameserver import running_nameserver

WORKER_SECONDS: Final = 120.0
KINDS: Final = {"resolver": "resolver, A and AAAA", "codec": "dnspython's codec alone"}
# Names resolved before the measurement, so that sockets are open and code is loaded.
WARM_UP: Final = 50


async def _resolve(port: int, first: int, hosts: int, concurrency: int) -> tuple[int, float, float]:
    """Resolve ``hosts`` new names; return the number of right answers, CPU seconds and wall seconds."""
    import trio

    from scanner.net.dns.resolver import open_resolver

    good = 0
    async with open_resolver(servers=[f"127.0.0.1:{port}"]) as resolver:
        for index in range(WARM_UP):
            await resolver.resolve(host(first + hosts + index).name)
        indexes = iter(range(first, first + hosts))

        async def worker() -> None:
            nonlocal good
            for index in indexes:
                target = host(index)
                answer = await resolver.resolve(target.name)
                good += answer.addresses == (target.address,)

        cpu, wall = own_cpu(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(concurrency):
                nursery.start_soon(worker)
        return good, own_cpu() - cpu, time.perf_counter() - wall


def _codec(hosts: int) -> tuple[int, float, float]:
    """Encode two queries and decode two answers per name with dnspython; return the same figures."""
    import dns.flags
    import dns.message
    import dns.rdatatype
    import dns.rrset

    # The server's answers are encoded beforehand, as only decoding them is measured.
    exchanges = []
    for index in range(hosts):
        target = host(index)
        for kind in (dns.rdatatype.A, dns.rdatatype.AAAA):
            response = dns.message.make_response(dns.message.make_query(target.name, kind, use_edns=0))
            if kind == dns.rdatatype.A:
                response.answer.append(dns.rrset.from_text(f"{target.name}.", 300, "IN", "A", target.address))
            exchanges.append((target.name, kind, response.to_wire()))
    cpu, wall = own_cpu(), time.perf_counter()
    for name, kind, wire in exchanges:
        dns.message.make_query(name, kind, use_edns=0).to_wire()
        dns.message.from_wire(wire)
    return hosts, own_cpu() - cpu, time.perf_counter() - wall


def worker(kind: str, port: int, hosts: int, concurrency: int) -> dict[str, Any]:
    """Run one measurement in this process."""
    import trio

    raise_file_limit()
    if kind == "codec":
        good, cpu, wall = _codec(hosts)
    else:
        good, cpu, wall = trio.run(_resolve, port, 0, hosts, concurrency)
    return {"good": good, "cpu": cpu, "wall": wall}


def names(*, hosts: int, rounds: int, concurrency: int) -> dict[str, Any]:
    """Measure the resolver and the codec in turn, and print medians of the CPU per name."""
    print(f"\nResolver: {hosts} names, A and AAAA, concurrency {concurrency}, {rounds} rounds", flush=True)
    measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
    everyone = [host(index) for index in range(hosts + WARM_UP)]
    with running_nameserver(everyone) as port, tempfile.TemporaryDirectory(prefix="tlsweep-resolve-") as home:
        for _ in range(rounds):
            for kind in KINDS:
                done = subprocess.run(
                    [sys.executable, "-m", "benchmarks.resolving", kind, str(port), str(hosts), str(concurrency)],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=WORKER_SECONDS,
                    env=clean_environment(Path(home)),
                )
                if done.returncode != 0:
                    raise CommandError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
                measured[kind].append(json.loads(done.stdout))
    rows = [
        (
            KINDS[kind],
            f"{statistics.median(one['cpu'] for one in all_of) / hosts * 1e6:.0f}",
            f"{hosts / statistics.median(one['wall'] for one in all_of):.0f}",
            f"{min(one['good'] for one in all_of)} of {hosts}",
        )
        for kind, all_of in measured.items()
    ]
    print(table(("", "CPU µs/name", "names/s", "complete"), rows))
    return {"title": "resolver", "hosts": hosts, "measured": measured}


def main() -> None:
    kind, port, hosts, concurrency = sys.argv[1:]
    json.dump(worker(kind, int(port), int(hosts), int(concurrency)), sys.stdout)


if __name__ == "__main__":
    main()
