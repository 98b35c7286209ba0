"""Split a byte stream into records, and records into handshake messages (RFC 8446 section 5.1).

Both buffers return what is whole and keep the rest, so how the peer's bytes were cut into segments and records never changes
what is returned, nor the error. What is invalid is an error as soon as it is seen: a header that cannot be TLS is refused at
its first byte, since a peer that does not speak TLS may send no more.
"""

from __future__ import annotations

import struct
from typing import Final

from scanner.tls.constants import CONTENT_TYPES
from scanner.tls.wire import DecodeError

HEADER_LENGTH: Final = 5
# content type, major version, length
_HEADER: Final = struct.Struct(">BBxH").unpack_from
# What one record that is sent may carry (RFC 8446 section 5.1).
MAX_FRAGMENT: Final = 2**14
# TLS 1.2 allows 2^14 bytes and up to 2048 of expansion (RFC 5246 section 6.2.3), TLS 1.3 less.
MAX_RECORD: Final = 2**14 + 2048
# Clients stop at about 100 kB (OpenSSL's max_cert_list); twice and a half that leaves room for post-quantum chains.
MAX_MESSAGE: Final = 2**18
# All handshake bytes until the flight is complete. One message may fill half of it.
MAX_FLIGHT: Final = 2**19
# Fragments of a message may be as short as a byte; this many records is more than any real flight and bounds the work.
MAX_RECORDS: Final = 4096


class RecordBuffer:
    """Splits what the peer sent into records. ``not_tls`` becomes True where its very first bytes are not a TLS record."""

    __slots__ = ("_buffer", "_position", "_records", "not_tls")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._records = 0
        self.not_tls = False

    def feed(self, data: bytes) -> None:
        """Append bytes of the peer."""
        if self._position == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._position :] + data
        self._position = 0

    def unread(self) -> bytes:
        """Return the bytes that belong to no record yet."""
        return self._buffer[self._position :]

    def next_untrusted(self) -> tuple[int, bytes, bytes] | None:
        """Return (content type, header, body) of the next whole record, or None. Raises ``DecodeError``."""
        buffer, start = self._buffer, self._position
        content = start + HEADER_LENGTH
        if content > len(buffer):
            self._check_first_bytes_untrusted(buffer[start:])
            return None
        kind, major, length = _HEADER(buffer, start)
        if major != 3 or kind not in CONTENT_TYPES:
            self._check_first_bytes_untrusted(buffer[start:content])
            return None
        if length > MAX_RECORD:
            raise DecodeError("record", f"{length} bytes are more than a record may have", 3)
        stop = content + length
        if stop > len(buffer):
            return None
        # counted by what was taken, not by what has arrived, so that chunking does not matter
        self._records += 1
        if self._records > MAX_RECORDS:
            raise DecodeError("record", f"more than {MAX_RECORDS} records in one flight", 0)
        self._position = stop
        return kind, buffer[start:content], buffer[content:stop]

    def _check_first_bytes_untrusted(self, header: bytes) -> None:
        # only what is wrong is shown, of a header or of the part of one that has arrived
        if header[:1] and header[0] not in CONTENT_TYPES:
            wrong = header[:1]
        elif header[1:2] not in (b"", b"\x03"):
            wrong = header[:2]
        else:
            return
        if self._records:
            raise DecodeError("record", f"header that begins with {wrong.hex()} is not TLS", 0)
        self.not_tls = True


class HandshakeBuffer:
    """Splits the content of handshake records into messages."""

    __slots__ = ("_buffer", "_position", "_total")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._total = 0

    @property
    def pending(self) -> bool:
        """Whether part of a message is waiting."""
        return self._position < len(self._buffer)

    def feed_untrusted(self, content: bytes) -> None:
        """Append the content of one record. Raises ``DecodeError``."""
        self._total += len(content)
        if self._total > MAX_FLIGHT:
            raise DecodeError("handshake", f"flight of more than {MAX_FLIGHT} bytes", 0)
        self._buffer = self._buffer[self._position :] + content
        self._position = 0

    def next_untrusted(self) -> bytes | None:
        """Return the next whole message, header included, or None. Raises ``DecodeError``."""
        buffer, start = self._buffer, self._position
        body = start + 4
        if body > len(buffer):
            return None
        length = int.from_bytes(buffer[start + 1 : body], "big")
        if length > MAX_MESSAGE:
            raise DecodeError("handshake", f"message of {length} bytes", 1)
        stop = body + length
        if stop > len(buffer):
            return None
        self._position = stop
        return buffer[start:stop]
