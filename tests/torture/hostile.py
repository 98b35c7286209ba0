"""Hostile servers, one port for each kind of row: ``python -m tests.torture.hostile --help``.

Those for TLS 1.3 complete the key exchange, so what they send is encrypted, and signed with the leaf's key. Every
connection ends after ``PATIENCE`` seconds, so that clients without timeouts end too.
"""

from __future__ import annotations

import argparse
import hashlib
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import trio
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from scanner.tls import constants as c
from scanner.tls import offers
from scanner.tls.key_schedule import HandshakeKeys, RecordProtection
from scanner.tls.signatures import VERIFY_CONTEXT
from scanner.tls.wire import u16, vector8, vector16, vector24
from tests.fuzz.fuzz_handshake import make_case
from tests.tls.peers import message, record
from tests.torture.rows import HOSTILE_URL_PORT, KINDS

PATIENCE: Final = 60.0
SUITE: Final = 0x1301
BACKLOG: Final = 1024
_ECDSA_P256: Final = 0x0403

Server = Callable[[trio.SocketStream, Random], Awaitable[None]]


class Hello:
    """The parts of a ClientHello that a server needs: the message, the session id and the X25519 share."""

    def __init__(self, handshake: bytes) -> None:
        self.message = handshake
        at = 4 + 2 + 32
        self.session_id = handshake[at + 1 : at + 1 + handshake[at]]
        at += 1 + len(self.session_id)
        at += 2 + int.from_bytes(handshake[at : at + 2], "big")
        at += 1 + handshake[at]
        end = at + 2 + int.from_bytes(handshake[at : at + 2], "big")
        at += 2
        self.share = b""
        while at < end:
            kind, length = (
                int.from_bytes(handshake[at : at + 2], "big"),
                int.from_bytes(handshake[at + 2 : at + 4], "big"),
            )
            body = handshake[at + 4 : at + 4 + length]
            at += 4 + length
            if kind == c.EXT_KEY_SHARE:
                self._read_shares(body)

    def _read_shares(self, body: bytes) -> None:
        at = 2
        while at < len(body):
            group, length = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
            if group == offers.X25519:
                self.share = body[at + 4 : at + 4 + length]
            at += 4 + length


async def read_hello(stream: trio.SocketStream) -> Hello | None:
    """Return the client's first message, or ``None`` if it closes before."""
    received = b""
    while len(received) < 5 or len(received) < 5 + int.from_bytes(received[3:5], "big"):
        piece = await stream.receive_some(65536)
        if not piece:
            return None
        received += piece
    return Hello(received[5 : 5 + int.from_bytes(received[3:5], "big")])


def _extension(kind: int, body: bytes) -> bytes:
    return u16(kind) + vector16(body)


def server_hello(session_id: bytes, extensions: bytes, random: bytes) -> bytes:
    """Return a ServerHello of TLS 1.3."""
    return message(
        c.SERVER_HELLO, u16(0x0303) + random + vector8(session_id) + u16(SUITE) + b"\0" + vector16(extensions)
    )


class Credential:
    """A certificate chain (DER) and the leaf's key."""

    def __init__(self, chain: Path, key: Path) -> None:
        pems = chain.read_text(encoding="ascii").split("-----END CERTIFICATE-----")
        self.chain = [
            ssl.PEM_cert_to_DER_cert(pem.strip() + "\n-----END CERTIFICATE-----\n") for pem in pems if pem.strip()
        ]
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self.key = loaded


def begin_flight(hello: Hello) -> tuple[bytes, RecordProtection, HandshakeKeys, bytes]:
    """Return the records of the ServerHello, the protection of later records, the keys, and the transcript so far."""
    own = x25519.X25519PrivateKey.generate()
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(hello.share))
    extensions = _extension(c.EXT_SUPPORTED_VERSIONS, u16(offers.TLS13))
    extensions += _extension(c.EXT_KEY_SHARE, u16(offers.X25519) + vector16(own.public_key().public_bytes_raw()))
    answer = server_hello(hello.session_id, extensions, b"\x07" * 32)
    transcript = hello.message + answer
    keys = HandshakeKeys(SUITE, shared, hashlib.sha256(transcript).digest())
    sent = record(c.HANDSHAKE, answer) + record(c.CHANGE_CIPHER_SPEC, b"\x01")
    return sent, keys.server_protection(), keys, transcript


