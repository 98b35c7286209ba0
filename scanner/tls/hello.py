"""Building the ClientHello (RFC 8446 section 4.1.2; RFC 5246 section 7.4.1.2; RFC 6101 for SSL 3.0).

Only the random, the session id and the server name differ between the targets of a run, so the rest of a hello is encoded
once, as a ``HelloTemplate``.
"""

from __future__ import annotations

import struct
from typing import Final

from scanner.tls import constants as c
from scanner.tls.key_share import KeyMaterial
from scanner.tls.offers import SSL3, TLS12, TLS13, Offer
from scanner.tls.wire import codes, u16, vector8, vector16, vector24

# Some load balancers hang on a ClientHello of 256 to 511 bytes (RFC 7685 section 1): those are padded to 512.
_INTOLERANT_FROM: Final = 256
_INTOLERANT_BELOW: Final = 512
# The first record says TLS 1.0 where 1.3 or 1.2 is offered (RFC 8446 appendix D.4): old servers look only there.
_COMPATIBLE_RECORD_VERSION: Final = 0x0301
# type, length, length of the list, type of name and length of the name
_SERVER_NAME: Final = struct.Struct(">HHHBH").pack


def _extension(kind: int, body: bytes) -> bytes:
    return u16(kind) + vector16(body)


class HelloTemplate:
    """An offer, encoded up to what differs between targets. ``alpn`` has the protocols to offer by preference, or is empty."""

    __slots__ = (
        "_alpn", "_extensions", "_head", "_keys", "_tail", "answers", "modern", "names", "offer", "record_head", "record_version",
    )  # fmt: skip

    def __init__(
        self,
        offer: Offer,
        keys: KeyMaterial,
        alpn: tuple[bytes, ...] = (),
        *,
        retry_group: int | None = None,
        cookie: bytes | None = None,
    ) -> None:
        self.offer = offer
        self._keys = keys
        self._alpn = alpn
        # what may be in a ServerHello below TLS 1.3, and be chosen by ALPN
        self.answers = c.IN_OLD_SERVER_HELLO if offer.extensions else frozenset({c.EXT_RENEGOTIATION_INFO})
        self.names = frozenset([name.decode("utf-8", "backslashreplace") for name in alpn])
        legacy_version = min(max(offer.versions), TLS12)
        self.modern = TLS13 in offer.versions
        self.record_version = _COMPATIBLE_RECORD_VERSION if legacy_version > SSL3 else SSL3
        self.record_head = bytes([c.HANDSHAKE]) + u16(self.record_version)
        self._head = u16(legacy_version)
        # 0x00FF: TLS_EMPTY_RENEGOTIATION_INFO_SCSV (RFC 5746) for hellos that carry no extension
        suites = offer.suites if offer.extensions else (*offer.suites, 0x00FF)
        self._tail = codes(suites) + b"\x01\x00"
        shares = offer.key_shares if retry_group is None else (retry_group,)
        self._extensions = self._fixed_extensions(offer, keys, alpn, shares, cookie) if offer.extensions else None

    def retry(self, group: int | None, cookie: bytes | None) -> HelloTemplate:
        """Return the hello that answers a HelloRetryRequest: with a share of ``group`` alone if one was named, and the cookie."""
        return HelloTemplate(self.offer, self._keys, self._alpn, retry_group=group, cookie=cookie)

    def cookie_room(self, sni: str | None) -> int:
        """Return the length of the longest cookie that fits beside the extensions of this hello for ``sni``."""
        # the extensions of a ClientHello together have a length of 16 bits, and the cookie's extension a head of 6 bytes
        name = 0 if sni is None else 9 + len(sni)
        return 0xFFFF - len(self._extensions or b"") - name - 6

    @staticmethod
    def _fixed_extensions(
        offer: Offer, keys: KeyMaterial, alpn: tuple[bytes, ...], shares: tuple[int, ...], cookie: bytes | None
    ) -> bytes:
        modern = TLS13 in offer.versions
        parts = [
            _extension(c.EXT_EXTENDED_MASTER_SECRET, b""),
            _extension(c.EXT_RENEGOTIATION_INFO, b"\x00"),
        ]
        if offer.groups:
            parts.append(_extension(c.EXT_SUPPORTED_GROUPS, codes(offer.groups)))
            parts.append(_extension(c.EXT_EC_POINT_FORMATS, b"\x01\x00"))
        parts.append(_extension(c.EXT_SESSION_TICKET, b""))
        if alpn:
            parts.append(_extension(c.EXT_ALPN, vector16(b"".join(vector8(name) for name in alpn))))
        if offer.status_request:
            parts.append(_extension(c.EXT_STATUS_REQUEST, b"\x01\x00\x00\x00\x00"))
        if max(offer.versions) >= TLS12:
            parts.append(_extension(c.EXT_SIGNATURE_ALGORITHMS, codes(offer.schemes)))
        parts.append(_extension(c.EXT_SCT, b""))
        if modern:
            shared = b"".join(u16(group) + vector16(keys.share(group)) for group in shares)
            parts.append(_extension(c.EXT_KEY_SHARE, vector16(shared)))
            parts.append(_extension(c.EXT_PSK_KEY_EXCHANGE_MODES, b"\x01\x01"))
            listed = b"".join(u16(version) for version in offer.versions)
            parts.append(_extension(c.EXT_SUPPORTED_VERSIONS, vector8(listed)))
        if cookie is not None:
            parts.append(_extension(c.EXT_COOKIE, vector16(cookie)))
        return b"".join(parts)

    def message(self, random: bytes, session_id: bytes, sni: str | None) -> bytes:
        """Return the ClientHello message, header included. ``random`` has 32 bytes, ``session_id`` at most 32."""
        start = b"%b%b%c%b%b" % (self._head, random, len(session_id), session_id, self._tail)
        if self._extensions is None:
            return b"\x01" + vector24(start)
        name = padding = b""
        if sni is not None:
            size = len(sni)
            # server_name_list of one host_name (RFC 6066 section 3)
            name = _SERVER_NAME(c.EXT_SERVER_NAME, size + 5, size + 3, 0, size) + sni.encode("ascii")
        size = len(name) + len(self._extensions)
        length = 4 + len(start) + 2 + size
        if _INTOLERANT_FROM <= length < _INTOLERANT_BELOW:
            padding = _extension(c.EXT_PADDING, bytes(max(_INTOLERANT_BELOW - length - 4, 0)))
            size += len(padding)
        head = b"\x01" + (len(start) + 2 + size).to_bytes(3, "big")
        return b"".join((head, start, size.to_bytes(2, "big"), name, self._extensions, padding))
