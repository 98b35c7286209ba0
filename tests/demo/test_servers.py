"""Each server of the catalogue does what its case says, seen by OpenSSL through the standard library and by raw sockets."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio
from cryptography import x509

from scanner.demo.catalogue import CASES
from scanner.demo.fleet import Row, run_servers
from scanner.demo.pki import Pki, pem

BY_NAME = {case.name: case for case in CASES}
ALERT, HANDSHAKE = 21, 22

# What OpenSSL's verifier says (X509_V_ERR_*), where a case is about a certificate.
VERIFY_CODES = {
    "expired": 10,
    "expired-and-misnamed": 62,
    "not-yet-valid": 9,
    "self-signed": 18,
    "ingress": 18,
    "traefik": 18,
    "wrong-name": 62,
    "a.b.wildcard": 62,
    "bare": 62,
    "not-configured-here": 62,
    "intermediate-not-sent": 20,
    "intermediate-unobtainable": 20,
    "issuer-unknown": 20,
    "untrusted-root": 19,
    "bad-signature": 7,
    "intermediate-expired": 10,
    "issuer-not-a-ca": 79,
    "path-length-exceeded": 25,
    "name-constraint-violated": 47,
    "wrong-key-usage": 79,
    "not-for-server-auth": 26,
    "unknown-critical-extension": 34,
    "weak-signature": 68,
    "weak-key": 66,
}

# Fatal alerts (RFC 8446 section 6) in answer to what OpenSSL offers by default.
ALERTS = {
    "internal-error": 80,
    "sni-unrecognized": 112,
    "version-rejected": 70,
    "version-intolerant": 70,
    "tls11-only": 70,
    "ssl3-only": 70,
    "triple-des-only": 40,
    "handshake-failure": 40,
    "insufficient-security": 71,
}

WORKS = [
    "healthy", "tls12", "tls13", "rsa", "hello-retry", "shop.wildcard", "bücher", "address", "sends-intermediate", "needs-sni",
    "private-address", "expires-soon", "chain-misordered", "chain-has-extras", "root-sent", "two-certificates", "retired-suites",
    "no-shared-group", "ed25519",
]  # fmt: skip


def trusting(pki: Pki) -> ssl.SSLContext:
    """A careful client that knows the demo's root."""
    context = ssl.create_default_context(cadata=pem(pki.root.der).decode())
    # Level 2, as Debian, Fedora and OpenSSL's own default since 3.2 have it.
    context.set_ciphers("DEFAULT@SECLEVEL=2")
    return context


def hello_bytes(context: ssl.SSLContext, name: str | None) -> bytes:
    """The ClientHello that OpenSSL would send."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def unchecked(*, large: bool = False) -> ssl.SSLContext:
    """A client that takes any certificate; ``large`` makes a hello of several packets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if large:
        context.set_alpn_protocols([f"filler-{i:03}" for i in range(200)])
    return context


def old_hello(version: int, suite: int) -> bytes:
    """A ClientHello without extensions, as SSL 3.0 had it."""
    body = struct.pack(">H32sBHHBB", version, b"r" * 32, 0, 2, suite, 1, 0)
    message = b"\x01" + len(body).to_bytes(3) + body
    return struct.pack(">BHH", HANDSHAKE, min(version, 0x0301), len(message)) + message


async def connect(address: str, port: int) -> trio.SocketStream:
    """One plain connection; ``OSError`` as the kernel gives it."""
    sock = trio.socket.socket()
    try:
        await sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


async def exchange(row: Row, sent: bytes, *, seconds: float = 1.0) -> bytes | None:
    """What the server says to these bytes, until it ends or the time is over; ``None`` where it says nothing."""
    received = b""
    async with await connect(row.addresses[0], row.port) as stream:
        await stream.send_all(sent)
        with trio.move_on_after(seconds):
            while chunk := await stream.receive_some():
                received += chunk
            return received
    return received or None


async def flight_of(row: Row) -> bytes:
    """The flight in answer to what OpenSSL offers."""
    answer = await exchange(row, hello_bytes(unchecked(), row.host), seconds=0.3)
    assert answer is not None
    return answer


