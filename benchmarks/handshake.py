"""Compares the handshake of our engine, with CertificateVerify and Finished verified, with connecting and closing.

Connecting is measured with a bare ``trio.socket``, the least that a connection can cost, and with
``trio.open_tcp_stream``, trio's high-level interface, to which the bar refers.

Each kind runs in a process of its own (``python -m benchmarks.handshake KIND PORT HOSTS CONCURRENCY ROOT`` prints a line
of JSON) that measures its CPU around the probes only, without start-up. All kinds share the code that runs the workers.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from benchmarks.farm import Farm, Host, host, running_farm
from benchmarks.measure import CommandError, against_bar, clean_environment, own_cpu, raise_file_limit, table

BAR: Final = 3.0
KINDS: Final = {
    "floor": "trio.socket connects and closes",
    "stream": "trio.open_tcp_stream and aclose",
    "engine": "handshake, checked",
    "openssl": "trio with OpenSSL, whole handshake",
}
WORKER_SECONDS: Final = 120.0
PROBE_SECONDS: Final = 20.0

Work = Callable[[Host], Awaitable[bool]]


def floor(port: int) -> Work:
    """Return a function that connects and closes with ``trio.socket``."""
    import trio

    async def work(target: Host) -> bool:
        sock = trio.socket.socket()
        try:
            await sock.connect((target.address, port))
        finally:
            sock.close()
        return True

    return work


def stream(port: int) -> Work:
    """Return a function that connects and closes with ``trio.open_tcp_stream``."""
    import trio

    async def work(target: Host) -> bool:
        connected = await trio.open_tcp_stream(target.address, port)
        await connected.aclose()
        return True

    return work


def engine(port: int) -> Work:
    """One probe of the scanner. The public key of a certificate that was met before is remembered, as in a scan."""
    from cryptography import x509

    from scanner.net.probe import Prober, Timing
    from scanner.tls.offers import MODERN

    @lru_cache(maxsize=1024)
    def public_key_of(der: bytes) -> Any:
        return x509.load_der_x509_certificate(der).public_key()

    prober = Prober(public_key_of)
    timing = Timing(connect=PROBE_SECONDS, handshake=PROBE_SECONDS, total=PROBE_SECONDS)

    async def work(target: Host) -> bool:
        seen = await prober.probe(
            target.address,
            port,
            offer=MODERN,
            sni=target.name,
            alpn=(b"h2", b"http/1.1"),
            dialogue=None,
            timing=timing,
        )
        flight = seen.flight
        if flight is None or not flight.negotiation.complete or not flight.negotiation.signature_valid:
            return False
        # Only TLS 1.3 has a Finished in the server's first flight.
        return flight.negotiation.version != 0x0304 or flight.negotiation.finished_valid is True

    return work


def openssl(port: int, root: str) -> Work:
    """Return a function that completes a handshake with OpenSSL, validated against the root, for scale."""
    import ssl

    import trio

    context = ssl.create_default_context(cafile=root)
    context.set_alpn_protocols(["h2", "http/1.1"])

    async def work(target: Host) -> bool:
        stream = await trio.open_tcp_stream(target.address, port)
        secure = trio.SSLStream(stream, context, server_hostname=target.name, https_compatible=True)
        try:
            await secure.do_handshake()
        finally:
            await trio.aclose_forcefully(secure)
        return True

    return work


async def _all(work: Work, hosts: int, concurrency: int) -> int:
    import trio

    indexes = iter(range(hosts))
    good = 0

    async def worker() -> None:
        nonlocal good
        for index in indexes:
            # Not `good += await ...`, which would read `good` before the wait.
            done = await work(host(index))
            good += done

    async with trio.open_nursery() as nursery:
        for _ in range(concurrency):
            nursery.start_soon(worker)
    return good


def worker(kind: str, port: int, hosts: int, concurrency: int, root: str) -> dict[str, Any]:
    """Run one measurement in this process."""
    import trio

    raise_file_limit()
    makers: dict[str, Callable[[], Work]] = {
        "floor": lambda: floor(port),
        "stream": lambda: stream(port),
        "engine": lambda: engine(port),
        "openssl": lambda: openssl(port, root),
    }
    work = makers[kind]()
    trio.run(_all, work, min(50, hosts), concurrency)
    cpu, wall = own_cpu(), time.perf_counter()
    good = trio.run(_all, work, hosts, concurrency)
    return {"good": good, "cpu": own_cpu() - cpu, "wall": time.perf_counter() - wall}


def _measure(farm: Farm, kind: str, version: str, certificates: str, concurrency: int) -> dict[str, Any]:
    arguments = (kind, farm.ports[version, certificates], len(farm.hosts), concurrency, farm.root)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.handshake", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=WORKER_SECONDS,
        env=clean_environment(farm.directory),
    )
    if done.returncode != 0:
        raise CommandError(done.stderr.decode(errors="replace").strip().splitlines()[-1])
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def handshakes(
    *, hosts: int, rounds: int, concurrency: int, versions: Sequence[str], kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """Measure all kinds in turn; print medians of CPU per connection, and ratios to connecting and closing."""
    results = []
    with running_farm(hosts, versions=tuple(versions), kinds=tuple(kinds)) as farm:
        for certificates in kinds:
            for version in versions:
                title = (
                    f"Handshake alone, TLS {version}, {certificates} certificate: "
                    f"{hosts} hosts, concurrency {concurrency}, {rounds} rounds"
                )
                print(f"\n{title}", flush=True)
                measured: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
                for _ in range(rounds):
                    for kind in KINDS:
                        measured[kind].append(_measure(farm, kind, version, certificates, concurrency))
                cpu = {kind: statistics.median(one["cpu"] for one in all_of) for kind, all_of in measured.items()}
                rows = [
                    (
                        KINDS[kind],
                        f"{cpu[kind] / hosts * 1e6:.0f}",
                        f"{cpu[kind] / cpu['stream']:.2f}",
                        f"{cpu[kind] / cpu['floor']:.2f}",
                        f"{min(one['good'] for one in all_of)} of {hosts}",
                    )
                    for kind, all_of in measured.items()
                ]
                print(table(("", "CPU µs each", "to trio's stream", "to its socket", "complete"), rows))
                if version == "1.3":
                    print(f"handshake to connect-and-close: {against_bar(cpu['engine'] / cpu['stream'], BAR)}")
                results.append({"title": title, "measured": measured})
    return results


def main() -> None:
    kind, port, hosts, concurrency, root = sys.argv[1:]
    json.dump(worker(kind, int(port), int(hosts), int(concurrency), os.fspath(root)), sys.stdout)


if __name__ == "__main__":
    main()
