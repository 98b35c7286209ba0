"""Unreachable revocation services of healthy servers: reported for the network if none can be reached, never for the
servers.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography import x509

from scanner.demo.ca_services import distribution_points
from scanner.demo.cases import ServerFactory
from scanner.demo.dns_server import Node, serve_dns
from scanner.demo.servers import openssl, run_handler
from scanner.model.config import ScanConfig
from scanner.model.evidence import Target
from scanner.model.findings import Finding
from scanner.run.inputs import RunInputs
from tests.helpers.loopback_scan import scan_rows
from tests.servers.interception import NAMES, Network
from tests.servers.running import free_port, loopback_address

ADDRESS = loopback_address()
SITES = NAMES[:3]
Responder = Callable[[trio.SocketStream], Awaitable[None]]


async def _listen(stream: trio.SocketStream) -> None:
    """Read whole requests: closing with unread bytes would send a reset, as a middlebox would."""
    with trio.move_on_after(0.1):
        while await stream.receive_some():
            pass


async def _garbage(stream: trio.SocketStream) -> None:
    await _listen(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<html>no</html>")


async def _not_http(stream: trio.SocketStream) -> None:
    await _listen(stream)
    await stream.send_all(b"220 mail.example ESMTP\r\n")


async def _hangs_up(stream: trio.SocketStream) -> None:
    await _listen(stream)


async def _drips(stream: trio.SocketStream) -> None:
    await _listen(stream)
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
    await trio.sleep(0.2)
    await stream.send_all(b"xyz")


@asynccontextmanager
async def _listening(handler: Responder) -> AsyncIterator[int]:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            try:
                await handler(stream)
            except trio.BrokenResourceError:
                pass

    (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _scan(network: Network, ports: Sequence[int]) -> list[Finding]:
    """Return the findings of a healthy server for each of the sites, whose CAs are of three domains.

    Each CA has services on one of the ``ports``. The root counts as public, and every certificate is logged.
    """
    logs = network.directory / "ctlogs.json"
    logs.write_bytes(network.pki.logs.as_json(network.pki.now))
    with ServerFactory(network.pki) as factory:
        contexts: dict[str, ssl.SSLContext] = {}
        for number, (site, port) in enumerate(zip(SITES, ports, strict=True)):
            host = f"services.ca{number}.test:{port}"
            responder = x509.AccessDescription(x509.OID_OCSP, x509.UniformResourceIdentifier(f"http://{host}/ocsp"))
            issuers = x509.AccessDescription(x509.OID_CA_ISSUERS, x509.UniformResourceIdentifier(f"http://{host}/ca"))
            extensions = (
                (distribution_points(f"http://{host}/crl", f"http://{host}/other"), False),
                (x509.AuthorityInformationAccess([responder, issuers]), False),
            )
            contexts[site] = factory.context(network.pki.leaf(site, extensions=extensions))

        def choose(connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
            connection.context = contexts.get(name or "", contexts[SITES[0]])

        for context in contexts.values():
            context.sni_callback = choose
        (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS)
        zone = {name: Node(a=(ADDRESS,)) for name in (*SITES, *(f"services.ca{number}.test" for number in range(3)))}
        async with trio.open_nursery() as nursery, serve_dns(zone) as dns:
            handler = partial(run_handler, openssl(contexts[SITES[0]], "ready"))
            nursery.start_soon(trio.serve_listeners, handler, [listener])
            roots = str(network.roots)
            inputs = RunInputs(resolvers=(dns.text,), trust_stores=(roots,), public_roots=roots, ct_logs=str(logs))
            port = listener.socket.getsockname()[1]
            rows = [Target(number, site, port, "https", site) for number, site in enumerate(SITES, 1)]
            config = ScanConfig(retries=0, private_urls=True)
            findings = await scan_rows(rows, inputs, config)
            nursery.cancel_scope.cancel()
    assert len(findings) == len(SITES)
    return findings


def _codes(finding: Finding) -> list[tuple[str, str]]:
    return [(diagnosis["code"], diagnosis["severity"]) for diagnosis in finding["diagnoses"]]


@pytest.mark.parametrize("hung_up", [False, True])
def test_unreachable_services_of_all_cas_are_reported(hung_up: bool, tmp_path: Path) -> None:
    """Three unrelated CAs refuse or close every connection, so the obstacle is here, and each finding says so."""

    async def main() -> list[Finding]:
        async with _listening(_hangs_up) as port:
            ports = [free_port(ADDRESS), port if hung_up else free_port(ADDRESS), free_port(ADDRESS)]
            return await _scan(Network(tmp_path), ports)

    for finding in trio.run(main):
        assert sorted(_codes(finding)) == [("revocation-blocked", "warning"), ("revocation-unknown", "note")]
        assert finding["outcome"] == "warn" and finding["cause"] is None
        (proof,) = (each["evidence"] for each in finding["diagnoses"] if each["code"] == "revocation-blocked")
        assert proof["hosts_count"] == 3
        assert proof["hosts"] == [f"services.ca{number}.test" for number in range(3)]


@pytest.mark.parametrize("responder", [_garbage, _not_http, _drips])
def test_one_reachable_service_shows_that_nothing_is_blocked(responder: Responder, tmp_path: Path) -> None:
    """If any service answers, nothing is blocked; and no server is blamed for its CA's responder."""

    async def main() -> list[Finding]:
        async with _listening(responder) as port:
            return await _scan(Network(tmp_path), [free_port(ADDRESS), port, free_port(ADDRESS)])

    for finding in trio.run(main):
        assert _codes(finding) == [("revocation-unknown", "note")]
        assert finding["outcome"] == "ok"
