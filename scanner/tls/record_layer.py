"""Records out of a byte stream, and handshake messages out of records (RFC 8446 section 5.1): any fragmentation, any coalescing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
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

    def ready(self) -> list[tuple[int, bytes, bytes]]:
        """What ``take_untrusted`` would give up to the first record that is not whole or not in order.

        All at once, since a flight of six records is read so once for each target.
        """
        buffer, start = self._buffer, self._position
        end = len(buffer)
        found: list[tuple[int, bytes, bytes]] = []
        while (content := start + HEADER_LENGTH) <= end and self._records + len(found) < MAX_RECORDS:
            kind, major, length = _HEADER(buffer, start)
            stop = content + length
            if stop > end or major != 3 or kind not in CONTENT_TYPES or length > MAX_RECORD:
                break
            found.append((kind, buffer[start:content], buffer[content:stop]))
            start = stop
        self._records += len(found)
        self._position = start
        return found

    @property
    def exhausted(self) -> bool:
        """Nothing is left, not even part of a record."""
        return self._position == len(self._buffer)

    def unread(self) -> bytes:
        """All bytes that no record has taken."""
        return self._buffer[self._position :]

    def take_untrusted(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(content type, header, body) of each whole record in turn. Raises ``DecodeError``."""
        buffer, start = self._buffer, self._position
        end = len(buffer)
        while start < end:
            if buffer[start] not in CONTENT_TYPES or (start + 1 < end and buffer[start + 1] != 3):
                if not self._records:
                    self.not_tls = True
                    return
                # only what is wrong is shown: how much more has arrived must not matter
                wrong = buffer[start : start + (1 if buffer[start] not in CONTENT_TYPES else 2)]
                raise DecodeError("record", f"header that begins with {wrong.hex()} is not TLS", 0)
            content = start + HEADER_LENGTH
            if content > end:
                return
            header = buffer[start:content]
            length = header[3] << 8 | header[4]
            if length > MAX_RECORD:
                raise DecodeError("record", f"{length} bytes are more than a record may have", 3)
            if content + length > end:
                return
            # counted by what was taken, not by what has arrived, so that chunking does not matter
            self._records += 1
            if self._records > MAX_RECORDS:
                raise DecodeError("record", f"more than {MAX_RECORDS} records in one flight", 0)
            self._position = start = content + length
            yield header[0], header, buffer[content:start]


class HandshakeBuffer:
    """Feed it the content of handshake records, take whole messages with their headers."""

    __slots__ = ("_buffer", "_position", "_total")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._total = 0

    @property
    def pending(self) -> bool:
        """Part of a message is waiting."""
        return self._position < len(self._buffer)

    def only(self, content: bytes) -> bytes | None:
        """``content``, where it is just one message and none is waiting, as most servers send them; else ``None``, untouched."""
        size = len(content)
        if self._position < len(self._buffer) or int.from_bytes(content[1:4], "big") != size - 4:
            return None
        if self._total + size > MAX_FLIGHT:
            return None
        self._total += size
        return content

    def take_untrusted(self, content: bytes) -> Iterator[bytes]:
        """Append the content of one handshake record, and give each message that is whole now. Raises ``DecodeError``."""
        self._total += len(content)
        if self._total > MAX_FLIGHT:
            raise DecodeError("handshake", f"flight of more than {MAX_FLIGHT} bytes", 0)
        buffer = self._buffer[self._position :] + content if self.pending else content
        self._buffer = buffer
        self._position = start = 0
        end = len(buffer)
        while end - start >= 4:
            length = buffer[start + 1] << 16 | buffer[start + 2] << 8 | buffer[start + 3]
            if length > MAX_MESSAGE:
                raise DecodeError("handshake", f"message of {length} bytes", 1)
            stop = start + 4 + length
            if stop > end:
                return
            message = buffer[start:stop]
            self._position = start = stop
            yield message
