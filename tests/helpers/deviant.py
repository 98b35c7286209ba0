"""Servers whose first flight is right in everything but one thing that a client may hold against it.

Each runs in a thread, answers one hello after the other, and notes whether the client accepted the flight: whether its Finished
came, or an alert.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from scanner.demo.client_hello import complete_hello_untrusted, parse_hello_untrusted
from scanner.tls.key_schedule import SUITES, HandshakeKeys
from scanner.tls.signatures import VERIFY_CONTEXT
from scanner.tls.wire import DecodeError, u16, vector8, vector16, vector24
from tests.helpers.pki import Issued
from tests.tls.peers import message, record

TLS12 = 0x0303
TLS13 = 0x0304
X25519 = 0x001D
SECP256R1 = 0x0017
RSA_PSS_SHA256 = 0x0804
RSA_SHA256 = 0x0401
RSA_SHA1 = 0x0201
RSA_SHA224 = 0x0301
RSA_MD5 = 0x0101
ECDSA_SHA256 = 0x0403
ECDSA_SHA1 = 0x0203
_HASHES: dict[int, type[hashes.MD5 | hashes.SHA1 | hashes.SHA224 | hashes.SHA256 | hashes.SHA384]] = {
    1: hashes.MD5,
    2: hashes.SHA1,
    3: hashes.SHA224,
    4: hashes.SHA256,
    5: hashes.SHA384,
}
# seconds that a server waits for a client
PATIENCE = 10.0


def extension(kind: int, body: bytes = b"") -> bytes:
    return u16(kind) + vector16(body)


def alpn(name: str) -> bytes:
    return extension(16, vector16(vector8(name.encode())))


RENEGOTIATION_INFO = extension(0xFF01, b"\0")


def warning(description: int) -> bytes:
    """Return a record with an alert of level 1."""
    return record(21, bytes((1, description)))


@dataclass(frozen=True)
class Deviant:
    """How a server's flight differs. ``hello`` and ``encrypted`` are extensions of its ServerHello and EncryptedExtensions,
    ``entry`` those of its leaf in TLS 1.3; ``before`` are records that come before the flight, ``within`` such that come before the
    Certificate. ``share`` is sent instead of a public key, ``exchange`` False leaves ServerKeyExchange out, ``exchanges`` sends
    one where the suite has none. ``authorities`` is sent in a CertificateRequest, ``then`` is what becomes of the client's flight:
    "refuse" (an alert, access_denied), "close", "reset" or "silence". The first ``cuts`` connections are closed at the hello.
    """

    id: str
    version: int = TLS12
    suite: int | None = None
    hello: bytes = RENEGOTIATION_INFO
    encrypted: bytes = b""
    entry: bytes = b""
    before: bytes = b""
    within: bytes = b""
    scheme: int | None = None
    share: bytes | None = None
    exchange: bool = True
    exchanges: bool = False
    further: tuple[bytes, ...] = ()
    authorities: tuple[bytes, ...] = ()
    then: str = "refuse"
    cuts: int = 0
    kind: str = "rsa:2048"
    session_id: bytes = b""

    @property
    def chosen(self) -> int:
        """The suite."""
        if self.suite is not None:
            return self.suite
        if self.version == TLS13:
            return 0x1301
        return 0xC02F if self.kind.startswith("rsa") else 0xC02B


class DeviantServer:
    """A running server. ``seen`` is what became of each connection: "finished", "alert N" or how it ended."""

    def __init__(self, deviant: Deviant, address: str, leaf: Issued, chain: Sequence[bytes]) -> None:
        self.deviant = deviant
        self.leaf = leaf
        self.chain = (leaf.der, *chain, *deviant.further)
        self.seen: list[str] = []
        self.hellos = 0
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self._serving: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until all connections have ended."""
        for thread in list(self._serving):
            thread.join(PATIENCE)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._serving.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE)
            try:
                result = self._answer(connection)
            except (OSError, DecodeError) as error:
                result = f"{type(error).__name__}"
            self.seen.append(result)

    def _answer(self, connection: socket.socket) -> str:
        self.hellos += 1
        received = b""
        while (hello := complete_hello_untrusted(received)) is None:
            data = connection.recv(65536)
            if not data:
                return "closed before a hello"
            received += data
        if self.hellos <= self.deviant.cuts:
            return "cut"
        if self.deviant.version == TLS13:
            return _modern(self, connection, hello)
        return _older(self, connection, hello)