def messages(received: bytes) -> list[tuple[int, bytes]]:
    """The handshake messages in plain records; ``IndexError`` where one is cut short."""
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
    """The entries of the Certificate message."""
    rest = dict(flight)[11][3:]
    found = []
    while rest:
        end = 3 + int.from_bytes(rest[:3])
        found.append(rest[3:end])
        rest = rest[end:]
    return found


async def leaf_for(row: Row, name: str | None, *, index: int = 0) -> bytes:
    """The certificate that the server shows for a name."""
    stream = await connect(row.addresses[index], row.port)
    async with stream:
        tls = trio.SSLStream(stream, unchecked(), server_hostname=name)
        await tls.do_handshake()
        leaf = tls.getpeercert(binary_form=True)
    assert isinstance(leaf, bytes)
    return leaf


async def handshake(row: Row, context: ssl.SSLContext, *, index: int = 0, expect_page: bool = True) -> str:
    """A handshake and an HTTP exchange: the version, or "verify N" where OpenSSL refuses the certificate."""
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
        assert not expect_page or row.case.story.encode() in page
        return str(version)
    except trio.BrokenResourceError as error:
        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"verify {cause.verify_code}"
        raise
    finally:
        await trio.aclose_forcefully(tls)


Test = Callable[[Row, Pki], Awaitable[None]]


def with_server(name: str) -> Callable[[Test], None]:
    """Runs one case's servers, and the test against them."""

    def run(test: Test) -> None:
        async def main() -> None:
            with trio.fail_after(10):
                async with run_servers([BY_NAME[name]]) as servers:
                    if servers.skipped:
                        pytest.skip(servers.skipped[0][1])
                    await test(servers.rows[0], servers.pki)

        trio.run(main)

    return run


