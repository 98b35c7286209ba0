"""The TLS engine against every real server: the whole flight is read and verified over one connection.

The recorded bytes are then fed to the engine again in pieces, cut off or changed anywhere, as a network might do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from scanner.model.evidence import Failure, Probe, Stage
from scanner.net.probe import Prober, Timing
from scanner.tls.offers import OFFERS
from scanner.tls.registry_names import cipher_name, group_name, version_name
from tests.servers.catalogue import ALL_SERVERS, CLOSED_SERVERS, LEGACY_SERVERS, MODERN_SERVERS, by_id
from tests.servers.conftest import Start
from tests.servers.running import Server
from tests.servers.spec import ServerSpec

TIMING: Final = Timing(connect=10, handshake=15, total=20)
# For connections on which the engine waits for bytes that never come
HASTY: Final = Timing(connect=10, handshake=0.5, total=20)


def public_key_of(der: bytes) -> Any:
    """Return the leaf's key, or ``None`` if it cannot be used: these tests damage certificates on purpose."""
    try:
        return x509.load_der_x509_certificate(der).public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def probe(
    server: Server,
    offer: str | None = None,
    *,
    port: int | None = None,
    sni: str | None = "",
    alpn: tuple[bytes, ...] = (),
) -> Probe:
    """Open a connection with the hello of the server's spec; ``sni`` is as given, or the server's own name."""
    prober = Prober(public_key_of)

    async def connect() -> Probe:
        return await prober.probe(
            server.address,
            port or server.port,
            offer=OFFERS[offer or server.spec.offer],
            sni=server.name if sni == "" else sni,
            alpn=alpn or ((b"h2", b"http/1.1") if server.spec.alpn else ()),
            dialogue=None,
            timing=TIMING,
        )

    return trio.run(connect)


def assert_as_expected(seen: Probe, server: Server) -> None:
    spec = server.spec
    assert (seen.failure, seen.alert, seen.detail) == (None, (1, 112) if spec.warns_of_name else None, None)
    assert seen.stage is Stage.DONE
    flight = seen.flight
    assert flight is not None
    assert flight.negotiation.complete
    assert flight.negotiation.version is not None and flight.negotiation.cipher is not None
    assert version_name(flight.negotiation.version) == spec.expected.version
    assert flight.certificates == server.chain
    if spec.expected.cipher is not None:
        assert cipher_name(flight.negotiation.cipher) == spec.expected.cipher
    if spec.expected.group is not None:
        assert flight.negotiation.group is not None
        assert group_name(flight.negotiation.group) == spec.expected.group
    assert flight.negotiation.hello_retry == spec.expected.hello_retry
    assert flight.negotiation.alpn == spec.expected.alpn
    assert (flight.ocsp_response is not None) == spec.staple
    if spec.staple:
        assert flight.ocsp_response == server.credential.ocsp_response
    assert (flight.negotiation.client_auth is not None) == (spec.client_auth != "none")
    if flight.negotiation.client_auth is not None and spec.software != "nss":
        roots = x509.load_pem_x509_certificates(server.roots.read_bytes())
        assert set(flight.negotiation.client_auth.authorities) == {root.subject.public_bytes() for root in roots}
    # RSA key transport has no signature by the server (RFC 5246 section 7.4.3)
    key_transport = cipher_name(flight.negotiation.cipher).startswith("TLS_RSA_")
    assert flight.negotiation.signature_valid is (None if key_transport else True)
    assert flight.negotiation.finished_valid is (True if spec.expected.version == "TLSv1.3" else None)


@pytest.mark.parametrize("spec", ALL_SERVERS, ids=lambda spec: spec.id)
def test_the_whole_flight_is_read(spec: ServerSpec, start: Start) -> None:
    server = start(spec)

    assert_as_expected(probe(server), server)


@pytest.mark.parametrize("spec", [s for s in LEGACY_SERVERS if s.offer != "modern"], ids=lambda spec: spec.id)
def test_a_modern_hello_is_refused(spec: ServerSpec, start: Start) -> None:
    seen = probe(start(spec), "modern")

    if spec.software == "gnutls":
        # A server without TLS 1.3 ignores supported_versions, and answers with its own version.
        assert seen.flight is not None
        assert seen.flight.negotiation.version is not None
        assert version_name(seen.flight.negotiation.version) == spec.expected.version
        return
    assert seen.failure is Failure.ALERT
    assert seen.alert is not None
    # protocol_version because of the version; handshake_failure or insufficient_security because of the suites
    assert seen.alert[1] in ((70,) if spec.legacy else (40, 71))


CUT: Final = ("nginx-tls13-ecdsa", "openssl-tls12-fragments", "nss-tls12-rsa", "gnutls-tls13-rsa-staple")


@pytest.mark.parametrize("identifier", CUT)
def test_a_flight_in_pieces_is_read_alike(identifier: str, start: Start) -> None:
    server = start(by_id(identifier))

    seen = through_relay(server, in_pieces(7))

    assert_as_expected(seen, server)


@pytest.mark.parametrize("identifier", CUT)
@pytest.mark.parametrize("keep", [0, 1, 4, 5, 60, 127, 700, 1200])
def test_a_flight_cut_short_is_a_closed_connection(identifier: str, keep: int, start: Start) -> None:
    server = start(by_id(identifier))

    seen = through_relay(server, cut_after(keep))

    assert seen.failure is Failure.CLOSED
    assert seen.stage is not Stage.DONE
    assert seen.bytes_received == keep


