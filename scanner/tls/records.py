"""Records out of a byte stream, and handshake messages out of records (RFC 8446 section 5.1): any fragmentation, any coalescing."""

from __future__ import annotations

from typing import Final

from scanner.tls.constants import CONTENT_TYPES
from scanner.tls.wire import DecodeError

HEADER_LENGTH: Final = 5
# TLS 1.2 allows 2^14 bytes and up to 2048 of expansion (RFC 5246 section 6.2.3), TLS 1.3 less.
MAX_RECORD: Final = 2**14 + 2048
# Clients stop at about 100 kB (OpenSSL's max_cert_list); twice and a half that leaves room for post-quantum chains.
MAX_MESSAGE: Final = 2**18
# All handshake bytes until the flight is complete. One message may fill half of it.
MAX_FLIGHT: Final = 2**19
# Fragments of a message may be as short as a byte; this many records is more than any real flight and bounds the work.
MAX_RECORDS: Final = 4096

_LENGTH_MASK: Final = 0xFFFF


class RecordBuffer:
    """Feed it bytes, take whole records. ``not_tls`` is set where the very first bytes are no TLS record."""

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
        """All bytes that no record has taken."""
        return self._buffer[self._position :]

    def next_untrusted(self) -> tuple[int, bytes, bytes] | None:
        """(content type, header, body) of the next whole record, or ``None``. Raises ``DecodeError``."""
        buffer, start = self._buffer, self._position
        available = len(buffer) - start
        if (available and buffer[start] not in CONTENT_TYPES) or (available > 1 and buffer[start + 1] != 3):
            if not self._records:
                self.not_tls = True
                return None
            raise DecodeError("record", f"header {buffer[start : start + HEADER_LENGTH].hex()} is not TLS", 0)
        if available < HEADER_LENGTH:
            return None
        header = buffer[start : start + HEADER_LENGTH]
        length = int.from_bytes(header, "big") & _LENGTH_MASK
        if length > MAX_RECORD:
            raise DecodeError("record", f"{length} bytes are more than a record may have", 3)
        stop = start + HEADER_LENGTH + length
        if len(buffer) < stop:
            return None
        # counted by what was taken, not by what has arrived, so that chunking does not matter
        self._records += 1
        if self._records > MAX_RECORDS:
            raise DecodeError("record", f"more than {MAX_RECORDS} records in one flight", 0)
        self._position = stop
        return header[0], header, buffer[start + HEADER_LENGTH : stop]


class HandshakeBuffer:
    """Feed it the content of handshake records, take whole messages with their headers."""

    __slots__ = ("_buffer", "_total")

    def __init__(self) -> None:
        self._buffer = b""
        self._total = 0

    @property
    def pending(self) -> bool:
        """Part of a message is waiting."""
        return bool(self._buffer)

    def feed(self, content: bytes) -> None:
        """Append the content of one handshake record. Raises ``DecodeError`` beyond ``MAX_FLIGHT``."""
        self._total += len(content)
        if self._total > MAX_FLIGHT:
            raise DecodeError("handshake", f"flight of more than {MAX_FLIGHT} bytes", 0)
        self._buffer = self._buffer + content if self._buffer else content

    def next_untrusted(self) -> bytes | None:
        """The next whole message, or ``None``. Raises ``DecodeError``."""
        buffer = self._buffer
        if len(buffer) < 4:
            return None
        length = int.from_bytes(buffer[1:4], "big")
        if length > MAX_MESSAGE:
            raise DecodeError("handshake", f"message of {length} bytes", 1)
        stop = 4 + length
        if len(buffer) < stop:
            return None
        self._buffer = buffer[stop:]
        return buffer[:stop]