def complete_flight(hello: Hello, credential: Credential, leaf_extensions: bytes) -> bytes:
    """Return a whole valid flight with ``leaf_extensions`` in the leaf's certificate entry."""
    sent, protection, keys, transcript = begin_flight(hello)
    entries = vector24(credential.chain[0]) + vector16(leaf_extensions)
    entries += b"".join(vector24(each) + vector16(b"") for each in credential.chain[1:])
    inner = message(c.ENCRYPTED_EXTENSIONS, vector16(b"")) + message(c.CERTIFICATE, vector8(b"") + vector24(entries))
    digest = hashlib.sha256(transcript + inner).digest()
    signature = credential.key.sign(VERIFY_CONTEXT + digest, ec.ECDSA(hashes.SHA256()))
    inner += message(c.CERTIFICATE_VERIFY, u16(_ECDSA_P256) + vector16(signature))
    inner += message(c.FINISHED, keys.server_finished(hashlib.sha256(transcript + inner).digest()))
    for at in range(0, len(inner), 16000):
        sent += protection.encrypt(c.HANDSHAKE, inner[at : at + 16000])
    return sent


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + content


def garbage_staples(random: Random) -> list[bytes]:
    """Return malformed OCSP responses."""
    basic = _der(0x06, bytes.fromhex("2b0601050507300101"))
    return [
        random.randbytes(random.randrange(1, 3000)),
        b"",
        _der(0x30, _der(0x0A, b"\x01" * 3000)),  # a status of 3 kB
        _der(0x30, _der(0x0A, b"")),
        _der(0x30, _der(0x0A, b"\0") + _der(0xA0, _der(0x30, basic))),  # ResponseBytes with one child
        _der(0x30, _der(0x0A, b"\0") + _der(0xA0, _der(0x30, basic + _der(0x04, _der(0x30, b""))))),
        _der(0x30, _der(0x0A, b"\0") + _der(0xA0, _der(0x30, basic + _der(0x04, random.randbytes(300))))),
        b"\x30\x84\xff\xff\xff\xff" + bytes(100),
        b"\x30\x80" * 2000,
    ]


_LARGE: Final = 6_000_000


def garbage_issuers(random: Random) -> list[bytes]:
    """Return malformed certificates and PKCS #7 bundles."""
    signed_data = _der(0x06, bytes.fromhex("2a864886f70d010702"))
    empty = _der(0x31, b"") + _der(0x30, signed_data)
    return [
        random.randbytes(random.randrange(1, 5000)),
        _der(
            0x30,
            signed_data
            + _der(0xA0, _der(0x30, _der(0x02, b"\x7f" * 3000) + empty + _der(0xA0, b"") + _der(0x31, b""))),
        ),
        _der(0x30, signed_data + _der(0xA0, _der(0x30, _der(0x02, b"") + empty))),
        _der(0x30, _der(0x30, _der(0xA0, _der(0x02, b"\x01" * 2000)))),
        b"-----BEGIN CERTIFICATE-----\nMIIB\n" * 3000,
        b"\x30\x80" * 5000,
        bytes(_LARGE),
    ]


def garbage_lists(random: Random) -> list[bytes]:
    """Return malformed CRLs."""
    algorithm = _der(0x30, _der(0x06, bytes.fromhex("2a8648ce3d040302")))
    moment = _der(0x17, b"261101000000Z")
    return [
        random.randbytes(random.randrange(1, 5000)),
        _der(
            0x30,
            _der(0x30, _der(0x02, b"\x7f" * 3000) + algorithm + _der(0x30, b"") + moment)
            + algorithm
            + _der(0x03, b"\0"),
        ),
        _der(0x30, _der(0x30, _der(0x02, b"\x01") + algorithm + _der(0x30, b"") + _der(0x17, b"9")) + algorithm),
        b"\x30\x83\xff\xff\xff" + bytes(_LARGE),
        b"\x30\x80" * 5000,
    ]