@pytest.mark.parametrize("identifier", ["nginx-tls13-ecdsa", "openssl-tls13-fragments"])
def test_no_changed_byte_is_accepted_in_tls13(identifier: str, start: Start) -> None:
    server = start(by_id(identifier))
    recorded = bytearray()
    assert through_relay(server, recording(recorded)).ok

    for position in range(0, len(recorded), max(1, len(recorded) // 40)):
        if position in record_versions(recorded):
            continue
        seen = through_relay(server, with_byte_flipped(position), HASTY)
        assert not seen.ok, position
        assert seen.failure is not Failure.BUG


@pytest.mark.parametrize("identifier", ["openssl-tls12-fragments", "nss-tls12-rsa", "nss-ssl3"])
def test_no_changed_key_exchange_is_accepted_before_tls13(identifier: str, start: Start) -> None:
    server = start(by_id(identifier))
    whole = through_relay(server, in_pieces(16384))
    assert whole.ok and whole.flight is not None

    for position in range(0, whole.bytes_received, max(1, whole.bytes_received // 40)):
        seen = through_relay(server, with_byte_flipped(position), HASTY)
        assert seen.failure is not Failure.BUG
        if seen.ok and seen.flight is not None and seen.flight.negotiation.signature_valid:
            # The signed data (RFC 5246 section 7.4.3) is unchanged.
            assert seen.flight.negotiation.group == whole.flight.negotiation.group


# --- a relay between the engine and the server that changes the server's bytes ---

Mangle = Callable[[bytes, int], list[bytes] | None]


def in_pieces(size: int) -> Mangle:
    return lambda data, _before: [data[at : at + size] for at in range(0, len(data), size)]


def cut_after(keep: int) -> Mangle:
    return lambda data, before: [data[: keep - before]] if before < keep else None


def recording(into: bytearray) -> Mangle:
    def mangle(data: bytes, _before: int) -> list[bytes]:
        into.extend(data)
        return [data]

    return mangle


def record_versions(stream: bytes | bytearray) -> set[int]:
    """Return the positions of legacy_record_version, which "MUST be ignored for all purposes" (RFC 8446 section 5.1)."""
    positions = set()
    at = 0
    while at + 5 <= len(stream):
        positions |= {at + 1, at + 2}
        at += 5 + int.from_bytes(stream[at + 3 : at + 5], "big")
    return positions


def with_byte_flipped(position: int) -> Mangle:
    def mangle(data: bytes, before: int) -> list[bytes]:
        at = position - before
        if 0 <= at < len(data):
            data = bytes(data[:at]) + bytes([data[at] ^ 0x10]) + bytes(data[at + 1 :])
        return [data]

    return mangle


def through_relay(server: Server, mangle: Mangle, timing: Timing = TIMING) -> Probe:
    """Probe the server through a relay that passes its bytes, with the count of those before them, to ``mangle``."""
    prober = Prober(public_key_of)

    async def downstream(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        seen = 0
        async for data in source:
            pieces = mangle(bytes(data), seen)
            seen += len(data)
            for piece in pieces or []:
                await sink.send_all(piece)
                await trio.sleep(0)
            if pieces is None or sum(map(len, pieces)) < len(data):
                break
        await sink.send_eof()

    async def relay(client: trio.SocketStream) -> None:
        async with await trio.open_tcp_stream(server.address, server.port) as upstream:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(quietly, downstream, upstream, client)
                await quietly(forward, client, upstream)
                nursery.cancel_scope.cancel()

    async def forward(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)

    async def main() -> Probe:
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host=server.address)
            port: int = listener.socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, relay, [listener])
            seen = await prober.probe(
                server.address,
                port,
                offer=OFFERS[server.spec.offer],
                sni=server.name,
                alpn=(b"h2", b"http/1.1") if server.spec.alpn else (),
                dialogue=None,
                timing=timing,
            )
            nursery.cancel_scope.cancel()
        return seen

    return trio.run(main)


async def quietly(
    copy: Callable[[trio.SocketStream, trio.SocketStream], Awaitable[None]],
    source: trio.SocketStream,
    sink: trio.SocketStream,
) -> None:
    """Copy bytes until either end closes."""
    try:
        await copy(source, sink)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


# --- one thing changed at a time ---


@pytest.mark.parametrize(
    "identifier", ["nginx-tls13-ecdsa", "haproxy-tls13-ecdsa", "apache-tls13-ecdsa", "gnutls-tls13-ecdsa"]
)
@pytest.mark.parametrize(
    "offer", ["small", "tls12", "tls13", "all-suites", "all-groups", "everything", "forward-secret", "no-sha1"]
)
def test_healthy_servers_accept_every_current_offer(identifier: str, offer: str, start: Start) -> None:
    seen = probe(start(by_id(identifier)), offer)

    assert seen.failure is None
    assert seen.flight is not None
    assert seen.flight.negotiation.signature_valid is True


@pytest.mark.parametrize("spec", MODERN_SERVERS, ids=lambda spec: spec.id)
def test_a_hello_without_server_name_is_accepted(spec: ServerSpec, start: Start) -> None:
    assert probe(start(spec), sni=None).failure is None


@pytest.mark.parametrize("spec", CLOSED_SERVERS, ids=lambda spec: spec.id)
def test_the_cas_of_a_certificate_request_are_read(spec: ServerSpec, start: Start) -> None:
    flight = probe(start(spec)).flight

    assert flight is not None
    assert flight.negotiation.client_auth is not None
    assert len(flight.negotiation.client_auth.authorities) == 2
