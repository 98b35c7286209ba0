"""Parser of the parts of a ClientHello that the scripted servers depend on (RFC 8446 section 4.1.2).

It is independent of the scanner's own TLS code, so that a mistake there is not hidden by the same mistake here.
"""

from __future__ import annotations

import struct
from typing import Final

from msgspec import Struct, field

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
SERVER_NAME: Final = 0
STATUS_REQUEST: Final = 5
SUPPORTED_GROUPS: Final = 10
SIGNATURE_ALGORITHMS: Final = 13
KEY_SHARE: Final = 51
ALPN: Final = 16
SUPPORTED_VERSIONS: Final = 43
RENEGOTIATION_INFO: Final = 0xFF01
EMPTY_RENEGOTIATION_INFO_SCSV: Final = 0x00FF

# Browsers send about 1.8 KB with a post-quantum share; no client sends nearly this much.
MAX_HELLO: Final = 16384


class HelloError(Exception):
    """The received bytes are not a valid ClientHello."""


class ClientHello(Struct, frozen=True):
    """What a client offers; ``size`` is in bytes on the wire, including record headers."""

    legacy_version: int
    random: bytes
    suites: tuple[int, ...]
    size: int
    server_name: str | None = None
    supported_versions: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    schemes: tuple[int, ...] = ()
    key_shares: tuple[int, ...] = ()
    extensions: frozenset[int] = field(default_factory=frozenset)

    @property
    def offers_tls13(self) -> bool:
        """Whether supported_versions contains TLS 1.3."""
        return 0x0304 in self.supported_versions

    @property
    def secure_renegotiation(self) -> bool:
        """Whether the client supports RFC 5746, so that the server has to confirm it."""
        return RENEGOTIATION_INFO in self.extensions or EMPTY_RENEGOTIATION_INFO_SCSV in self.suites

    def allows(self, version: int) -> bool:
        """Return whether a server may choose ``version``: it is listed, or there is no list and it is not too high."""
        if self.supported_versions:
            return version in self.supported_versions
        return version <= self.legacy_version


class _HelloReader:
    """A cursor over bytes; raises ``HelloError`` instead of reading past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take_untrusted(self, count: int) -> bytes:
        chunk = self._data[self._at : self._at + count]
        if len(chunk) != count:
            raise HelloError("a length points past the end")
        self._at += count
        return chunk

    def number_untrusted(self, octets: int) -> int:
        return int.from_bytes(self.take_untrusted(octets))

    def block_untrusted(self, length_octets: int) -> bytes:
        return self.take_untrusted(self.number_untrusted(length_octets))

    @property
    def more(self) -> bool:
        return self._at < len(self._data)


def complete_hello_untrusted(received: bytes) -> bytes | None:
    """Return the ClientHello message joined from its records, ``None`` if it is incomplete. Raises ``HelloError``."""
    message = b""
    at = 0
    while len(received) - at >= 5:
        kind, _, length = struct.unpack_from(">BHH", received, at)
        if kind != HANDSHAKE:
            raise HelloError("not a handshake record")
        if len(received) - at - 5 < length:
            break
        message += received[at + 5 : at + 5 + length]
        at += 5 + length
        if len(message) >= 4:
            if message[0] != CLIENT_HELLO:
                raise HelloError("not a ClientHello")
            wanted = 4 + int.from_bytes(message[1:4])
            if len(message) >= wanted:
                return message[:wanted]
    if len(received) > MAX_HELLO or (received and received[0] != HANDSHAKE):
        raise HelloError("not a ClientHello")
    return None


def parse_hello_untrusted(message: bytes, size: int) -> ClientHello:
    """Parse a whole ClientHello message, including its four-byte header. Raises ``HelloError``."""
    body = _HelloReader(message[4:])
    version = body.number_untrusted(2)
    random = body.take_untrusted(32)
    body.block_untrusted(1)
    suites = _numbers_untrusted(body.block_untrusted(2))
    body.block_untrusted(1)
    extensions: dict[int, bytes] = {}
    if body.more:
        inner = _HelloReader(body.block_untrusted(2))
        while inner.more:
            kind = inner.number_untrusted(2)
            extensions[kind] = inner.block_untrusted(2)

    def numbers(kind: int, length_octets: int = 2) -> tuple[int, ...]:
        if kind not in extensions:
            return ()
        return _numbers_untrusted(_HelloReader(extensions[kind]).block_untrusted(length_octets))

    return ClientHello(
        legacy_version=version,
        random=random,
        suites=suites,
        size=size,
        server_name=_server_name_untrusted(extensions.get(SERVER_NAME)),
        supported_versions=numbers(SUPPORTED_VERSIONS, 1),
        groups=numbers(SUPPORTED_GROUPS),
        schemes=numbers(SIGNATURE_ALGORITHMS),
        key_shares=_shared_untrusted(extensions.get(KEY_SHARE)),
        extensions=frozenset(extensions),
    )


def _numbers_untrusted(data: bytes) -> tuple[int, ...]:
    if len(data) % 2:
        raise HelloError("half a code point")
    return struct.unpack(f">{len(data) // 2}H", data)


def _server_name_untrusted(extension: bytes | None) -> str | None:
    if not extension:
        return None
    names = _HelloReader(_HelloReader(extension).block_untrusted(2))
    while names.more:
        kind = names.number_untrusted(1)
        value = names.block_untrusted(2)
        if kind == 0:
            return value.decode("ascii", "replace").lower()
    return None


def _shared_untrusted(extension: bytes | None) -> tuple[int, ...]:
    """Return the groups of a key_share extension (RFC 8446 section 4.2.8), one for each share."""
    groups = []
    if extension is not None:
        shares = _HelloReader(_HelloReader(extension).block_untrusted(2))
        while shares.more:
            groups.append(shares.number_untrusted(2))
            shares.block_untrusted(2)
    return tuple(groups)
