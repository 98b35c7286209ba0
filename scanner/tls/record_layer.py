"""Split a byte stream into records (RFC 8446 section 5.1).

Whole records are yielded and the rest is kept, so how the peer's bytes were cut into segments never changes what is yielded,
nor the error. What is invalid is an error as soon as it is seen: a header that cannot be TLS is refused at its first byte,
since a peer that does not speak TLS may send no more.
"""

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
# Fragments of a message may be as short as a byte; this many records is more than any real flight and bounds the work.
MAX_RECORDS: Final = 4096


class RecordBuffer:
    """Splits what the peer sent into records. ``not_tls``: the first bytes are no record; ``unread`` belongs to none yet."""

    __slots__ = ("_records", "not_tls", "unread")

    def __init__(self) -> None:
        self._records = 0
        self.unread = b""
        self.not_tls = False

    def split_untrusted(self, data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """Append ``data`` and yield (content type, header, body) of each whole record. Raises ``DecodeError``."""
        buffer = self.unread + data
        start, end = 0, len(buffer)
        while (content := start + HEADER_LENGTH) <= end:
            kind, major, length = _HEADER(buffer, start)
            if major != 3 or kind not in CONTENT_TYPES:
                break
            if length > MAX_RECORD:
                raise DecodeError("record", f"{length} bytes are more than a record may have", 3)
            stop = content + length
            if stop > end:
                break
            # counted by what was taken, not by what has arrived, so that chunking does not matter
            self._records += 1
            if self._records > MAX_RECORDS:
                raise DecodeError("record", f"more than {MAX_RECORDS} records in one flight", 0)
            yield kind, buffer[start:content], buffer[content:stop]
            start = stop
        self.unread = buffer[start:]
        self._check_first_bytes_untrusted()

    def _check_first_bytes_untrusted(self) -> None:
        # only what is wrong is shown, of a header or of the part of one that has arrived
        header = self.unread
        if header[:1] and header[0] not in CONTENT_TYPES:
            wrong = header[:1]
        elif header[1:2] not in (b"", b"\x03"):
            wrong = header[:2]
        else:
            return
        if self._records:
            raise DecodeError("record", f"header that begins with {wrong.hex()} is not TLS", 0)
        self.not_tls = True