async def serve_urls(stream: trio.SocketStream, random: Random) -> None:
    """Answer an HTTP request with malformed data of the kind that its path names, or with an endless body."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = await stream.receive_some(65536)
        if not piece:
            return
        received += piece
    path = received.split(b" ")[1]
    if random.random() < 0.15:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"1\r\n0\r\n" * 1000)
    kinds = {b"/issuer": garbage_issuers, b"/crl": garbage_lists}
    body = random.choice(kinds.get(path, garbage_staples)(random))
    await stream.send_all(
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    )


def make_servers(credential: Credential) -> dict[str, Server]:
    """Return the handler for each kind of row."""

    async def drip(stream: trio.SocketStream, random: Random) -> None:
        await stream.receive_some(65536)
        for byte in record(c.HANDSHAKE, message(c.SERVER_HELLO, random.randbytes(16000))):
            await stream.send_all(bytes([byte]))
            await trio.sleep(0.1)

    async def endless_records(stream: trio.SocketStream, random: Random) -> None:
        await stream.receive_some(65536)
        empty = random.choice(
            (record(c.CHANGE_CIPHER_SPEC, b"\x01"), record(c.ALERT, b"\x01\x5a"), record(c.HANDSHAKE, b""))
        )
        while True:
            await stream.send_all(empty * 1000)

    async def endless_greeting(stream: trio.SocketStream, random: Random) -> None:
        line = random.choice((b"220-and another line of the greeting\r\n", b"220 no end of line "))
        while True:
            await stream.send_all(line * 1000)

    async def huge_flight(stream: trio.SocketStream, random: Random) -> None:
        hello = await read_hello(stream)
        if hello is None or not hello.share:
            return
        sent, protection, _, _ = begin_flight(hello)
        size = random.choice((200_000, 1_000_000, 0xFFFFFF))
        body = bytes([c.CERTIFICATE]) + size.to_bytes(3, "big") + b"\0" + (size - 4).to_bytes(3, "big")
        await stream.send_all(sent + protection.encrypt(c.HANDSHAKE, message(c.ENCRYPTED_EXTENSIONS, vector16(b""))))
        await stream.send_all(protection.encrypt(c.HANDSHAKE, body))
        for _ in range(size // 16000 + 1):
            await stream.send_all(protection.encrypt(c.HANDSHAKE, random.randbytes(16000)))

    async def garbage(stream: trio.SocketStream, random: Random) -> None:
        await stream.receive_some(65536)
        await stream.send_all(random.randbytes(random.choice((1, 5, 300, 20_000))))

    async def changed_flight(stream: trio.SocketStream, random: Random) -> None:
        await stream.receive_some(65536)
        case = make_case(f"torture-{random.random()}")
        at = 0
        for cut in (*case.cuts, len(case.data)):
            if cut > at:
                await stream.send_all(case.data[at:cut])
            at = max(at, cut)

    async def huge_cookie(stream: trio.SocketStream, random: Random) -> None:
        hello = await read_hello(stream)
        if hello is None:
            return
        extensions = _extension(c.EXT_SUPPORTED_VERSIONS, u16(offers.TLS13))
        extensions += _extension(c.EXT_COOKIE, vector16(random.randbytes(65_000)))
        retry = server_hello(hello.session_id, extensions, c.HELLO_RETRY_RANDOM)
        for at in range(0, len(retry), 16000):
            await stream.send_all(record(c.HANDSHAKE, retry[at : at + 16000]))
        await stream.receive_some(65536)

    async def garbage_staple(stream: trio.SocketStream, random: Random) -> None:
        hello = await read_hello(stream)
        if hello is None or not hello.share:
            return
        staple = random.choice(garbage_staples(random))
        extension = _extension(c.EXT_STATUS_REQUEST, b"\x01" + vector24(staple))
        await stream.send_all(complete_flight(hello, credential, extension))
        while await stream.receive_some(65536):
            pass

    async def garbage_scts(stream: trio.SocketStream, random: Random) -> None:
        hello = await read_hello(stream)
        if hello is None or not hello.share:
            return
        # The list itself is well-formed (RFC 6962): otherwise the handshake fails, as it does with BoringSSL.
        lists = (
            vector16(b"".join(vector16(random.randbytes(47)) for _ in range(500))),
            vector16(vector16(b"\0" + random.randbytes(46) + b"\xff\xff")),
        )
        await stream.send_all(complete_flight(hello, credential, _extension(c.EXT_SCT, random.choice(lists))))
        while await stream.receive_some(65536):
            pass

    async def endless_encrypted(stream: trio.SocketStream, random: Random) -> None:
        hello = await read_hello(stream)
        if hello is None or not hello.share:
            return
        sent, protection, _, _ = begin_flight(hello)
        await stream.send_all(sent)
        content = random.choice((b"", b"\0", message(c.ENCRYPTED_EXTENSIONS, vector16(b""))))
        while True:
            await stream.send_all(b"".join(protection.encrypt(c.HANDSHAKE, content) for _ in range(100)))

    return {
        "drip": drip,
        "endless-records": endless_records,
        "endless-greeting": endless_greeting,
        "huge-flight": huge_flight,
        "garbage": garbage,
        "changed-flight": changed_flight,
        "huge-cookie": huge_cookie,
        "garbage-staple": garbage_staple,
        "garbage-scts": garbage_scts,
        "endless-encrypted": endless_encrypted,
    }


async def _serve_one(server: Server, random: Random, stream: trio.SocketStream) -> None:
    try:
        async with stream:
            with trio.move_on_after(PATIENCE):
                await server(stream, Random(random.random()))
    except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        pass  # the client gave up


async def serve(credential: Credential, seed: int) -> None:
    """Run all servers until cancelled."""
    random = Random(seed)
    async with trio.open_nursery() as nursery:
        for name, server in make_servers(credential).items():
            handler = partial(_serve_one, server, random)
            nursery.start_soon(partial(trio.serve_tcp, handler, KINDS[name].port, host="0.0.0.0", backlog=BACKLOG))
        urls = partial(_serve_one, serve_urls, random)
        nursery.start_soon(partial(trio.serve_tcp, urls, HOSTILE_URL_PORT, host="0.0.0.0", backlog=BACKLOG))


def main() -> None:
    """Run the servers with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chain", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    trio.run(serve, Credential(options.chain, options.key), options.seed)


if __name__ == "__main__":
    main()