def _signature(server: DeviantServer, scheme: int, content: bytes) -> bytes:
    key = server.leaf.private
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(content, ec.ECDSA(_HASHES[scheme >> 8]()))
    assert isinstance(key, rsa.RSAPrivateKey)
    if scheme >> 8 == 8:
        return key.sign(content, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    return key.sign(content, padding.PKCS1v15(), _HASHES[scheme >> 8]())


def _older(server: DeviantServer, connection: socket.socket, message_of_client: bytes) -> str:
    deviant, hello = server.deviant, parse_hello_untrusted(message_of_client, len(message_of_client))
    random = os.urandom(32)
    own = x25519.X25519PrivateKey.generate()
    group, share = X25519, own.public_key().public_bytes_raw()
    if X25519 not in hello.groups:
        curve = ec.generate_private_key(ec.SECP256R1())
        group, share = SECP256R1, curve.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    params = b"\x03" + u16(group) + vector8(share if deviant.share is None else deviant.share)
    scheme = deviant.scheme
    if scheme is None:
        scheme = RSA_SHA256 if deviant.kind.startswith("rsa") else ECDSA_SHA256
    signed = _signature(server, scheme, hello.random + random + params)
    start = u16(TLS12) + random + vector8(deviant.session_id) + u16(deviant.chosen) + b"\0"
    messages = [message(2, start + (vector16(deviant.hello) if deviant.hello else b""))]
    certificates = message(11, vector24(b"".join(vector24(each) for each in server.chain)))
    exchange = message(12, params + u16(scheme) + vector16(signed))
    wants_exchange = deviant.exchange if deviant.chosen >= 0xC000 else deviant.exchanges
    if wants_exchange:
        messages.append(exchange)
    if deviant.authorities:
        names = b"".join(vector16(each) for each in deviant.authorities)
        messages.append(message(13, b"\x01\x40" + vector16(u16(RSA_SHA256) + u16(ECDSA_SHA256)) + vector16(names)))
    messages.append(message(14, b""))
    sent = deviant.before + _records(messages[0]) + deviant.within + _records(certificates)
    connection.sendall(sent + b"".join(map(_records, messages[1:])))
    result = _after_flight(connection, deviant)
    if deviant.then == "silence" and result == "finished":
        with suppress(OSError):
            while connection.recv(65536):
                pass
    elif deviant.then == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    elif deviant.then == "refuse" and result == "finished":
        connection.sendall(record(21, bytes((2, 49))))
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
    return result


def _records(content: bytes) -> bytes:
    return b"".join(record(22, content[at : at + 16384]) for at in range(0, len(content), 16384))


def _after_flight(connection: socket.socket, deviant: Deviant) -> str:
    """Return "finished" if the client's next flight comes to its ChangeCipherSpec, or the alert."""
    received = b""
    while True:
        data = connection.recv(65536)
        if not data:
            return "closed"
        received += data
        at = 0
        while at + 5 <= len(received):
            size = int.from_bytes(received[at + 3 : at + 5], "big")
            if at + 5 + size > len(received):
                break
            if received[at] == 21:
                return f"alert {received[at + 6]}"
            if received[at] == 20:
                return "finished"
            at += 5 + size


def _share_of(hello: bytes) -> bytes | None:
    """Return the X25519 share in a ClientHello, whose extensions come after session id, suites and compression."""
    at = 4 + 34
    at += 1 + hello[at]
    at += 2 + int.from_bytes(hello[at : at + 2], "big")
    at += 1 + hello[at] + 2
    while at < len(hello):
        kind, size = int.from_bytes(hello[at : at + 2], "big"), int.from_bytes(hello[at + 2 : at + 4], "big")
        body, at = hello[at + 4 : at + 4 + size], at + 4 + size
        if kind == 51:
            place = 2
            while place < len(body):
                group, length = (
                    int.from_bytes(body[place : place + 2], "big"),
                    int.from_bytes(body[place + 2 : place + 4], "big"),
                )
                if group == X25519:
                    return body[place + 4 : place + 4 + length]
                place += 4 + length
    return None


def _modern(server: DeviantServer, connection: socket.socket, hello: bytes) -> str:
    deviant = server.deviant
    session = hello[39 : 39 + hello[38]]
    theirs = _share_of(hello)
    if theirs is None:
        return "no X25519 share"
    own = x25519.X25519PrivateKey.generate()
    share = own.public_key().public_bytes_raw() if deviant.share is None else deviant.share
    extensions = extension(43, u16(TLS13)) + extension(51, u16(X25519) + vector16(share))
    extensions += deviant.hello if deviant.hello is not RENEGOTIATION_INFO else b""
    start = u16(TLS12) + os.urandom(32) + vector8(session) + u16(deviant.chosen) + b"\0"
    chosen = message(2, start + vector16(extensions))
    digest = SUITES[deviant.chosen].hash
    transcript = hello + chosen
    shared = own.exchange(x25519.X25519PublicKey.from_public_bytes(theirs)) if deviant.share is None else bytes(32)
    keys = HandshakeKeys(deviant.chosen, shared, digest(transcript).digest())
    inner = message(8, vector16(deviant.encrypted))
    if deviant.authorities:
        names = vector16(b"".join(vector16(each) for each in deviant.authorities))
        wanted = extension(13, vector16(u16(RSA_PSS_SHA256) + u16(ECDSA_SHA256))) + extension(47, names)
        inner += message(13, b"\0" + vector16(wanted))
    entries = b"".join(
        vector24(each) + vector16(b"" if place else deviant.entry) for place, each in enumerate(server.chain)
    )
    inner += message(11, b"\0" + vector24(entries))
    scheme = deviant.scheme
    if scheme is None:
        scheme = RSA_PSS_SHA256 if deviant.kind.startswith("rsa") else ECDSA_SHA256
    signed = _signature(server, scheme, VERIFY_CONTEXT + digest(transcript + inner).digest())
    inner += message(15, u16(scheme) + vector16(signed))
    inner += message(20, keys.server_finished(digest(transcript + inner).digest()))
    ours, client = keys.server_protection(), keys.client_protection()
    connection.sendall(
        deviant.before
        + record(22, chosen)
        + b"".join(ours.encrypt(22, inner[at : at + 16000]) for at in range(0, len(inner), 16000))
    )
    received = b""
    while True:
        data = connection.recv(65536)
        if not data:
            return "closed"
        received += data
        while len(received) >= 5 and len(received) >= 5 + (size := int.from_bytes(received[3:5], "big")):
            head, body, received = received[:5], received[5 : 5 + size], received[5 + size :]
            if head[0] == 21:
                return f"alert {body[1]}"
            if head[0] == 23:
                kind, content = client.decrypt_untrusted(head, body)
                return "finished" if kind == 22 else f"alert {content[1]}"


@contextmanager
def serving(deviant: Deviant, address: str, leaf: Issued, chain: Sequence[bytes] = ()) -> Iterator[DeviantServer]:
    """Run a server until the end of the block."""
    server = DeviantServer(deviant, address, leaf, chain)
    try:
        yield server
    finally:
        server.close()