@pytest.mark.parametrize("name", WORKS)
def test_works(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        for index in range(len(row.addresses)):
            expected = "TLSv1.2" if name in {"tls12", "retired-suites"} else "TLSv1.3"
            assert await handshake(row, trusting(pki), index=index) == expected


@pytest.mark.parametrize(("name", "code"), VERIFY_CODES.items())
def test_certificate_is_refused_for_its_flaw(name: str, code: int) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == f"verify {code}"


def test_common_name_only_is_refused_where_it_is_not_looked_at() -> None:
    @with_server("common-name-only")
    async def test(row: Row, pki: Pki) -> None:
        context = trusting(pki)
        assert await handshake(row, context) == "TLSv1.3"
        context.hostname_checks_common_name = False
        assert await handshake(row, context) == "verify 62"


@pytest.mark.parametrize("name", ["wrong-name", "healthy", "common-name-only"])
def test_another_name_gets_another_certificate(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await leaf_for(row, row.host) != await leaf_for(row, "unheard-of.invalid")
        assert await leaf_for(row, "unheard-of.invalid") == await leaf_for(row, None)


@pytest.mark.parametrize("name", ["not-configured-here", "ingress", "traefik"])
def test_every_name_gets_the_same_certificate(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await leaf_for(row, row.host) == await leaf_for(row, "unheard-of.invalid") == await leaf_for(row, None)


def test_two_addresses_have_two_certificates() -> None:
    @with_server("two-certificates")
    async def test(row: Row, pki: Pki) -> None:
        assert await leaf_for(row, row.host) != await leaf_for(row, row.host, index=1)


def test_one_address_is_sound_and_the_other_expired() -> None:
    @with_server("one-expired")
    async def test(row: Row, pki: Pki) -> None:
        assert await handshake(row, trusting(pki)) == "TLSv1.3"
        assert await handshake(row, trusting(pki), index=1) == "verify 10"


@pytest.mark.parametrize(("name", "description"), ALERTS.items())
def test_alert(name: str, description: int) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer[0] == ALERT
        assert answer[5:] == bytes([2, description])


@pytest.mark.parametrize("name", ["version-intolerant", "version-intolerant-close"])
def test_intolerant_of_tls13_alone(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        context = trusting(pki)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        tls = trio.SSLStream(stream, context, server_hostname=row.host)
        await tls.do_handshake()
        assert tls.version() == "TLSv1.2"
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize("name", ["hangs-up", "version-intolerant-close"])
def test_closes_without_a_word(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(), row.host)) == b""


def test_hangs_up_midway() -> None:
    @with_server("hangs-up-midway")
    async def test(row: Row, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer[0] == HANDSHAKE
        with pytest.raises(IndexError):
            messages(answer)


@pytest.mark.parametrize("name", ["reset-after-hello", "sni-filtered"])
def test_resets(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await exchange(row, hello_bytes(unchecked(), row.host))


def test_sni_filter_lets_others_pass() -> None:
    @with_server("sni-filtered")
    async def test(row: Row, pki: Pki) -> None:
        await leaf_for(row, "unheard-of.invalid")
        await leaf_for(row, None)


@pytest.mark.parametrize("name", ["silent-after-hello", "large-hello-dropped"])
def test_says_nothing(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        assert await exchange(row, hello_bytes(unchecked(large=True), row.host), seconds=0.3) is None


def test_small_hello_passes() -> None:
    @with_server("large-hello-dropped")
    async def test(row: Row, pki: Pki) -> None:
        assert await handshake(row, trusting(pki), expect_page=False) == "TLSv1.3"


@pytest.mark.parametrize(
    ("name", "start"), [("plain-http", b"HTTP/1.1 400 "), ("plain-ssh", b"SSH-2.0-"), ("plain-smtp", b"220 ")]
)
def test_plaintext(name: str, start: bytes) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        answer = await exchange(row, hello_bytes(unchecked(), row.host))
        assert answer is not None
        assert answer.startswith(start)


def test_refuses_connections() -> None:
    @with_server("port-closed")
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)


def test_never_accepts() -> None:
    @with_server("firewalled")
    async def test(row: Row, pki: Pki) -> None:
        with trio.move_on_after(0.3) as scope:
            await connect(row.addresses[0], row.port)
        assert scope.cancelled_caught


def test_one_of_two_addresses_is_dead() -> None:
    @with_server("half-dead")
    async def test(row: Row, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            await connect(row.addresses[0], row.port)
        assert await handshake(row, trusting(pki), index=1) == "TLSv1.3"


def test_malformed_certificate() -> None:
    @with_server("malformed-certificate")
    async def test(row: Row, pki: Pki) -> None:
        flight = messages(await flight_of(row))
        assert [kind for kind, _ in flight] == [2, 11, 12, 14]
        with pytest.raises(ValueError):
            x509.load_der_x509_certificate(certificates(flight)[0])


def test_no_certificate() -> None:
    @with_server("no-certificate")
    async def test(row: Row, pki: Pki) -> None:
        flight = messages(await flight_of(row))
        assert flight[1] == (11, b"\0\0\0")


def test_malformed_handshake() -> None:
    @with_server("malformed-handshake")
    async def test(row: Row, pki: Pki) -> None:
        ((kind, body),) = messages(await flight_of(row))
        assert kind == 2
        assert body[34] > len(body)


def test_key_mismatch() -> None:
    @with_server("key-mismatch")
    async def test(row: Row, pki: Pki) -> None:
        stream = await trio.open_tcp_stream(row.addresses[0], row.port)
        tls = trio.SSLStream(stream, trusting(pki), server_hostname=row.host)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await tls.do_handshake()
        assert "signature" in str(caught.value.__cause__)
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize(
    ("name", "version", "suite"),
    [("tls11-only", 0x0302, 0xC009), ("tls10-only", 0x0301, 0xC013), ("ssl3-only", 0x0300, 0x0005),
     ("triple-des-only", 0x0303, 0x000A)],
)  # fmt: skip
def test_old_servers_answer_old_clients(name: str, version: int, suite: int) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        answer = await exchange(row, old_hello(version, suite), seconds=0.3)
        assert answer is not None
        flight = messages(answer)
        assert [kind for kind, _ in flight] == ([2, 11, 12, 14] if suite >= 0xC000 else [2, 11, 14])
        assert answer[1:3] == flight[0][1][:2] == version.to_bytes(2)
        assert flight[0][1][35:37] == suite.to_bytes(2)
        leaf = x509.load_der_x509_certificate(certificates(flight)[0])
        assert row.host in leaf.subject.rfc4514_string()


def test_tls10_answers_newer_hellos_with_its_own_version() -> None:
    @with_server("tls10-only")
    async def test(row: Row, pki: Pki) -> None:
        answer = await exchange(row, old_hello(0x0303, 0xC013), seconds=0.3)
        assert answer is not None
        assert messages(answer)[0][1][:2] == b"\x03\x01"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")
@pytest.mark.parametrize(("name", "option"), [("tls11-only", "-tls1_1"), ("tls10-only", "-tls1")])
def test_openssl_accepts_the_signature_of_old_servers(name: str, option: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        command = [
            "openssl",
            "s_client",
            option,
            "-cipher",
            "ALL:@SECLEVEL=0",
            "-connect",
            f"{row.addresses[0]}:{row.port}",
        ]
        done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False)
        # It has read ServerKeyExchange and gone on: what it gets then is our alert, not its own complaint.
        assert b"SSL alert number 40" in done.stderr
        assert b"BEGIN CERTIFICATE" in done.stdout


def script(row: Row, *steps: tuple[bytes, bytes]) -> Awaitable[trio.SocketStream]:
    """Sends each line and waits for the answer to start as it should."""

    async def run() -> trio.SocketStream:
        stream = await connect(row.addresses[0], row.port)
        for sent, start in steps:
            if sent:
                await stream.send_all(sent)
            answer = await stream.receive_some()
            assert answer.startswith(start), answer
        return stream

    return run()


STARTTLS = {
    "mx": [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"220 ")],
    "mailbox": [
        (b"", b"* OK "),
        (b"a CAPABILITY\r\n", b"* CAPABILITY IMAP4rev1 STARTTLS"),
        (b"b STARTTLS\r\n", b"b OK"),
    ],
    "database": [(bytes.fromhex("0000000804d2162f"), b"S")],
}


@pytest.mark.parametrize("name", STARTTLS)
def test_starttls(name: str) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        stream = await script(row, *STARTTLS[name])
        tls = trio.SSLStream(stream, trusting(pki), server_hostname=row.host)
        await tls.do_handshake()
        await trio.aclose_forcefully(tls)


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("no-starttls", [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"502 ")]),
        ("starttls-refused", [(b"", b"220 "), (b"EHLO here\r\n", b"250-"), (b"STARTTLS\r\n", b"454 "), (b"QUIT\r\n", b"221 ")]),
        ("plain-database", [(bytes.fromhex("0000000804d2162f"), b"N")]),
    ],
)  # fmt: skip
def test_starttls_is_not_to_be_had(name: str, steps: list[tuple[bytes, bytes]]) -> None:
    @with_server(name)
    async def test(row: Row, pki: Pki) -> None:
        await trio.aclose_forcefully(await script(row, *steps))


def test_starttls_is_advertised_only_where_it_is_offered() -> None:
    for name, advertised in (("mx", True), ("starttls-refused", True), ("no-starttls", False)):

        @with_server(name)
        async def test(row: Row, pki: Pki, advertised: bool = advertised) -> None:
            stream = await script(row, (b"", b"220 "))
            await stream.send_all(b"EHLO here\r\n")
            assert (b"STARTTLS" in await stream.receive_some()) is advertised
            await trio.aclose_forcefully(stream)


@pytest.mark.parametrize(
    "garbage", [b"", b"\x16", b"\x16\x03\x01\x00\x05\x01\x00\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n", b"\n" * 5000]
)
def test_no_garbage_brings_a_server_down(garbage: bytes) -> None:
    async def main() -> None:
        async def throw(row: Row) -> None:
            with trio.move_on_after(0.5):
                for address in row.addresses:
                    with contextlib.suppress(OSError, trio.BrokenResourceError):
                        async with await connect(address, row.port) as stream:
                            await stream.send_all(garbage)
                            await stream.send_eof()
                            while await stream.receive_some():
                                pass

        async with run_servers(CASES) as servers:
            async with trio.open_nursery() as nursery:
                for row in servers.rows:
                    nursery.start_soon(throw, row)

    trio.run(main)


def test_every_case_with_servers_is_tested_here() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [case.name for case in CASES if case.servers and f'"{case.name}"' not in source] == []
