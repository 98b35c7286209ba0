"""Clients for the demo's servers: the standard library's OpenSSL and raw sockets, without any code of the scanner."""

from __future__ import annotations

import ssl
import struct
from collections.abc import Awaitable, Callable, Iterable

import pytest
import trio

from scanner.demo.case_list import CASES
from scanner.demo.cases import DemoCase
from scanner.demo.fleet import FleetRow, run_servers
from scanner.demo.pki import Pki, pem

BY_NAME = {case.name: case for case in CASES}
ALERT, HANDSHAKE = 21, 22


def trusting(pki: Pki) -> ssl.SSLContext:
    """Return a strictly verifying client context that trusts the demo's root."""
    context = ssl.create_default_context(cadata=pem(pki.root.der).decode())
    # Security level 2, the default of Debian, Fedora and OpenSSL 3.2.
    context.set_ciphers("DEFAULT@SECLEVEL=2")
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # some distributions build Python without a minimum
    return context


def hello_bytes(context: ssl.SSLContext, name: str | None) -> bytes:
    """Return the ClientHello that OpenSSL sends with this context."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def unchecked(*, large: bool = False) -> ssl.SSLContext:
    """Return a client context that accepts any certificate; ``large`` makes a hello of several packets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if large:
        context.set_alpn_protocols([f"filler-{i:03}" for i in range(200)])
    return context


def old_hello(version: int, suite: int) -> bytes:
    """Return a ClientHello without extensions, as in SSL 3.0."""
    body = struct.pack(">H32sBHHBB", version, b"r" * 32, 0, 2, suite, 1, 0)
    message = b"\x01" + len(body).to_bytes(3) + body
    return struct.pack(">BHH", HANDSHAKE, min(version, 0x0301), len(message)) + message


async def connect(address: str, port: int) -> trio.SocketStream:
    """Open a TCP connection; raises the kernel's ``OSError``."""
    sock = trio.socket.socket(trio.socket.AF_INET6 if ":" in address else trio.socket.AF_INET)
    try:
        await sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def exchange(row: FleetRow, sent: bytes, *, seconds: float = 1.0) -> bytes | None:
    """Send bytes and return the answer until the server closes or the time is up; ``None`` if it is silent."""
    received = b""
    async with await connect(row.addresses[0], row.port) as stream:
        await stream.send_all(sent)
        with trio.move_on_after(seconds):
            while chunk := await stream.receive_some():
                received += chunk
            return received
    return received or None


async def flight_of(row: FleetRow) -> bytes:
    """Return the server's answer to OpenSSL's ClientHello."""
    answer = await exchange(row, hello_bytes(unchecked(), row.host), seconds=0.3)
    assert answer is not None
    return answer


def messages(received: bytes) -> list[tuple[int, bytes]]:
    """Return (type, body) of the handshake messages in plaintext records; ``IndexError`` if one is truncated."""
    stream, at = b"", 0
    while at < len(received):
        length = int.from_bytes(received[at + 3 : at + 5])
        if received[at] != HANDSHAKE or at + 5 + length > len(received):
            raise IndexError(at)
        stream += received[at + 5 : at + 5 + length]
        at += 5 + length
    found = []
    while stream:
        end = 4 + int.from_bytes(stream[1:4])
        found.append((stream[0], stream[4:end]))
        stream = stream[end:]
    return found


def certificates(flight: list[tuple[int, bytes]]) -> list[bytes]:
    """Return the certificates in the Certificate message."""
    rest = dict(flight)[11][3:]
    found = []
    while rest:
        end = 3 + int.from_bytes(rest[:3])
        found.append(rest[3:end])
        rest = rest[end:]
    return found


async def leaf_for(row: FleetRow, name: str | None, *, index: int = 0) -> bytes:
    """Return the leaf that the server sends for a server name."""
    stream = await connect(row.addresses[index], row.port)
    async with stream:
        tls = trio.SSLStream(stream, unchecked(), server_hostname=name)
        await tls.do_handshake()
        leaf = tls.getpeercert(binary_form=True)
    assert isinstance(leaf, bytes)
    return leaf


async def handshake(row: FleetRow, context: ssl.SSLContext, *, index: int = 0) -> str:
    """Perform a handshake and an HTTP request; return the version, or "verify N" if OpenSSL refuses the certificate."""
    name = row.host if row.host.isascii() else "xn--bcher-kva.demo.test"
    stream = await trio.open_tcp_stream(row.addresses[index], row.port)
    tls = trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)
    try:
        await tls.do_handshake()
        version = tls.version()
        await tls.send_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n")
        page = b""
        while chunk := await tls.receive_some():
            page += chunk
        assert page.startswith(b"HTTP/1.1 200 OK\r\n")
        assert row.case.story.encode() in page
        return str(version)
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"verify {cause.verify_code}"
        raise
    finally:
        await trio.aclose_forcefully(tls)


Test = Callable[[FleetRow, Pki], Awaitable[None]]


def using_server_of(name: str) -> Callable[[Test], None]:
    """Decorator that runs a test against the servers of one case, or skips it if this system does not support them."""

    def run(test: Test) -> None:
        async def main() -> str | None:
            with trio.fail_after(10):
                async with run_servers([BY_NAME[name]]) as servers:
                    if servers.rows:
                        await test(servers.rows[0], servers.pki)
                return None if servers.rows else servers.skipped[0][1]

        reason = trio.run(main)
        if reason is not None:
            pytest.skip(reason)

    return run


async def script(row: FleetRow, *steps: tuple[bytes, bytes]) -> trio.SocketStream:
    """Send each line and check how the answer starts."""
    stream = await connect(row.addresses[0], row.port)
    for sent, start in steps:
        if sent:
            await stream.send_all(sent)
        answer = await stream.receive_some()
        assert answer.startswith(start), answer
    return stream


def check_works(name: str, version: str) -> None:
    """Check that a strict client completes a handshake of ``version`` at every address, and gets the page."""

    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        for index in range(len(row.addresses)):
            assert await handshake(row, trusting(pki), index=index) == version


def check_refused(name: str, code: int) -> None:
    """Check that OpenSSL refuses the certificate with ``code`` (X509_V_ERR_*)."""

    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == f"verify {code}"


def check_alert(name: str, description: int) -> None:
    """Check that OpenSSL's default hello gets this fatal alert (RFC 8446 section 6) and nothing else."""

    @using_server_of(name)
    async def test(row: FleetRow, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer[0] == ALERT
        assert answer[5:] == bytes([2, description])


def untested(cases: Iterable[DemoCase], source: str) -> list[str]:
    """Return the names of the cases that a test module does not mention."""
    return [case.name for case in cases if f'"{case.name}"' not in source]
